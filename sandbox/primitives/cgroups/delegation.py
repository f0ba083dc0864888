"""Handing groups on: an init in a container makes groups of its own below ours, and never reaches above.

The files that set the limits of our group stay the host's; its root inside may only move processes and make groups below.
cgroups(7), "Delegation"; https://systemd.io/CONTAINER_INTERFACE.
"""

import os
from contextlib import suppress
from dataclasses import replace
from typing import Self

from ...linux import constants as c
from ...linux import files, syscalls
from ...step import Step, World
from . import group as groups
from . import refusals
from .ground import choose
from .hierarchy import Directories, is_ours

#: What the new owner needs to move processes and to hand controllers on. cgroup.subtree_control and .threads are v2's.
HANDED_OVER = ("cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control")


class DelegateCgroups(Step):
    """Make the container's root the owner of its group's directories, so that its init may make groups below.

    `owner` is a host id; -1: root of the range just claimed.
    """

    lane = "outside"
    man = "cgroups(7)"
    see = "ls -ln /sys/fs/cgroup/*/container-sandbox/*"

    group: str
    extra: tuple[str, ...] = ()
    owner: int = -1
    directories: Directories = ()

    def __post_init__(self) -> None:
        for path in groups.distinct(self.directories):
            if not is_ours(path):
                raise ValueError(f"{path!r} is not a control group of ours")

    def choose(self, world: World) -> Self:
        return replace(self, directories=choose(self.group, self.extra, world))

    def apply(self, world: World) -> str:
        owner = world.id_base if self.owner < 0 else self.owner
        for directory in groups.distinct(self.directories):
            os.chown(directory, owner, owner)
            for name in HANDED_OVER:
                with suppress(FileNotFoundError):
                    os.chown(f"{directory}/{name}", owner, owner)
        return f"to {owner}"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return refusals.explain(error)


class MountCgroups(Step):
    """Show the container its own groups in /sys/fs/cgroup, each tree as the host has it: v1, v2 or both.

    Its cgroup namespace makes our group the root of what is seen. With `readonly` it can only look. cgroup_namespaces(7).
    """

    man = "cgroup_namespaces(7)"
    see = "findmnt -t cgroup,cgroup2"
    touches = "mount"

    destination: str = "/sys/fs/cgroup"
    readonly: bool = False

    def apply(self, world: World) -> str:
        flags = c.MS_NOSUID | c.MS_NODEV | c.MS_NOEXEC | (c.MS_RDONLY if self.readonly else 0)
        top = world.at(self.destination)
        trees = [line.split(":", 2)[1] for line in files.read("/proc/self/cgroup").splitlines()]
        if trees == [""]:  # v2 alone
            syscalls.mount("cgroup2", top, "cgroup2", flags)
            return "v2"
        syscalls.mount("tmpfs", top, "tmpfs", flags & ~c.MS_RDONLY, "mode=755,size=64k")
        shown = [names for names in trees if self._mount(top, names, flags)]
        if self.readonly:
            syscalls.mount(None, top, None, c.MS_REMOUNT | c.MS_BIND | flags)
        return f"{len(shown)} of {len(trees)} trees"

    @staticmethod
    def _mount(top: str, names: str, flags: int) -> bool:
        """One tree, at the place where systemd looks for it. False for one that is mounted nowhere on the host."""
        folder = f"{top}/{names.removeprefix('name=') or 'unified'}"
        os.mkdir(folder)
        try:
            syscalls.mount("cgroup", folder, "cgroup" if names else "cgroup2", flags, names or None)
        except OSError:
            os.rmdir(folder)
            return False
        for name in names.split(",") if "," in names else ():
            os.symlink(names, f"{top}/{name}")
        return True

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return "this is not a cgroup namespace of its own, or not owned by this user namespace", "do not share cgroup"
        if error.errno == 2:
            return f"there is no {self.destination} to mount on: /sys is not there yet", "mount sysfs first"
        return "", ""
