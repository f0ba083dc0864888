"""Namespaces: a process is born in new ones, enters those of another, and names its own world. namespaces(7)."""

import os
from contextlib import suppress

from ..errors import WrongState
from ..linux import constants as c
from ..linux import files, syscalls
from ..spec import NAMESPACES
from ..step import Step, World

#: OCI's name → (clone flag, file under /proc/PID/ns).
KINDS = {
    "mount": (c.CLONE_NEWNS, "mnt"),
    "pid": (c.CLONE_NEWPID, "pid"),
    "network": (c.CLONE_NEWNET, "net"),
    "ipc": (c.CLONE_NEWIPC, "ipc"),
    "uts": (c.CLONE_NEWUTS, "uts"),
    "user": (c.CLONE_NEWUSER, "user"),
    "cgroup": (c.CLONE_NEWCGROUP, "cgroup"),
    "time": (c.CLONE_NEWTIME, "time"),
}


def flags(names: tuple[str, ...]) -> int:
    """The clone flags of these kinds of namespaces, or-ed together."""
    return sum(KINDS[name][0] for name in names)


def read(pid: int | str = "self") -> dict[str, str]:
    """The namespaces that a process is in: OCI's name → "kind:[inode]". Kinds that can't be read are left out."""
    found: dict[str, str] = {}
    for name in NAMESPACES:
        try:
            found[name] = os.readlink(f"/proc/{pid}/ns/{KINDS[name][1]}")
        except OSError:
            continue
    return found


#: From here on, 16 million user ids that nobody has: systemd's UIDS-GIDS.md leaves them unused.
_NOBODYS = 0x70000000


class Clone(Step):
    """Make the child, born in these new namespaces and in its v2 control group. It waits at the barrier until Go.

    The child's parent is the keeper, not the launcher (CLONE_PARENT): whoever else dies, its exit status is kept.

    What a user may have of some things (inotify instances, message queues, pending signals) is counted against who made the
    user namespace, too. Made by root, one container could use up what root and all other containers may have; so root makes it
    in the name of a user id that nobody has. user_namespaces(7), namespaces(7), inotify(7).

    `network_of` is (pid, start time) of a process whose network namespace the child shares. It is entered before the birth:
    from its own user namespace the child could not.
    """

    lane = "outside"
    man = "clone(2)"
    see = "ls -l /proc/PID/ns"

    namespaces: tuple[str, ...] = ()
    network_of: tuple[int, ...] = ()

    def apply(self, world: World) -> str:
        # A cgroup namespace shows the tree from the group one is in *when it is made*: the child makes it after JoinCgroup.
        born_in = tuple(name for name in self.namespaces if name != "cgroup")
        own = enter_network(*self.network_of) if self.network_of else -1
        borrowed = "user" in born_in and os.geteuid() == 0 and _borrow_id()
        try:
            # With CLONE_PARENT the exit signal is the parent's own; giving one is EINVAL.
            world.pid, world.pidfd = syscalls.clone3(flags(born_in) | c.CLONE_PARENT, exit_signal=0, cgroup=world.birthplace)
        finally:
            if borrowed and world.pid != 0:
                _return_id()
            if own >= 0 and world.pid != 0:
                leave_network(own)
        return f"pid {world.pid}"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno in (2, 13, 16, 19, 95) and world.birthplace:
            return f"nobody can be born in the control group {world.birthplace}", "look at: sandbox doctor"
        if error.errno == 28:  # ENOSPC
            limits = ", ".join(f"{kind}={_limit(kind)}" for kind in ("user", "mnt", "pid", "net"))
            return (
                f"too many namespaces of one kind, or nested more than 32 deep; /proc/sys/user/max_*_namespaces: {limits}",
                "stop other containers, or raise the limit: sysctl user.max_user_namespaces=…",
            )
        if error.errno == 1:  # EPERM
            return _why_no_namespace()
        if error.errno == 22:  # EINVAL
            return f"the kernel does not know one of {', '.join(self.namespaces)}", "leave it out: --share NAMESPACE"
        if error.errno == 11:  # EAGAIN
            return "a limit on processes was reached (RLIMIT_NPROC, pids cgroup or pid_max)", "stop some processes"
        return "", ""


def _borrow_id() -> bool:
    """Be an effective user that nobody is, with root's capabilities still. False where root is not allowed to. prctl(2)."""
    try:
        syscalls.prctl(c.PR_SET_SECUREBITS, c.SECBIT_NO_SETUID_FIXUP)
        os.setresuid(-1, _NOBODYS + int.from_bytes(os.urandom(3), "little"), -1)
    except OSError:
        _return_id()
        return False
    syscalls.prctl(c.PR_SET_DUMPABLE, 1)  # the change of user took it, and the launcher must read the child's /proc/PID/ns
    return True


def _return_id() -> None:
    os.setresuid(-1, 0, -1)
    with suppress(OSError):
        syscalls.prctl(c.PR_SET_SECUREBITS, 0)
    syscalls.prctl(c.PR_SET_DUMPABLE, 1)


def _limit(kind: str) -> str:
    try:
        return files.read(f"/proc/sys/user/max_{kind}_namespaces").strip()
    except OSError:
        return "?"


def _why_no_namespace() -> tuple[str, str]:
    """Why an ordinary user gets EPERM for a user namespace, as this machine tells it. user_namespaces(7)."""
    for path, bad, cure in (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
         "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 23.10 and later), or run as root"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1, or run as root"),
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
    ):  # fmt: skip
        try:
            if files.read(path).strip() == bad:
                return f"{path} is {bad}", cure
        except OSError:
            continue
    status = files.status()
    if status.get("Seccomp") == "2":
        return "this process runs under a seccomp filter (Seccomp: 2), as inside Docker", "see `sandbox doctor`"
    return (
        f"CapEff is {status.get('CapEff', '?')} and nothing that usually forbids it was found",
        "see `sandbox doctor`",
    )


def open_process(pid: int, start_time: int) -> int:
    """A pidfd of the process that started then; raises WrongState if it has ended."""
    try:
        target = os.pidfd_open(pid)
    except ProcessLookupError:
        target = -1
    with suppress(OSError):
        if target >= 0 and files.start_time(pid) == start_time:
            return target
    if target >= 0:
        os.close(target)
    raise WrongState(f"process {pid} of the container has ended")


def enter_network(pid: int, start_time: int) -> int:
    """Go over into the network namespace of a process; returns our own, for `leave_network`. setns(2)"""
    target = open_process(pid, start_time)
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(target, c.CLONE_NEWNET)
    except BaseException:
        os.close(own)
        raise
    finally:
        os.close(target)
    return own


def leave_network(own: int) -> None:
    """Come back."""
    syscalls.setns(own, c.CLONE_NEWNET)
    os.close(own)


class OpenSysfs(Step):
    """A /sys that shows another container's network: it shows that of the namespace in which it is made. sysfs(5)"""

    lane = "outside"
    man = "sysfs(5)"

    network_of: tuple[int, ...]
    tree: str = "sys"

    def apply(self, world: World) -> None:
        own = enter_network(*self.network_of)
        try:
            made = syscalls.fsopen("sysfs")
            try:
                syscalls.fsconfig(made, None)
                safe = c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
                world.trees[self.tree] = syscalls.fsmount(made, safe)
            finally:
                os.close(made)
        finally:
            leave_network(own)


class Enter(Step):
    """Be born inside the namespaces of a running process: how `exec` joins a container. setns(2).

    A helper enters (a pid namespace takes effect for children only) and makes the child; `start_time` is that of
    proc_pid_stat(5), so that a number taken over by somebody else is never entered.
    """

    lane = "outside"
    man = "setns(2)"
    see = "ls -l /proc/PID/ns"

    pid: int
    start_time: int
    namespaces: tuple[str, ...]

    def apply(self, world: World) -> str:
        target = open_process(self.pid, self.start_time)
        answer, tell = os.pipe()
        try:
            helper, helper_fd = syscalls.clone3(c.CLONE_PARENT, exit_signal=0)
            if helper == 0:
                self._enter(world, target, tell)
                return ""
            os.close(helper_fd)
        finally:
            os.close(tell)
            os.close(target)
        with open(answer) as file:
            reply = file.read()
        kind, _, number = reply.partition(" ")
        if kind != "pid":
            raise syscalls.SyscallError("setns", int(number or 3))
        world.pid = int(number)
        world.pidfd = os.pidfd_open(world.pid)
        return f"pid {world.pid}"

    def _enter(self, world: World, target: int, tell: int) -> None:
        """In the helper: enter, make the child, and end. Returns only in the child."""
        try:
            # From setns on, root of the container could ptrace a dumpable process and use what it holds open. ptrace(2).
            syscalls.prctl(c.PR_SET_DUMPABLE, 0)
            if self.namespaces:
                syscalls.setns(target, flags(self.namespaces))
            pid, _ = syscalls.clone3(c.CLONE_PARENT, exit_signal=0)
        except OSError as error:
            os.write(tell, f"errno {error.errno}".encode())
            os._exit(1)
        if pid:
            os.write(tell, f"pid {pid}".encode())
            os._exit(0)
        world.pid = 0

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return f"no capability over the namespaces of process {self.pid}", "enter as the user who started the container"
        if error.errno == 3:
            return f"process {self.pid}, the container's first, is just ending", "start the container again"
        return "", ""


class UnshareCgroupNamespace(Step):
    """Make the group just joined the root of what is visible. cgroup_namespaces(7)."""

    man = "cgroup_namespaces(7)"
    see = "cat /proc/PID/cgroup"

    def apply(self, world: World) -> None:
        syscalls.unshare(c.CLONE_NEWCGROUP)


class SetHostname(Step):
    """The name of this world. sethostname(2)."""

    man = "sethostname(2)"
    see = "hostname"
    touches = "uts"

    hostname: str

    def apply(self, world: World) -> None:
        syscalls.sethostname(self.hostname)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return "CAP_SYS_ADMIN is missing over this uts namespace: it is the host's", "do not share uts"
        return "", ""
