"""One group, in all trees at once: what it uses, what happened in it, and how to stop, end and remove it.

Every function takes the `Directories` that `hierarchy.place` named, plain data that any later process may hold.
"""

import errno
import os
import signal
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ...errors import NotPossibleHere, SandboxError
from ...immutable import immutable
from . import knobs, v1, v2
from .hierarchy import UNIFIED, Directories, is_ours


@immutable
class Usage:
    """What a group has used so far. Times are seconds, sizes bytes; None: not counted here, or (a limit) there is none."""

    cpu_seconds: float | None = None
    cpu_user: float | None = None
    cpu_system: float | None = None
    cpu_limit: float | None = None  # CPUs, as the quota allows
    throttled: int | None = None  # periods in which the CPU quota ran out
    throttled_seconds: float | None = None
    memory: int | None = None  # all that is charged: of processes, page cache and kernel
    memory_peak: int | None = None
    memory_limit: int | None = None
    swap: int | None = None
    anon: int | None = None
    file: int | None = None
    kernel: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    forks_refused: int | None = None  # how often the limit of processes was in the way
    io_read: int | None = None
    io_written: int | None = None
    io_operations: int | None = None  # how often it read or wrote
    oom_kills: int | None = None
    frozen: bool | None = None
    cpu_stalled: float | None = None  # some process waited for a CPU (pressure stall information)
    memory_stalled: float | None = None
    io_stalled: float | None = None


def usage(directories: Directories) -> Usage:
    """Everything that is counted. About twenty files are read."""
    fields = {}
    for controller, directory in directories:
        if reader := driver(directories, directory).READERS.get(controller):
            fields.update(reader(directory))
    return Usage(**fields)


def glance(directories: Directories) -> Usage:
    """CPU time, memory, processes and bytes read and written: one file each, for lists of many containers."""
    fields = {}
    named = {controller for controller, _ in directories}
    for controller, directory in directories:
        if controller == UNIFIED and "cpuacct" in named:  # the same number
            continue
        if reader := driver(directories, directory).GLANCES.get(controller):
            fields.update(reader(directory))
    return Usage(**fields)


class Reader:
    """Reads one group again and again, its files kept open. Close it at the end."""

    def __init__(self, directories: Directories) -> None:
        knobs.may_hold_many()
        held = {path: knobs.Held(path) for path in distinct(directories)}
        drivers = {path: driver(directories, path) for path in held}
        self._held = list(held.values())
        named = {controller for controller, _ in directories}
        once = [pair for pair in directories if not (pair[0] == UNIFIED and "cpuacct" in named)]  # the same number
        self._moving = [(r, held[path]) for name, path in once if (r := drivers[path].GLANCES.get(name))]
        self._limited = [(r, held[path]) for name, path in directories if (r := drivers[path].THROTTLED.get(name))]
        self._all = [(r, held[path]) for name, path in directories if (r := drivers[path].READERS.get(name))]

    def moving(self, limited: bool = True) -> dict[str, Any]:
        """What changes all the time, as fields of Usage: CPU time, memory, processes, bytes; if `limited`, throttling too."""
        return self._read(self._moving + self._limited if limited else self._moving)

    def all(self) -> dict[str, Any]:
        """Every field of Usage that is counted here."""
        return self._read(self._all)

    @staticmethod
    def _read(readers: list[tuple[Callable[[str], dict[str, Any]], knobs.Held]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for reader, directory in readers:
            fields.update(reader(directory))
        return fields

    def close(self) -> None:
        """Close the files."""
        for directory in self._held:
            directory.close()


def oom_kills(directories: Directories) -> int:
    """How many processes were killed because the group's memory ran out. Ask before the group is removed."""
    memory = dict(directories).get("memory")
    count: int = driver(directories, memory).oom_kills(memory) if memory else 0
    return count


def events(directories: Directories) -> dict[str, int]:
    """populated, frozen, memory_max, oom_kill, pids_max, as far as they are counted here: how often, or 0 and 1."""
    found: dict[str, int] = {}
    for directory in distinct(directories):
        found |= driver(directories, directory).events(directory)
    return found


def processes(directories: Directories) -> list[int]:
    """The pids of a group and of those below it, in any tree."""
    lines = (
        line for directory in distinct(directories) for path in knobs.subtree(directory)
        for line in knobs.text(path, "cgroup.procs").split()
    )  # fmt: skip
    # 0 is how a process of another pid namespace shows; kill(0) would hit ourselves.
    return sorted({int(line) for line in lines} - {0})


def beside(directories: Directories, pid: int) -> Directories:
    """The groups that a process joins to be beside `pid`, the first of a container whose init makes groups below its own.

    In v2, a group that has handed controllers on can hold no processes itself: then the init is further down, and so must
    be whoever comes in. cgroups(7), "no internal processes".
    """
    found = []
    for controller, directory in directories:
        if driver(directories, directory) is v2:
            top = "/".join(directory.split("/")[-2:])
            path = next((line[3:] for line in knobs.text(f"/proc/{pid}", "cgroup").splitlines() if line.startswith("0::")), "")
            _, _, rest = path.partition(f"/{top}/")
            directory = f"{directory}/{rest}" if rest and ".." not in rest.split("/") else directory
        found.append((controller, directory))
    return tuple(found)


def freeze(directories: Directories, seconds: float = 10.0) -> None:
    """Stop every process where it is, and wait until all stand still.

    Raises:
        NotPossibleHere: neither the v2 tree nor v1's freezer is usable.
        SandboxError: a process did not stop in time (it waits for a device, say); the group is thawed again.
    """
    freezer, directory = _freezer(directories)
    freezer.freeze(directory, True)
    end = time.monotonic() + seconds
    while not freezer.frozen(directory):
        if time.monotonic() > end:
            freezer.freeze(directory, False)
            raise SandboxError(f"freeze: not every process of the group stood still after {seconds:g} s",
                               condition=f"processes {processes(directories)}",
                               cure="look for state D in: ps -o pid,stat,wchan,comm")  # fmt: skip
        time.sleep(0.0005)


def frozen(directories: Directories) -> bool:
    """Whether every process stands still: one file is read. Where nothing can be frozen, False."""
    where = dict(directories)
    if UNIFIED not in where and "freezer" not in where:
        return False
    freezer, directory = _freezer(directories)
    still: bool = freezer.frozen(directory)
    return still


def thaw(directories: Directories) -> None:
    """Let every process go on. Raises NotPossibleHere as `freeze` does."""
    freezer, directory = _freezer(directories)
    freezer.freeze(directory, False)


def events_file(directories: Directories) -> str:
    """The file that tells of it by itself when a group is frozen or thawed (inotify(7)); "" under v1, where none does."""
    unified = dict(directories).get(UNIFIED)
    return f"{unified}/cgroup.events" if unified else ""


def control_file(directories: Directories, name: str) -> str:
    """The path of a file by its name alone ("memory.max"), which begins with its controller's; "" where there is none."""
    where = dict(directories)
    if "/" not in name:
        for controller in (name.partition(".")[0], UNIFIED):
            path = f"{where.get(controller)}/{name}"
            if controller in where and os.path.isfile(path):
                return path
    return ""


def kill(directories: Directories) -> None:
    """SIGKILL to every process of the group and below, frozen or not. Their end is not waited for."""
    directories = _ours(directories)
    where = dict(directories)
    swept = UNIFIED in where and os.path.isdir(where[UNIFIED]) and v2.kill(where[UNIFIED])
    # Without cgroup.kill, a process that forks faster than we read must stand still while we do.
    still = not swept and os.path.isdir(where.get(UNIFIED) or where.get("freezer", ""))
    if still:
        freezer, directory = _freezer(directories)
        freezer.freeze(directory, True)
    # Also after cgroup.kill: a launcher that died while joining leaves a process in some trees only.
    for pid in processes(directories):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if still:  # a process frozen by v1 does not die before it is thawed
        freezer.freeze(directory, False)
    if UNIFIED in where and "freezer" in where:  # nor one that an init inside has frozen, in a group of its own
        for path in knobs.subtree(where["freezer"]):
            knobs.write(path, "freezer.state", "THAWED")


def remove(directories: Directories, seconds: float = 2.0) -> None:
    """Kill what is left in a group and remove it, with the groups that were made inside. May be called twice.

    Raises:
        SyscallError: it is still in use after `seconds`.
    """
    end = time.monotonic() + seconds
    pause = 0.0002
    left = distinct(_ours(directories))
    while left := [directory for directory in left if not _removed(directory, last=time.monotonic() > end)]:
        kill(directories)
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def distinct(directories: Directories) -> list[str]:
    """The directories, each once: on v2, and where v1 controllers share a tree, there are fewer than controllers."""
    return list(dict.fromkeys(directory for _, directory in directories))


def _ours(directories: Directories) -> Directories:
    return tuple(pair for pair in directories if is_ours(pair[1]))


def _removed(directory: str, last: bool) -> bool:
    """Whether the group is gone now, removed from the bottom up. `last`: raise if it is not."""
    try:
        knobs.rmdir(directory)  # the usual case: nobody in it, nothing below
        return True
    except OSError as error:
        if error.errno == errno.ENOENT:
            return True
    try:
        for path in knobs.subtree(directory):
            knobs.rmdir(path)
    except OSError as error:
        if last or error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
            raise
        return False
    return True


def driver(directories: Directories, directory: str) -> ModuleType:
    """The version of one directory: the v2 tree is known by its name."""
    return v2 if directory == dict(directories).get(UNIFIED) else v1


def _freezer(directories: Directories) -> tuple[ModuleType, str]:
    where = dict(directories)
    if UNIFIED in where:
        return v2, where[UNIFIED]
    if "freezer" in where:
        return v1, where["freezer"]
    raise NotPossibleHere("the group cannot be frozen", condition="neither a v2 tree nor v1's freezer is usable here",
                          cure="mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")  # fmt: skip
