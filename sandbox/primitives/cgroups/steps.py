"""The steps of this room: make the group and limit it, on the host, before the child is born; then let it go in.

A plan names a group; the launcher chooses its directories (`Step.choose`), which then stay in the step: any later process
finds them there. Only when it has joined does the child unshare its cgroup namespace, or it would see the host's whole tree.
cgroups(7).
"""

from dataclasses import replace
from typing import Self

from ...errors import NotPossibleHere
from ...linux import files
from ...step import Step, World
from . import group as groups
from . import knobs, refusals
from .ground import choose, fill_cpuset, here, make_group
from .hierarchy import UNIFIED, Directories, is_ours
from .turning import NEEDS, set_limit

#: The file of a v1 group that takes single threads. Only to that one, and by the number 0, a process moves itself unhindered.
TASKS = "tasks"


def _check(directories: Directories, *, below: bool = False) -> None:
    """Nothing else is ever touched. With `below`, also what an init has made below a group of ours."""
    for path in groups.distinct(directories):
        parts = path.split("/")
        if not is_ours(path) and not (below and any(is_ours("/".join(parts[:end])) for end in range(len(parts)))):
            raise ValueError(f"{path!r} is not a control group of ours")


class MakeCgroups(Step):
    """Make the container's group: a directory in every tree. Undone with all that was made and still runs in it.

    `extra` names controllers that are joined only when needed: ("cpuset",).
    """

    lane = "outside"
    man = "cgroups(7)"
    see = "find /sys/fs/cgroup -type d -path '*container-sandbox*'"

    group: str
    extra: tuple[str, ...] = ()
    directories: Directories = ()

    def __post_init__(self) -> None:
        _check(self.directories)

    def choose(self, world: World) -> Self:
        return replace(self, directories=choose(self.group, self.extra, world))

    def apply(self, world: World) -> str:
        for directory in groups.distinct(self.directories):
            if directory != world.birthplace:
                make_group(directory)
        if cpuset := dict(self.directories).get("cpuset"):
            fill_cpuset(cpuset)
        if world.pid < 0:  # else it was born ahead of time, and in a group that was made for it
            world.birthplace = dict(self.directories).get(UNIFIED, "")
        return "" if self.directories else f"no groups: {here().at(UNIFIED).problem}"

    def undo(self) -> None:
        groups.remove(self.directories)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return refusals.explain(error)


class SetLimits(Step):
    """Set the group's limits: bytes of memory and of swap, CPUs, weight of 1 … 10,000, the CPUs allowed, processes.

    `files` are written as they are, each into the directory of its controller: ("blkio.weight", "500").
    A limit that can't be had here is refused if it is one of `explicit`; otherwise the step's result says that it is missing.
    """

    lane = "outside"
    man = "cgroups(7)"
    see = "grep . memory.max memory.limit_in_bytes pids.max cpu.max  # in the group's directories"

    group: str
    memory: int | None = None
    swap: int = 0
    cpus: float | None = None
    cpu_weight: int | None = None
    cpuset: str | None = None
    pids: int | None = None
    files: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    directories: Directories = ()

    def __post_init__(self) -> None:
        _check(self.directories)

    def choose(self, world: World) -> Self:
        return replace(self, directories=choose(self.group, self.extra, world))

    def apply(self, world: World) -> str:
        notes = []
        for limit, controller in NEEDS.items():
            value = getattr(self, limit)
            if value is not None:
                joined = controller in dict(self.directories)
                done = set_limit(self.directories, limit, value, self.swap) if joined else self._missing(limit, controller)
                notes.append(done)
        notes += [self._write(name, value) for name, value in self.files]
        return "; ".join(filter(None, notes))

    def _write(self, name: str, value: str) -> str:
        path = groups.control_file(self.directories, name)
        if not path:
            return f"{name} is not set: this machine's control groups have no such file"
        files.write(path, value)
        return ""

    def _missing(self, limit: str, controller: str) -> str:
        why = here().at(controller)
        if limit in self.explicit:
            raise NotPossibleHere(f"{limit} can't be limited here", condition=why.problem, cure=why.cure)
        return f"{limit} is not limited: {why.problem}"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return refusals.explain(error)


class OpenCgroups(Step):
    """Open the child's way into its group. In the v2 tree it was born there; in a v1 tree it goes in by itself.

    To move another process, the kernel must hold up all forks and exits of the machine, and before it may, an idle machine
    waits 10 ms (RCU). A process that moves itself holds up nobody. Whether it may is a question to whoever opened the file: so
    the launcher does that. Who was not born in its v2 group, as a command of `exec`, is moved there all the same.
    """

    lane = "outside"
    man = "cgroups(7)"
    see = "cat /proc/PID/cgroup"

    group: str
    extra: tuple[str, ...] = ()
    directories: Directories = ()

    def __post_init__(self) -> None:
        _check(self.directories, below=True)

    def choose(self, world: World) -> Self:
        # To join the group of a running container, its directories are given: this launcher's own may be others.
        return self if self.directories else replace(self, directories=choose(self.group, self.extra, world))

    def apply(self, world: World) -> str:
        unified = dict(self.directories).get(UNIFIED)
        for directory in groups.distinct(self.directories):
            if directory != unified:
                door = f"{directory}/{TASKS}"
                world.trees[door] = knobs.open_door(door)
        if not unified:
            return ""
        if unified == world.birthplace:
            return "v2: it was born there"
        files.write(f"{unified}/cgroup.procs", str(world.pid))
        return "v2: it was moved there"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return refusals.explain(error)


class JoinCgroups(Step):
    """Go into the group, in every v1 tree whose way was opened. What is started from here on is born there."""

    man = "cgroups(7)"
    see = "cat /proc/PID/cgroup"

    def apply(self, world: World) -> str:
        doors = [name for name in world.trees if name.endswith(f"/{TASKS}")]
        for door in doors:
            knobs.enter(world.take(door), door)
        return f"{len(doors)} v1 trees" if doors else ""

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return refusals.explain(error)
