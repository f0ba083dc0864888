"""One room for each primitive of the kernel: its steps, and the reading of what they did. Rooms never import one another.

All are loaded together, so that every kind of step is known by its name (`step.KINDS`).
"""

from . import (
    barrier,
    capabilities,
    cgroups,
    devices,
    etc,
    hooks,
    mounts,
    namespaces,
    network,
    overlay,
    process,
    root,
    seccomp,
    sysctl,
    terminal,
    users,
)

__all__ = [
    "barrier", "capabilities", "cgroups", "devices", "etc", "hooks", "mounts", "namespaces", "network", "overlay", "process",
    "root", "seccomp", "sysctl", "terminal", "users",
]  # fmt: skip
