"""/dev: the nodes that every program expects, a terminal multiplexer of its own, and nothing else.

OCI runtime specification, config-linux.md, Default Devices.
"""

import os
import stat

from ..errors import KernelRefused
from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World

#: Name → device number (major, minor). /dev/console is made only for a container with a terminal.
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}  # fmt: skip


class MakeDev(Step):
    """A tmpfs on /dev with the nodes that every program expects, each bound from the host's own.

    mknod(2) of devices is refused in a user namespace, whatever its root may do; a bind mount is not. Where root inside is
    root outside (`made`), nodes are made anew, out of reach, and bound from there: else a chmod inside would be one of the
    host's /dev/null. Nothing can be opened that the container itself makes with mknod(2): /dev is mounted with nodev.
    """

    man = "null(4), random(4)"
    see = "ls -l /dev"
    touches = "mount"

    made: bool = False

    def apply(self, world: World) -> None:
        dev = world.at("/dev")
        try:
            is_directory = stat.S_ISDIR(os.lstat(dev).st_mode)
        except FileNotFoundError:
            os.mkdir(dev)
            is_directory = True
        if not is_directory:
            # CVE-2026-41579: a link here would let what follows be mounted somewhere else.
            raise KernelRefused("MakeDev", "lstat", 20, path="/dev", condition="in this image /dev is not a directory")
        syscalls.mount("tmpfs", dev, "tmpfs", c.MS_NOSUID | c.MS_NODEV | c.MS_NOEXEC, "mode=0755,size=64k")
        nodes = self._make(f"{world.scratch}/nodes") if self.made else "/dev"
        for name, number in NODES.items():
            tree = syscalls.open_tree(f"{nodes}/{name}", c.OPEN_TREE_CLONE)
            status = os.fstat(tree)
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(*number):
                raise KernelRefused("MakeDev", "stat", 19, path=f"/dev/{name}", condition=f"on this host it is not c {number}")
            os.mknod(f"{dev}/{name}", stat.S_IFREG | 0o666)  # a file to mount on
            syscalls.move_mount(tree, f"{dev}/{name}")
            os.close(tree)
        for name, target in LINKS.items():
            os.symlink(target, f"{dev}/{name}")

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if world.root:
            return "", ""
        if world.scratch:
            return "there is no new root: this is still the old one, whose /dev was just hidden", "MountOverlay was left out"
        return "the old root is gone, and with it the host's /dev, whose nodes are taken", "PivotRoot comes after MakeDev"

    @staticmethod
    def _make(folder: str) -> str:
        """The nodes, in a file system that is mounted outside of the new root."""
        os.mkdir(folder)
        syscalls.mount("tmpfs", folder, "tmpfs", c.MS_NOSUID | c.MS_NOEXEC, "mode=0700,size=64k")
        for name, number in NODES.items():
            os.mknod(f"{folder}/{name}", stat.S_IFCHR, os.makedev(*number))
            os.chmod(f"{folder}/{name}", 0o666)  # whatever the umask
        return folder
