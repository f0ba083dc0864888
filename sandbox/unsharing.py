"""A command of the host in new namespaces, as unshare(1) runs it: with our terminal, our folder, our environment.

It is a plan as every other, only short: the child is born in the namespaces, waits until its ids are mapped, and becomes the
program. No launcher carries it out, but this process itself: nothing is left that somebody would have to clean up. A step that
would change a namespace of the host is refused here, too.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from .errors import NotFound, SandboxError, from_json
from .lanes import Plan
from .launcher import inside, protocol
from .linux import syscalls
from .primitives.barrier import Go, WaitForGo
from .primitives.mounts import MakePrivate, MountFilesystem
from .primitives.namespaces import Clone, SetHostname, flags
from .primitives.process import Exec
from .primitives.users import BecomeRoot, BecomeUser, MapIds
from .spec import NAMESPACES, NamespaceName
from .step import Step, World

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Kinds = Sequence[NamespaceName]
#: Rows of an id map: (id inside, id outside, how many).
Rows = tuple[tuple[int, int, int], ...]

#: What `remount` mounts: the namespace that it shows, its type, its place.
REMOUNTED = (
    ("pid", "proc", "/proc", "noexec"), ("mount", "tmpfs", "/dev/shm", "mode=1777"),
    ("ipc", "mqueue", "/dev/mqueue", "noexec"),
)  # fmt: skip


class LendLink(Step):
    """Give a network device of the host to the child. At its end hardware comes back; what is virtual ends. ip-link(8)."""

    lane = "outside"
    man = "network_namespaces(7)"
    see = "ip link"

    link: str

    def apply(self, world: World) -> None:
        from .linux.netlink import Netlink, Setting  # late: most commands do not wait for it

        with Netlink() as links:
            if (found := links.link(self.link)) is None:
                raise NotFound(f"there is no device {self.link!r} on the host", cure="`ip link` lists them")
            links.set_link(found.index, Setting(netns_pid=world.pid))


def plan(
    kinds: Kinds, command: Sequence[str], *, uid: Rows = (), gid: Rows = (), user: int | None = None, hostname: str = "",
    remount: bool = False, links: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """The plan for a command in new namespaces of these kinds.

    Without `uid` and `gid`, the rows of the id maps, everybody is nobody in a new user namespace. `user` is the id that runs
    the command, if not ours. With `remount`, /proc, /dev/shm and /dev/mqueue are mounted anew. `links` are network devices
    of the host that it gets.
    """
    environment = tuple(f"{name}={value}" for name, value in os.environ.items())
    last = Exec(tuple(command), environment)
    return Plan(tuple(_outside(kinds, uid, gid, links)), (WaitForGo(), *_inside(kinds, user, hostname, remount), last))


def _outside(kinds: Kinds, uid: Rows, gid: Rows, links: Sequence[str]) -> Iterable[Step]:
    yield Clone(tuple(kinds))
    if uid and gid:
        alone = len(uid) == len(gid) == 1 and uid[0][1:] == (os.geteuid(), 1) and gid[0][1:] == (os.getegid(), 1)
        yield MapIds(uid, gid, helper=os.geteuid() != 0 and not alone)
    yield from map(LendLink, links)
    yield Go()


def _inside(kinds: Kinds, user: int | None, hostname: str, remount: bool) -> Iterable[Step]:
    if "mount" in kinds:
        yield MakePrivate()
    if hostname:
        yield SetHostname(hostname)
    for kind, type, path, mode in REMOUNTED:
        # In a user namespace, what shows a namespace of the host can't be mounted; a mount point missing here is the host's.
        if remount and kind in kinds and os.path.isdir(path):
            yield MountFilesystem(type, path, ("nosuid", "nodev", mode))
    if user == 0:
        yield BecomeRoot(groups=os.geteuid() == 0)
    elif user is not None:
        yield BecomeUser(user)


def carry_out(made: Plan, *, wait: bool = True, alone: bool = True) -> int:
    """Carry out a plan of `plan`; returns the command's exit code (128 + signal if it was killed), or 0 without `wait`.

    A child may be made so only by a process that is `alone`, without threads; otherwise another process does it, and what the
    command writes is printed.

    Raises:
        KernelRefused: a step failed; nothing runs.
    """
    if not alone:
        return _elsewhere(made, wait)
    clone, *outside = made.outside
    assert isinstance(clone, Clone)
    world, rows = World(), list[list[object]]()
    ours, theirs = protocol.wires()
    step: Step = clone
    try:
        world.pid, world.pidfd = syscalls.clone3(flags(clone.namespaces))
        if world.pid == 0:
            ours.close()
            _become(made, theirs, frozenset(NAMESPACES) - set(clone.namespaces))
        theirs.close()
        world.wire = ours
        for number, step in enumerate(outside, 1):
            inside.run(step, world, ["outside", number], rows)
    except Exception as error:
        ours.close()  # the end of the barrier: it goes, too
        if world.pid > 0:
            os.waitpid(world.pid, 0)
        raise inside.refusal(step, error, world) from None
    message, _ = protocol.receive(ours)  # nothing comes: it became the program
    if message:
        os.waitpid(world.pid, 0)
        raise from_json(message["failed"])
    return _wait(world.pid) if wait else 0


def _become(made: Plan, wire: socket.socket, shared: frozenset[str]) -> NoReturn:
    """Be the child, until it becomes the program."""
    world = World()
    world.pid, world.wire = 0, wire
    step: Step = made.inside[0]
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python; and a program would go on ignoring them. signal(7)
            signal.signal(ignored, signal.SIG_DFL)
        for number, step in enumerate(made.inside):
            inside.run(step, world, ["inside", number], [], shared)
    except BaseException as error:
        protocol.send(wire, {"failed": inside.refusal(step, error, world).to_json()})
    finally:
        os._exit(1)


def _elsewhere(made: Plan, wait: bool) -> int:
    code = f"import sys; sys.path.insert(0, {_FOLDER!r}); from sandbox.unsharing import main; sys.exit(main({wait}))"
    output = subprocess.PIPE if wait else subprocess.DEVNULL  # which a daemon would keep open
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                          text=True, errors="replace") as process:  # fmt: skip
        assert process.stdin
        process.stdin.write(json.dumps(made.to_json()))
        process.stdin.close()
        for line in process.stdout or ():
            print(line, end="", flush=True)
    return process.returncode


def main(wait: bool) -> int:
    """Carry out the plan that is given on standard input."""
    made = Plan.from_json(sys.stdin.read())
    try:
        return carry_out(made, wait=wait)
    except SandboxError as error:
        print(error)
        return 1


def _wait(pid: int) -> int:
    """Wait for it; what is typed to end it (^C) is for it alone. system(3)."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
