"""Trials: is it possible here? Do it in a process that goes away, and see. `host.report` runs this as a program of its own.

A notebook has threads, and there unshare(CLONE_NEWUSER) is EINVAL: hence a small interpreter without any. Every trial runs
in a fork of it: what it changes goes with the fork, and one that fails spoils no other.
"""

import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from .linux import constants as c
from .linux import files, syscalls
from .primitives.namespaces import KINDS, flags
from .primitives.users import CONTAINER_IDS

#: What a trial tells: 0 and what was seen, or an errno and the call (with its path) that failed.
Outcome = tuple[int, str]

#: Where the trials mount, in mount namespaces of their own. hier(7): it is there on every machine.
POINT = "/tmp"


def attempt(deed: Callable[[], Any]) -> Any:
    """What `deed` returns, done in a fork. Raises the SyscallError that it met there."""
    answer, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        reply = [errno.EIO, "the trial itself", None]
        try:
            reply = [0, deed()]
        except OSError as error:
            reply = [error.errno, getattr(error, "call", "open"), error.filename]
        finally:  # whatever happened: the fork must never run on into its parent's work
            os.write(tell, json.dumps(reply).encode())
            os._exit(0)
    os.close(tell)
    with open(answer, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not text:  # a seccomp filter may kill instead of refusing
        raise syscalls.SyscallError(f"killed by signal {os.WTERMSIG(status)} in", errno.ENOSYS)
    number, *told = json.loads(text)
    if number:
        raise syscalls.SyscallError(told[0], number, told[1])
    return told[0]


def tried(deed: Callable[[], str | None]) -> Outcome:
    """The outcome of `deed`, done in a fork."""
    try:
        return 0, attempt(deed) or ""
    except syscalls.SyscallError as error:
        return error.errno or errno.EIO, f"{error.call} {error.filename or ''}".strip()


def all_tried(deeds: dict[str, Callable[[], str | None]], world: Callable[[], None]) -> dict[str, Outcome]:
    """The outcome of each deed, all in one `world`, made in a fork. Where it can't be made, all have failed like it."""

    def inside() -> dict[str, Outcome]:
        world()
        # One fork more: a new pid namespace takes effect for children only, and this one is its PID 1.
        return attempt(lambda: {key: tried(deed) for key, deed in deeds.items()})  # type: ignore[no-any-return]

    try:
        return attempt(inside)  # type: ignore[no-any-return]
    except syscalls.SyscallError as error:
        return dict.fromkeys(deeds, (error.errno or errno.EIO, f"{error.call} {error.filename or ''}".strip()))


# --- namespaces and processes ---------------------------------------------------------------------------------------


def enter(*kinds: str) -> None:
    """Enter new namespaces, among them one of users in which we are root. user_namespaces(7)."""
    ids = {"uid": os.geteuid(), "gid": os.getegid()}
    syscalls.unshare(flags(("user", *kinds)))
    files.write("/proc/self/setgroups", "deny")
    for kind, own in ids.items():
        files.write(f"/proc/self/{kind}_map", f"0 {own} 1")


def user_namespace() -> None:
    enter("uts")
    # Under AppArmor's restriction the namespace can be made, but gives no capability: use one. Ubuntu 23.10 and later.
    syscalls.sethostname("trial")


def namespace(kind: str) -> None:
    if kind == "user":
        return user_namespace()
    # An ordinary user gets the other seven kinds only inside a user namespace.
    return syscalls.unshare(flags((kind,))) if os.geteuid() == 0 else enter(kind)


def born_by_clone3() -> str:
    """How every container is born: in seven new namespaces at once. The eighth, cgroup, it makes itself."""
    kinds = tuple(kind for kind in KINDS if kind != "cgroup")
    pid, _ = syscalls.clone3(flags(kinds))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return ", ".join(kinds)


def pidfd() -> None:
    syscalls.pidfd_send_signal(os.pidfd_open(os.getpid()), 0)


def in_new_user_namespace(deed: Callable[[int], str | None]) -> str | None:
    """`deed`, given the pid of a child that does nothing but hold a new user namespace open."""
    pid, _ = syscalls.clone3(c.CLONE_NEWUSER)
    if pid == 0:
        syscalls.prctl(c.PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            signal.pause()
    try:
        return deed(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def map_by_helper(kind: str, first: int, size: int) -> str:
    """newuidmap(1) or newgidmap(1), really asked for the range that /etc/subuid or /etc/subgid grants."""

    def ask_program(pid: int) -> str:
        words = [f"new{kind}map", str(pid), "0", str(first), str(size)]
        child = os.posix_spawnp(words[0], words, os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, 2)])
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise syscalls.SyscallError(words[0], errno.EPERM, f"0 {first} {size}")
        return files.read(f"/proc/{pid}/{kind}_map").strip()

    return in_new_user_namespace(ask_program) or ""


def seccomp_filter() -> None:
    syscalls.prctl(c.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.seccomp_set_filter(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))  # "return ALLOW", one instruction


# --- mounts ---------------------------------------------------------------------------------------------------------

HARMLESS = c.MS_NOSUID | c.MS_NODEV | c.MS_NOEXEC


def tmpfs(*folders: str) -> None:
    syscalls.mount("tmpfs", POINT, "tmpfs", HARMLESS)
    for folder in folders:
        os.makedirs(f"{POINT}/{folder}")


def overlay() -> None:
    tmpfs("lower/dir/below", "upper", "work", "merged")
    options = f"userxattr,lowerdir={POINT}/lower,upperdir={POINT}/upper,workdir={POINT}/work"
    syscalls.mount("overlay", f"{POINT}/merged", "overlay", 0, options)
    os.mkdir(f"{POINT}/merged/dir/new")


def tmpfs_xattr() -> None:
    tmpfs()
    os.setxattr(POINT, "user.trial", b"1")


def mount_api() -> str:
    configured = syscalls.fsopen("tmpfs")
    syscalls.fsconfig(configured, None)
    syscalls.move_mount(syscalls.fsmount(configured), POINT)
    tree = syscalls.open_tree(POINT, c.OPEN_TREE_CLONE)
    syscalls.mount_setattr(tree, c.MOUNT_ATTR_RDONLY)
    return "fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr"


def lowerdir_plus() -> None:
    tmpfs("a", "b")
    configured = syscalls.fsopen("overlay")
    for folder in ("a", "b"):
        syscalls.fsconfig(configured, "lowerdir+", f"{POINT}/{folder}")
    syscalls.fsconfig(configured, None)


def idmap(path: str) -> str:
    """The file system of `path`, seen through an id map, as a mount that is attached nowhere. mount_setattr(2)."""

    def through(pid: int) -> str:
        row = f"0 {CONTAINER_IDS.start} {CONTAINER_IDS.step}"
        for kind in ("uid", "gid"):
            files.write(f"/proc/{pid}/{kind}_map", row)
        users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        syscalls.mount_setattr(syscalls.open_tree(path, c.OPEN_TREE_CLONE), c.MOUNT_ATTR_IDMAP, users)
        return f"{path} as {row}"

    return in_new_user_namespace(through) or ""


MOUNTS: dict[str, Callable[[], str | None]] = {
    "mount.proc": lambda: syscalls.mount("proc", POINT, "proc", HARMLESS),
    "mount.sysfs": lambda: syscalls.mount("sysfs", POINT, "sysfs", HARMLESS | c.MS_RDONLY),
    "mount.mqueue": lambda: syscalls.mount("mqueue", POINT, "mqueue", HARMLESS),
    "mount.devpts": lambda: syscalls.mount("devpts", POINT, "devpts", c.MS_NOSUID | c.MS_NOEXEC, "newinstance,ptmxmode=0666"),
    "mount.tmpfs": tmpfs,
    "mount.overlay": overlay,
    "tmpfs.xattr": tmpfs_xattr,
    "mount_api": mount_api,
    "overlay.lowerdir+": lowerdir_plus,
}


# --- network --------------------------------------------------------------------------------------------------------


def ask(protocol: int, kind: int, request: int, body: bytes) -> None:
    """Send one netlink request. Raises the SyscallError that the kernel answers with. netlink(7)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as door:
        door.settimeout(1)
        door.send(struct.pack("=IHHII", 16 + len(body), kind, request | 1, 1, 0) + body)  # 1: NLM_F_REQUEST
        reply = door.recv(65536)
    error = struct.unpack_from("=i", reply, 16)[0] if reply[4] == 2 else 0  # 2: NLMSG_ERROR
    if error:
        raise syscalls.SyscallError("netlink", -error)


def new_link(kind: str) -> None:
    """Make a network device of this kind. rtnetlink(7): RTM_NEWLINK with IFLA_LINKINFO { IFLA_INFO_KIND }."""
    name = kind.encode().ljust(8, b"\0")
    info = struct.pack("=HHHH", 8 + len(name), 18, 4 + len(kind), 1) + name
    ask(0, 16, 0x604, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + info)  # NETLINK_ROUTE; NLM_F_CREATE | _EXCL | _ACK


def loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, c.SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", c.IFF_UP))


def diagnosis(family: int, body: bytes) -> None:
    """List the sockets of a family, as ss(8) and CRIU do. sock_diag(7)."""
    ask(4, 20, 0x300, struct.pack("=BB", family, 255 if family == socket.AF_NETLINK else 0) + body)


NETWORK: dict[str, Callable[[], str | None]] = {
    "network.loopback": loopback,
    "network.veth": lambda: new_link("veth"),
    "network.bridge": lambda: new_link("bridge"),
    # NFNL_SUBSYS_NFTABLES (10) and NFT_MSG_GETGEN (16). linux/netfilter/nf_tables.h.
    "network.nft": lambda: ask(12, 10 << 8 | 16, 0, struct.pack("=BBH", 0, 0, 0)),
    "diag.unix": lambda: diagnosis(socket.AF_UNIX, bytes(22)),
    "diag.inet": lambda: ask(4, 20, 0x300, struct.pack("=BB", socket.AF_INET, socket.IPPROTO_TCP) + bytes(54)),
    "diag.packet": lambda: diagnosis(socket.AF_PACKET, bytes(18)),
    "diag.netlink": lambda: diagnosis(socket.AF_NETLINK, bytes(18)),
}


# --- all of it ------------------------------------------------------------------------------------------------------


def make_group(folder: str) -> str:
    """Make a control group below `folder` and take it away again: the knobs that it had."""
    group = f"{folder}/sandbox-trial-{os.getpid()}"
    os.mkdir(group)
    try:
        return " ".join(sorted(os.listdir(group)))
    finally:
        os.rmdir(group)


def everything(home: str, groups: dict[str, str], ranges: dict[str, tuple[int, int]]) -> dict[str, Outcome]:
    """Every trial. `groups`: our own control groups by key; `ranges`: the subordinate ids (first, how many) by kind."""
    return {
        **{f"namespace.{kind}": tried(partial(namespace, kind)) for kind in KINDS},
        "clone3": tried(born_by_clone3),
        "pidfd": tried(pidfd),
        "seccomp": tried(seccomp_filter),
        "eventfd": tried(lambda: os.close(os.eventfd(0))),
        "epoll": tried(lambda: select.epoll().close()),
        "idmap": tried(partial(idmap, home)),
        **all_tried(MOUNTS, partial(enter, "mount", "pid", "network", "ipc")),
        **all_tried(NETWORK, partial(enter, "network")),
        **{f"new{kind}map": tried(partial(map_by_helper, kind, *ids)) for kind, ids in ranges.items()},
        **{key: tried(partial(make_group, folder)) for key, folder in groups.items()},
    }


def main(question: str) -> None:
    """Answer one question, in JSON: {"idmap": path}, or the arguments of `everything`."""
    asked = json.loads(question)
    print(json.dumps(tried(partial(idmap, asked["idmap"])) if "idmap" in asked else everything(**asked)))
