"""Mounts: the tree of files that a process sees, put together piece by piece. mount_namespaces(7).

A path inside an image is hostile: it may be a symbolic link to anywhere. So a mount point is opened first, below the new
root and nowhere else (openat2(2), RESOLVE_IN_ROOT), and what is mounted on is the descriptor, not the name.
"""

import errno
import os
import stat
from contextlib import suppress

from ..errors import KernelRefused
from ..linux import constants as c
from ..linux import files, syscalls
from ..step import Step, World

#: mount(8)'s words → attributes of mount_setattr(2).
ATTRIBUTES = {
    "ro": c.MOUNT_ATTR_RDONLY, "nosuid": c.MOUNT_ATTR_NOSUID, "nodev": c.MOUNT_ATTR_NODEV, "noexec": c.MOUNT_ATTR_NOEXEC,
}  # fmt: skip
_FLAGS = {"ro": c.MS_RDONLY, "nosuid": c.MS_NOSUID, "nodev": c.MS_NODEV, "noexec": c.MS_NOEXEC}


def open_mount_point(root: str, path: str, *, directory: bool = True) -> int:
    """A descriptor (O_PATH) of `path` below `root`, made if it is missing.

    The last part may not be a symbolic link; those before it may, and are followed as the container would.
    """
    parts = [part for part in path.split("/") if part]
    opened = [os.open(root or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            so_far = "/".join(parts[: i + 1])
            flags = os.O_PATH | (os.O_NOFOLLOW if last else os.O_DIRECTORY)
            try:
                here = syscalls.openat2(opened[0], so_far, flags)
            except FileNotFoundError:
                _make(opened[-1], part, directory or not last)
                here = syscalls.openat2(opened[0], so_far, flags)
            opened.append(here)
        mode = os.fstat(opened[-1]).st_mode
        if stat.S_ISLNK(mode) or stat.S_ISDIR(mode) != directory:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "not a directory"
            raise KernelRefused("mount point", "openat2", 20, path=path, condition=f"in this image {path} is {kind}",
                                cure="an image whose mount points are links is not used")  # fmt: skip
        return opened.pop()
    finally:
        for fd in opened:
            os.close(fd)


def _make(parent: int, name: str, directory: bool) -> None:
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
    except FileExistsError:
        pass


class MakePrivate(Step):
    """Cut the ties between our copy of the mount tree and the host's: nothing mounted from here on shows outside."""

    man = "mount_namespaces(7), shared subtrees"
    see = "findmnt -o TARGET,PROPAGATION"
    touches = "mount"

    def apply(self, world: World) -> None:
        syscalls.mount(None, "/", None, c.MS_REC | c.MS_PRIVATE)


class MountScratch(Step):
    """A tmpfs that only this process sees, in which the new root is put together. `size` bounds what the container writes."""

    man = "tmpfs(5)"
    see = "grep ' - tmpfs ' /proc/PID/mountinfo"
    touches = "mount"

    size: int
    at: str = "/tmp"

    def apply(self, world: World) -> None:
        syscalls.mount("tmpfs", self.at, "tmpfs", c.MS_NODEV, f"mode=0755,size={self.size}")
        world.scratch = self.at

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return _why_no_mount(error)


class OpenTree(Step):
    """Take a folder or file of the host as a mount that is attached nowhere yet. open_tree(2).

    With `idmap`, its owners are seen through the child's user namespace: host root's files are root's inside.
    With `lenient`, a file system that can't do that is shown as it is: its owners are nobody inside.

    No part of the path may be a symbolic link: it was resolved when it was asked for, and another container that may write
    there could have put one in since.
    """

    man = "open_tree(2)"

    tree: str
    path: str
    options: tuple[str, ...] = ()
    idmap: bool = False
    recursive: bool = False
    lenient: bool = False

    def apply(self, world: World) -> str:
        place = syscalls.openat2(c.AT_FDCWD, self.path, os.O_PATH, resolve=c.RESOLVE_NO_SYMLINKS)
        try:
            flags = c.OPEN_TREE_CLONE | c.AT_EMPTY_PATH | (c.AT_RECURSIVE if self.recursive else 0)
            tree = world.trees[self.tree] = syscalls.open_tree("", flags, place)
        finally:
            os.close(place)
        wanted = sum(ATTRIBUTES[word] for word in self.options if word in ATTRIBUTES)
        mapped = self.idmap
        if mapped:
            userns = os.open(f"/proc/{world.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.mount_setattr(tree, wanted | c.MOUNT_ATTR_IDMAP, userns, propagation=c.MS_PRIVATE)
            except OSError as error:
                if not self.lenient or error.errno != errno.EINVAL:
                    raise
                mapped = False
            finally:
                os.close(userns)
        if not mapped:
            syscalls.mount_setattr(tree, wanted, propagation=c.MS_PRIVATE, recursive=self.recursive)
        return "not through an id map: its file system can't" if self.idmap and not mapped else ""

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 22 and self.idmap:
            if not files.read(f"/proc/{world.pid}/uid_map"):
                return "the child's user namespace has no id map yet", "MapIds was left out: it must come first"
            return (
                f"{self.path} lies on {files.fs_type(self.path)}, which can't be seen through an id map",
                "use a folder on ext4, xfs, btrfs or (Linux 6.3) tmpfs",
            )
        if error.errno == errno.ENOENT:
            return f"{self.path} is not there", ""
        if error.errno == errno.ELOOP:
            real = os.path.realpath(self.path)
            return f"a part of {self.path} is a symbolic link by now, and it leads to {real}", "give that, if it is meant"
        if error.errno == 22:
            return f"{self.path} has locked mounts below it, which can't be left out", "take it with all that is mounted in it"
        return "", ""


class AttachTree(Step):
    """Attach a tree at its place in the new root. move_mount(2)."""

    man = "move_mount(2)"
    see = "findmnt"
    touches = "mount"

    tree: str
    destination: str

    def apply(self, world: World) -> None:
        tree = world.take(self.tree)
        point = open_mount_point(world.root, self.destination, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
        try:
            syscalls.move_mount(tree, "", point)
        finally:
            os.close(point)
            os.close(tree)


class MountFilesystem(Step):
    """Mount a file system of the kernel's own (proc, sysfs, tmpfs, devpts, mqueue) in the new root. mount(2)."""

    man = "mount(2)"
    see = "findmnt"
    touches = "mount"

    type: str
    destination: str
    options: tuple[str, ...] = ()

    def apply(self, world: World) -> None:
        flags = sum(_FLAGS[word] for word in self.options if word in _FLAGS)
        data = ",".join(word for word in self.options if word not in _FLAGS)
        point = open_mount_point(world.root, self.destination)
        try:
            # mount(2) takes only a path: this one is the descriptor just opened, whatever its name leads to by now.
            syscalls.mount(self.type, f"/proc/self/fd/{point}", self.type, flags, data or None)
        finally:
            os.close(point)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1 and self.type in ("proc", "sysfs"):
            where = {"proc": "/proc", "sysfs": "/sys"}[self.type]
            over = [m.line for m in files.mountinfo() if m.mount_point.startswith(where)][1:]
            shown = f", as {over[0]!r} does" if over else ""
            return (
                f"a part of the host's {self.type} is mounted over{shown}: then a user namespace may not mount a fresh one",
                "outside of Docker it works; in Docker, --security-opt systempaths=unconfined",
            )
        return _why_no_mount(error)


def _why_no_mount(error: OSError) -> tuple[str, str]:
    if error.errno == 1:
        return "CAP_SYS_ADMIN is missing in the user namespace that owns this mount namespace", "see `sandbox doctor`"
    return "", ""


class Mask(Step):
    """Hide what tells too much: files behind /dev/null, directories behind an empty, read-only tmpfs."""

    man = "proc(5)"
    see = "findmnt | grep -E 'null|tmpfs'"
    touches = "mount"

    paths: tuple[str, ...]

    def apply(self, world: World) -> str:
        null = self._open_null(world)
        try:
            return f"{sum(self._mask(world.at(path), null) for path in self.paths)} of {len(self.paths)}"
        finally:
            os.close(null)

    @staticmethod
    def _open_null(world: World) -> int:
        """The one that MakeDev put there, or else the host's; never the image's, and really that device (CVE-2025-31133)."""
        for path in (world.at("/dev/null"), "/dev/null"):
            with suppress(OSError):
                null = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
                status = os.fstat(null)
                if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3):
                    return null
                os.close(null)
        raise KernelRefused("Mask", "stat", 19, path="/dev/null", condition="the host's /dev/null is not c 1:3")

    @staticmethod
    def _mask(path: str, null: int) -> bool:
        # Looked at first: a bind mount that fails is taken back with synchronize_rcu, and that may take 3 ms.
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except FileNotFoundError:
            return False
        if directory:  # a file can't be bound over it
            syscalls.mount("tmpfs", path, "tmpfs", c.MS_RDONLY | c.MS_NOSUID | c.MS_NODEV | c.MS_NOEXEC, "size=0,nr_inodes=1")
        else:
            syscalls.mount(f"/proc/self/fd/{null}", path, None, c.MS_BIND)
        return True


class MakeReadOnly(Step):
    """Make parts of the tree read-only, by a bind mount on themselves. mount_setattr(2)."""

    man = "mount_setattr(2)"
    see = "findmnt -O ro"
    touches = "mount"

    paths: tuple[str, ...]

    def apply(self, world: World) -> str:
        return f"{sum(self._seal(world.at(path)) for path in self.paths)} of {len(self.paths)}"

    @staticmethod
    def _seal(path: str) -> bool:
        try:
            tree = syscalls.open_tree(path, c.OPEN_TREE_CLONE | c.AT_RECURSIVE)
        except FileNotFoundError:
            return False
        try:
            syscalls.mount_setattr(tree, c.MOUNT_ATTR_RDONLY, recursive=True)
            syscalls.move_mount(tree, path)
        finally:
            os.close(tree)
        return True
