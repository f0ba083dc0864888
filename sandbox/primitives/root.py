"""The root: which folder is "/", and how the old one is let go. pivot_root(2), mount_namespaces(7)."""

import os
import time

from ..linux import constants as c
from ..linux import files, syscalls
from ..step import Step, World


class AttachRoot(Step):
    """Take a whole folder as the new root, and write to it in place: what LXC does with rootfs/. move_mount(2).

    Its tree was opened outside, through the id map: on disk the files belong to plain users, root among them.
    """

    man = "move_mount(2)"
    see = "findmnt /"
    touches = "mount"

    tree: str

    def apply(self, world: World) -> None:
        tree = world.take(self.tree)
        world.root = f"{world.scratch}/root"
        os.mkdir(world.root)
        try:
            syscalls.move_mount(tree, world.root)
        finally:
            os.close(tree)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return ("what was given as the root is no folder", "") if error.errno == 22 else ("", "")


class PivotRoot(Step):
    """Make the new tree "/", and let go of the old one: no path leads back. pivot_root(2)."""

    man = "pivot_root(2)"
    see = "ls -l /proc/PID/root"
    touches = "mount"

    def apply(self, world: World) -> None:
        os.chdir(world.root)
        # The old root ends up stacked on the new one, in the same place, and is taken away from there. pivot_root(2), NOTES.
        syscalls.pivot_root(".", ".")
        syscalls.umount2(".", c.MNT_DETACH)
        os.chdir("/")
        world.root = world.scratch = ""

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        top = next((m for m in files.mountinfo() if m.mount_point == "/"), None)
        points = [m.mount_point for m in files.mountinfo()]
        if error.errno == 22 and top and any(word.startswith("shared") for word in top.propagation):
            return (
                f"the mount of / is shared (mountinfo: {top.line})",
                "MakePrivate makes it private (mount --make-rprivate /)",
            )
        if error.errno == 22 and top and top.fstype == "rootfs":
            return "/ is the initial ramfs, which can't be moved", "boot with a real root file system (switch_root)"
        if not world.root:
            return "there is no new root yet", "MountOverlay was left out: it makes the new root"
        if error.errno in (22, 16) and world.root not in points:
            return (
                f"{world.root} is no mount point of its own",
                "the new root must be a mount: MountOverlay makes one",
            )
        return "", ""


class Chroot(Step):
    """Let "/" be the new tree for this process and what it starts. chroot(2).

    Only where names are looked up changes: the old tree stays mounted, and who may chroot(2) once more gets out.
    """

    man = "chroot(2)"
    see = "ls -l /proc/PID/root"

    def apply(self, world: World) -> None:
        start = time.monotonic_ns()
        os.chroot(world.root)
        os.chdir("/")  # or it would still stand outside
        syscalls.note("chroot", repr(world.root), 0, start)
        world.root = world.scratch = ""

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if not world.root:
            return "there is no new root yet", "AttachRoot or MountOverlay was left out: it makes the new root"
        return "", ""


class ReadOnlyRoot(Step):
    """Make the root itself read-only; what is mounted below it stays as it is."""

    man = "mount_setattr(2)"
    see = "touch /x"
    touches = "mount"

    def apply(self, world: World) -> None:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.mount_setattr(root, c.MOUNT_ATTR_RDONLY)
        finally:
            os.close(root)
