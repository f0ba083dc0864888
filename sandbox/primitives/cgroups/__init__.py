"""Control groups: how much a container may use, and how much it does. Runs outside, on the host.

    hierarchy   where each controller is, and where our groups go        v1, v2   the files of each version
    ground      what the launcher does once                              group    usage, events, freeze, kill, remove
    turning     one limit, set or turned
    steps       MakeCgroups, SetLimits, OpenCgroups, JoinCgroups         refusals why the kernel said no
    delegation  groups handed on to an init inside

cgroups(7), cgroup_namespaces(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from .delegation import DelegateCgroups, MountCgroups
from .ground import here, prepare, release
from .group import (
    Reader,
    Usage,
    beside,
    control_file,
    events,
    events_file,
    freeze,
    frozen,
    glance,
    kill,
    oom_kills,
    processes,
    remove,
    thaw,
    usage,
)
from .hierarchy import ROOM, SYSTEM, UNIFIED, Directories, Layout, Place, place, read_layout
from .refusals import explain
from .steps import JoinCgroups, MakeCgroups, OpenCgroups, SetLimits
from .turning import NEEDS, set_limit

__all__ = [
    "NEEDS", "ROOM", "SYSTEM", "UNIFIED", "DelegateCgroups", "Directories", "JoinCgroups", "Layout", "MakeCgroups",
    "MountCgroups", "OpenCgroups", "Place", "Reader", "SetLimits", "Usage", "beside", "control_file", "events",
    "events_file", "explain", "freeze", "frozen", "glance", "here", "kill", "oom_kills", "place", "prepare", "processes",
    "read_layout", "release", "remove", "set_limit", "thaw", "usage",
]  # fmt: skip
