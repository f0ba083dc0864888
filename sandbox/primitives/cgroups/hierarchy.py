"""Where each controller lives on this machine, and where our groups go.

Linux has two versions of control groups, and a machine may use both at once. So nothing here asks "v1 or v2": every
controller is looked up by itself. v1 has a tree for each controller (or pair of them), v2 one tree for all. Even without
controllers the v2 tree can freeze and kill, so it counts as one more: `UNIFIED`.

Our groups always lie below our own group, at `<own group>/container-sandbox/<name>`: a limit that somebody set for us holds
for them too. cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from ...errors import InvalidOption
from ...immutable import immutable
from ...linux import files
from . import knobs

UNIFIED = "cgroup2"
ROOM = "container-sandbox"
SUPERVISOR = "supervisor"
#: What every container joins where it is usable. "io" is v2's name of blkio.
ALWAYS = ("memory", "pids", "cpu", "cpuacct", "blkio", "io")
_ALSO = str.maketrans("", "", "-_+")
#: What a container that boots an init joins, too: it sees each tree from its own group, and not the host's.
SYSTEM = (
    "cpuset", "cpuacct", "devices", "freezer", "perf_event", "net_cls", "net_prio", "hugetlb", "rdma", "misc", "name=systemd",
)  # fmt: skip
LIMITED = ("memory", "pids", "cpu", "cpuset")
SCOPE = "start through: systemd-run --scope -p Delegate=yes COMMAND (not as root: systemd-run --user --scope …)"

#: Controller → absolute directory of one group. A controller whose directory is that of UNIFIED is a v2 one.
Directories = tuple[tuple[str, str], ...]


class Place(NamedTuple):
    """One controller: its version (0: nowhere), its mount, our own group's directory; and why it is of no use to us, if so."""

    controller: str
    version: int
    mount_point: str
    own: str
    problem: str = ""
    cure: str = ""


@immutable
class Layout:
    """The controllers of this machine, as a process sees them. Plain data: the launcher's goes to its clients."""

    places: tuple[Place, ...]

    def at(self, controller: str) -> Place:
        """Where a controller is; version 0 for one that is nowhere."""
        for place in self.places:
            if place.controller == controller:
                return place
        return Place(controller, 0, "", "", f"there is no {controller} controller here")

    @property
    def kind(self) -> str:
        """ "v1", "v2", "hybrid" (both), or "none"."""
        versions = {place.version for place in self.places} - {0}
        return "hybrid" if len(versions) == 2 else f"v{versions.pop()}" if versions else "none"

    def to_json(self) -> list[list[Any]]:
        return [list(place) for place in self.places]

    @classmethod
    def from_json(cls, rows: list[list[Any]]) -> "Layout":
        return cls(tuple(Place(*row) for row in rows))


def read_layout(mounts: Iterable[files.MountLine] | None = None, own: str | None = None, known: str | None = None) -> Layout:
    """The layout as this process sees it: from mountinfo, /proc/self/cgroup and /proc/cgroups (or from the texts given)."""
    trees = [m for m in (files.mountinfo() if mounts is None else mounts) if m.fstype in ("cgroup", "cgroup2")]
    paths = _own_paths(files.read("/proc/self/cgroup") if own is None else own)
    found: dict[str, Place] = {}
    for mount in trees:
        unified = mount.fstype == "cgroup2"
        names = [UNIFIED] if unified else [name for name in mount.super_options if name in paths]
        for name in names:
            place = _place(name, 2 if unified else 1, mount, paths.get(name, ""))
            # A tree may be mounted twice (a container's own and the host's): the first that is of use counts.
            if name not in found or found[name].problem:
                found[name] = place
    if UNIFIED in found:
        for name in knobs.text(found[UNIFIED].own, "cgroup.controllers").split():
            found.setdefault(name, found[UNIFIED]._replace(controller=name))
    for name in LIMITED:
        if name not in found:
            table = knobs.text("/proc", "cgroups") if known is None else known
            found[name] = Place(name, 0, "", "", *_why_missing(name, paths, found.get(UNIFIED), table))
    return Layout(tuple(found.values()))


@lru_cache(maxsize=16)
def place(group: str, layout: Layout, extra: tuple[str, ...] = ()) -> Directories:
    """The directories of the group called `group`, in every controller that is usable here (and those of `extra`).

    Raises:
        InvalidOption: the name cannot be that of a group.
    """
    if not group.translate(_ALSO).isalnum() or group == SUPERVISOR:
        raise InvalidOption(f"{group!r} cannot be the name of a control group", cure="use letters, digits, -, _ and +")
    # v1's freezer only without the v2 tree: a process frozen there survives SIGKILL until somebody thaws it.
    freezer = ("freezer",) if layout.at(UNIFIED).problem else ()
    # The v2 tree comes last: moving a process that is still busy costs 0.6 ms there, of one that waits 0.02 ms.
    chosen = [layout.at(name) for name in dict.fromkeys((*ALWAYS, *extra, *freezer, UNIFIED))]
    if not layout.at(UNIFIED).problem:  # its cpu.stat says what cpuacct would, and a tree less is joined
        chosen = [place for place in chosen if place.controller != "cpuacct" or "cpuacct" in extra]
    return tuple((p.controller, f"{p.own}/{ROOM}/{group}") for p in chosen if not p.problem)


def is_ours(directory: str) -> bool:
    """Whether a path is that of a group of ours. Nothing else is ever limited, emptied or removed."""
    parts = directory.split("/")
    return directory.startswith("/") and len(parts) > 2 and parts[-2] == ROOM and bool(parts[-1]) and ".." not in parts


def _own_paths(text: str) -> dict[str, str]:
    """Controller → path of our own group, from the lines of /proc/self/cgroup ("4:memory:/a/b", and "0::/a" for v2)."""
    paths = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(",") if names else [UNIFIED]:
            paths[name] = path
    return paths


def _place(name: str, version: int, mount: files.MountLine, path: str) -> Place:
    point, root = mount.mount_point, mount.root.rstrip("/")
    # Both paths are seen from our cgroup namespace; "/.." in one of them means outside of it. cgroup_namespaces(7)
    if ".." in path.split("/") or not f"{path.rstrip('/')}/".startswith(f"{root}/"):
        why = f"our own group {path} is not below what is mounted at {point} (its root is {mount.root})"
        return Place(name, version, point, "", why, "mount the tree again in this cgroup namespace")
    # The launcher may have been moved aside by `prepare`: our own group is still the one above.
    own = (point + path[len(root) :]).rstrip("/").removesuffix(f"/{ROOM}/{SUPERVISOR}")
    return Place(name, version, point, own, *_why_unusable(own, version, mount))


def _why_unusable(own: str, version: int, mount: files.MountLine) -> tuple[str, str]:
    if "ro" in mount.options or "ro" in mount.super_options:
        return f"{mount.mount_point} is mounted read-only", "inside Docker: run the outer container with --privileged"
    if not os.path.exists(f"{own}/cgroup.procs"):
        return (
            f"{own} is no group: something else is mounted over it",
            f"look at: grep {mount.mount_point} /proc/self/mountinfo",
        )
    # To move a process, v2 also wants to write cgroup.procs of the group that holds both ends of the way.
    needed = [own, f"{own}/cgroup.procs"] if version == 2 else [own]
    for path in needed:
        if not os.access(path, os.W_OK):
            return owner(path), SCOPE if version == 2 else "run as root, or have root make a group for you"
    return "", ""


def owner(path: str) -> str:
    """Who may write a path, as a sentence."""
    status = os.stat(path)
    return f"{path} belongs to uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}; we are uid {os.geteuid()}"


def _why_missing(name: str, paths: dict[str, str], unified: Place | None, table: str) -> tuple[str, str]:
    if name in paths:
        return f"the {name} hierarchy is mounted nowhere", f"mount -t cgroup -o {name} cgroup /sys/fs/cgroup/{name}"
    rows = (line.split() for line in table.splitlines())
    if any(row[0] == name and row[-1] == "0" for row in rows):
        return f"the {name} controller is switched off (/proc/cgroups)", f"boot with cgroup_enable={name}"
    if unified is None:
        return f"no cgroup tree that is mounted has the {name} controller", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    if name in knobs.text(unified.mount_point, "cgroup.controllers").split():
        return f"the groups above {unified.own} do not hand the {name} controller down to it", SCOPE
    return f"this kernel has no {name} controller", "use a kernel that has it"
