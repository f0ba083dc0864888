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
        world.root = f"{world.scratch}/root"
        os.mkdir(world.root)
        self._mount([f"{world.scratch}/{name}" for name in reversed(self.layers)], writable, world.root)
        return f"{len(self.layers)} layers"

    @staticmethod
    def _attach(world: World, name: str) -> None:
        tree = world.take(name)
        os.mkdir(f"{world.scratch}/{name}")
        syscalls.move_mount(tree, f"{world.scratch}/{name}")
        os.close(tree)

    @staticmethod
    def _mount(layers: list[str], writable: str, target: str) -> None:
        """By mount(2), which takes a page of options: about 300 layers. More are given one at a time, from Linux 6.7 on.

        No device that an image brings or mknod(2) makes can be opened.
        """
        options = f"userxattr,lowerdir={':'.join(layers)},upperdir={writable}/upper,workdir={writable}/work"
        if len(options) < 4096:  # what is longer would be cut off without a word
            syscalls.mount("overlay", target, "overlay", c.MS_NODEV, options)
            return
        fs = syscalls.fsopen("overlay")
        syscalls.fsconfig(fs, "userxattr")
        for layer in layers:
            syscalls.fsconfig(fs, "lowerdir+", layer)
        syscalls.fsconfig(fs, "upperdir", f"{writable}/upper")
        syscalls.fsconfig(fs, "workdir", f"{writable}/work")
        syscalls.fsconfig(fs, None)
        tree = syscalls.fsmount(fs, c.MOUNT_ATTR_NODEV)
        syscalls.move_mount(tree, target)
        os.close(tree)
        os.close(fs)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return "overlay in a user namespace needs Linux 5.11", "use a newer kernel, or run as root with --userns host"
        if error.errno == 13 and not world.scratch:
            return "there is no scratch file system to put the new root together in", "MountScratch was left out"
        if error.errno in (13, 75):  # EACCES, EOVERFLOW
            return "this process is nobody in its user namespace, and may make no file", "MapIds or BecomeRoot was left out"
        if error.errno == 19:
            return "this kernel has no overlay file system (/proc/filesystems)", "modprobe overlay"
        if error.errno == 22 and len(self.layers) > 300:
            return f"{len(self.layers)} layers; overlay takes 500 at most, before Linux 6.7 about 300", "flatten the image"
        if error.errno == 22:
            return "the upper folder's file system can't be one (itself overlay, or without xattrs)", "move SANDBOX_HOME"
        return "", ""
