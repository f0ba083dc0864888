"""What the launcher does once: make the place in which groups are made, and make controllers reach it.

On v2 a controller reaches the groups below a group only when that group says so in `cgroup.subtree_control`, and a group
that says so may hold no processes itself ("no internal processes"; the root of the tree is exempt). So the processes that
are in our own group, ourselves included, move aside first, into `container-sandbox/supervisor`. Documentation/admin-guide/
cgroup-v2.rst, sections 2.3, 2.4; https://systemd.io/CGROUP_DELEGATION. On v1 there is nothing to do beyond a mkdir.
"""

import contextlib
import errno
import os
from collections.abc import Collection

from ...linux import files
from ...step import World
from . import hierarchy, knobs
from .hierarchy import ROOM, SCOPE, SUPERVISOR, UNIFIED, Directories, Layout, read_layout

HANDED_ON = ("memory", "pids", "cpu", "io", "cpuset")
_BLKIO_RULE = "blkio.throttle.read_bps_device"

_here: Layout | None = None


def here() -> Layout:
    """The layout for this process and its children: what `prepare` made of it, or else as it is read the first time."""
    global _here
    if _here is None:
        _here = read_layout()
    return _here


def choose(group: str, extra: tuple[str, ...], world: World) -> Directories:
    """Where the group of a new container goes. If its child was born ahead of time, then in the v2 tree there."""
    named = hierarchy.place(group, here(), extra)
    unified = dict(named).get(UNIFIED)
    if not world.birthplace:
        return named
    return tuple((controller, world.birthplace if path == unified else path) for controller, path in named)


def prepare(layout: Layout, pids: Collection[int] = ()) -> Layout:
    """Make the v2 controllers reach our groups; the layout that comes back says of each one that cannot, why not.

    `pids` are those of ours that may be moved aside. Others are moved only out of a group that systemd has delegated. In the
    root group (a virtual machine without systemd) nobody has to move, but its own subtree_control is written: nothing else
    could. May be called again.
    """
    global _here
    _here = _prepared(layout, pids)
    return _here


def _prepared(layout: Layout, pids: Collection[int]) -> Layout:
    unified = layout.at(UNIFIED)
    wanted = [p.controller for p in layout.places if p.version == 2 and not p.problem and p.controller in HANDED_ON]
    if unified.problem or not wanted:
        return layout
    refused = _hand_on(unified.own, wanted, pids)
    make_room(f"{unified.own}/{ROOM}")
    return Layout(tuple(
        place._replace(problem=refused[place.controller], cure=SCOPE)
        if place.version == 2 and place.controller in refused else place
        for place in layout.places
    ))  # fmt: skip


def release(layout: Layout) -> None:
    """Remove the empty directories in which groups were made: the launcher's last act. What is in use stays."""
    for room in {f"{place.own}/{ROOM}" for place in layout.places if not place.problem}:
        for path in (f"{room}/{SUPERVISOR}", room):
            try:
                knobs.rmdir(path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise


def make_group(path: str) -> None:
    """One group's directory in one tree. Raises SyscallError, naming mkdir or write."""
    while True:
        try:
            return knobs.mkdir(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        # The first group in this tree; or another launcher has tidied up, perhaps between these very lines.
        make_room(os.path.dirname(path))


def fill_cpuset(path: str) -> None:
    """Give a new v1 cpuset the CPUs and memory nodes of the one above: it has none, and nothing can run in it. cpuset(7)."""
    if os.path.exists(f"{path}/cpuset.sched_load_balance"):  # a file of v1 only
        for name in ("cpuset.cpus", "cpuset.mems"):
            knobs.write(path, name, knobs.text(os.path.dirname(path), name).strip())


def make_room(path: str) -> None:
    """The directory in which groups are made, in one tree, ready for groups below it. It may be there already.

    Raises:
        SyscallError: naming mkdir or write.
    """
    try:
        knobs.mkdir(path)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    offered = knobs.text(path, "cgroup.controllers").split()
    _enable(path, _not_enabled(path, [name for name in HANDED_ON if name in offered]))
    fill_cpuset(path)
    if os.path.exists(f"{path}/{_BLKIO_RULE}"):
        _count_bytes(path)


def _count_bytes(path: str) -> None:
    """Make v1 count what is read and written: newer kernels do so for a disk only once somebody has set a rule for it."""
    for disk in os.scandir("/sys/block"):
        if knobs.number(disk.path, "size"):
            with contextlib.suppress(OSError):  # a disk that can't be counted, or is gone
                files.write(f"{path}/{_BLKIO_RULE}", f"{knobs.text(disk.path, 'dev').strip()} 0")  # 0: no limit


def _hand_on(own: str, wanted: list[str], pids: Collection[int]) -> dict[str, str]:
    """Enable controllers below our own group; for each that cannot be, why not."""
    missing = _not_enabled(own, wanted)
    exempt = not os.path.exists(f"{own}/cgroup.type")  # the root of the tree has no such file
    if missing and not exempt and (strangers := _move_aside(own, pids)):
        return dict.fromkeys(missing, f"{own} holds other processes too ({strangers}), so it can't hand controllers on")
    return _enable(own, missing)


def _not_enabled(path: str, names: list[str]) -> list[str]:
    enabled = knobs.text(path, "cgroup.subtree_control").split()
    return [name for name in names if name not in enabled]


def _enable(path: str, names: list[str]) -> dict[str, str]:
    refused = {}
    for name in names:  # one at a time: a single "+cpu" refused (by a real-time process) would refuse them all
        try:
            files.write(f"{path}/cgroup.subtree_control", f"+{name}")
        except OSError as error:
            refused[name] = f"{path}/cgroup.subtree_control: +{name}: {error.strerror}"
    return refused


def _move_aside(own: str, pids: Collection[int]) -> str:
    """Empty our own group of processes; returns those that stand in the way, as text."""
    aside = f"{own}/{ROOM}/{SUPERVISOR}"
    for _ in range(20):  # they may fork while they are moved
        inside = {int(line) for line in knobs.text(own, "cgroup.procs").split()}
        # 0 is how a process of another pid namespace shows.
        movable = inside - {0} if _delegated(own) else inside & set(pids)
        if strangers := sorted(inside - movable):
            return ", ".join(f"{pid} {knobs.text(f'/proc/{pid}', 'comm').strip()}".strip() for pid in strangers[:5])
        for path in (f"{own}/{ROOM}", aside):
            if not os.path.isdir(path):
                knobs.mkdir(path)
        for pid in movable:
            try:
                files.write(f"{aside}/cgroup.procs", str(pid))
            except OSError as error:
                if error.errno != errno.ESRCH:  # it ended meanwhile
                    raise
        if not movable:
            return ""
    return "they fork faster than they can be moved"


def _delegated(path: str) -> bool:
    """Whether systemd has handed this group over to whoever runs in it (its mark since version 251)."""
    try:
        return os.getxattr(path, "user.delegate") == b"1"
    except OSError:
        return False
