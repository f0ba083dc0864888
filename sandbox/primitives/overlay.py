"""overlay: read-only layers below, one writable layer above, seen as one tree. Documentation/filesystems/overlayfs.rst."""

import os

from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World


class MountOverlay(Step):
    """Put the layers together to the new root. `layers` are names of trees, lowest first.

    `upper` names the tree that keeps what the container writes; "" is a part of the scratch tmpfs, gone with the container.

    Mounted by the child, inside its user namespace, always with `userxattr`: so the layers may be idmapped, upper included.
    """

    man = "Documentation/filesystems/overlayfs.rst"
    see = "grep overlay /proc/PID/mountinfo"
    touches = "mount"

    layers: tuple[str, ...]
    upper: str = ""

    def apply(self, world: World) -> str:
        for name in self.layers:
            self._attach(world, name)
        writable = f"{world.scratch}/{self.upper or 'rw'}"
        if self.upper:
            self._attach(world, self.upper)
        else:
            os.mkdir(writable)
        for part in ("upper", "work"):
            if not os.path.isdir(f"{writable}/{part}"):
                os.mkdir(f"{writable}/{part}")
        fs = syscalls.fsopen("overlay")
        syscalls.fsconfig(fs, "userxattr")
        self._add_layers(fs, [f"{world.scratch}/{name}" for name in reversed(self.layers)])
        syscalls.fsconfig(fs, "upperdir", f"{writable}/upper")
        syscalls.fsconfig(fs, "workdir", f"{writable}/work")
        syscalls.fsconfig(fs, None)
        tree = syscalls.fsmount(fs, c.MOUNT_ATTR_NODEV)  # no device that an image brings or mknod(2) makes can be opened
        world.root = f"{world.scratch}/root"
        os.mkdir(world.root)
        syscalls.move_mount(tree, world.root)
        os.close(tree)
        os.close(fs)
        return f"{len(self.layers)} layers"

    @staticmethod
    def _attach(world: World, name: str) -> None:
        tree = world.trees.pop(name)
        os.mkdir(f"{world.scratch}/{name}")
        syscalls.move_mount(tree, f"{world.scratch}/{name}")
        os.close(tree)

    @staticmethod
    def _add_layers(fs: int, paths: list[str]) -> None:
        """Topmost first. `lowerdir+` takes one at a time (Linux 6.7); before, one string of at most 255 bytes."""
        try:
            for path in paths:
                syscalls.fsconfig(fs, "lowerdir+", path)
        except OSError as error:
            if error.errno != 22 or path != paths[0]:
                raise
            syscalls.fsconfig(fs, "lowerdir", ":".join(paths))

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return "overlay in a user namespace needs Linux 5.11", "use a newer kernel, or run as root with --userns host"
        if error.errno == 19:
            return "this kernel has no overlay file system (/proc/filesystems)", "modprobe overlay"
        if error.errno == 22 and len(self.layers) > 500:
            return f"{len(self.layers)} layers; overlay takes 500 at most", "flatten the image"
        if error.errno == 22:
            return "the upper folder's file system can't be one (itself overlay, or without xattrs)", "move SANDBOX_HOME"
        return "", ""
