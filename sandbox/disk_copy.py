"""A folder copied whole: owners, modes, times, extended attributes, hard links, holes, devices.

Where the file system can, a file's copy shares its blocks until one of the two is written (reflink); else the kernel copies,
and no byte passes through here. The tree may be a container's, so it is hostile: a symbolic link is copied and never
followed, nothing mounted is entered, and folders may be nested deeper than our stack and our descriptors reach.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress

from .errors import SandboxError
from .linux.constants import FICLONE

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: NONBLOCK: it may have become a FIFO since we looked, which nobody may ever write to.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: How the kernel says that these files can't share blocks, or that it can't copy from one to the other.
_CANNOT = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
#: How a file system says that it has no such attributes, or none that we may set. xattr(7)
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)


def copy_tree(source: str, target: str) -> None:
    """Copy the folder `source` to `target`, which is made. After an error or an interrupt, what was copied stays.

    Raises:
        FileExistsError: `target` is there.
        SandboxError: a folder was moved while it was copied.
    """
    os.mkdir(target, 0o700)
    copy_entries(source, target)


def copy_entries(source: str, target: str, names: Sequence[str] | None = None) -> None:
    """Copy what has these names from one folder to another, which is there; without `names` all, and `target` becomes alike.

    Raises:
        FileExistsError: there is such a file.
        SandboxError: a folder was moved while it was copied.
    """
    copy = _Copy(source, target)
    try:
        copy.run(names)
    finally:
        copy.close()


class _Copy:
    """The work on one tree. Open are only the two folders we are in; the way back up is "..".

    A file with several names is copied once, and its later names are linked to that copy. To find it again, it has one more
    name while we work, its inode's number, in a folder of its own at the top.
    """

    def __init__(self, source: str, target: str) -> None:
        self.here = self.there = self.links = -1
        self.source, self.target = source, target
        self.links_path = f"{target}/.links-{os.urandom(8).hex()}"
        self.ways = [_reflink, _kernel_copy, _send]  # how bytes are copied; one that this file system refuses is left out

    def close(self) -> None:
        for fd in (self.here, self.there, self.links):
            if fd >= 0:
                os.close(fd)

    def run(self, names: Sequence[str] | None) -> None:
        self.here = os.open(self.source, _FOLDER)
        self.there = os.open(self.target, _FOLDER)
        top = os.fstat(self.here)
        # Each folder from the top down to here, with its names that are not done yet.
        levels = [(top, os.listdir(self.here) if names is None else list(names))]
        while True:
            status, left = levels[-1]
            if left:
                if inner := self._copy(left.pop(), top.st_dev):
                    levels.append((inner, os.listdir(self.here)))
                continue
            levels.pop()
            if not levels:
                break
            make_like(self.here, self.there, status)
            self._move("..")
            if not os.path.samestat(os.fstat(self.here), levels[-1][0]):
                raise SandboxError(f"{self.source} was changed while it was copied", cure="stop the container first")
        if self.links >= 0:
            for name in os.listdir(self.links):
                os.unlink(name, dir_fd=self.links)
            os.rmdir(self.links_path)
        if names is None:
            make_like(self.here, self.there, top)

    def _move(self, name: str) -> None:
        """Go into another folder, on both sides."""
        here = os.open(name, _FOLDER, dir_fd=self.here)
        os.close(self.here)
        self.here = here
        there = os.open(name, _FOLDER, dir_fd=self.there)
        os.close(self.there)
        self.there = there

    def _copy(self, name: str, device: int) -> os.stat_result | None:
        """Copy what has this name. A folder is made and entered; then its status is returned."""
        try:
            status = os.stat(name, dir_fd=self.here, follow_symlinks=False)
        except FileNotFoundError:  # it went since we listed it: the container runs
            return None
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=self.there)
            if status.st_dev == device:  # else something is mounted there
                self._move(name)
                return status
        elif status.st_nlink == 1 or not self._link(name, status):
            if stat.S_ISREG(status.st_mode):
                self._file(name)
            else:
                self._special(name, status)
            if status.st_nlink > 1:
                self._remember(name, status)
        return None

    def _link(self, name: str, status: os.stat_result) -> bool:
        """Whether the copy of this inode is there already, and took one more name."""
        try:
            os.link(str(status.st_ino), name, src_dir_fd=self.links, dst_dir_fd=self.there, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EBADF):  # it has all the names it can have; nothing has several yet
                raise
            return False
        return True

    def _remember(self, name: str, status: os.stat_result) -> None:
        if self.links < 0:
            os.mkdir(self.links_path, 0o700)
            self.links = os.open(self.links_path, _FOLDER)
        with suppress(FileExistsError):
            os.link(name, str(status.st_ino), src_dir_fd=self.there, dst_dir_fd=self.links, follow_symlinks=False)

    def _file(self, name: str) -> None:
        source = os.open(name, _READ, dir_fd=self.here)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise SandboxError(f"{self.source} was changed while it was copied", cure="stop the container first")
            target = os.open(name, _WRITE, 0o600, dir_fd=self.there)
            try:
                if status.st_size:
                    self._content(source, target, status)
                make_like(source, target, status)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _content(self, source: int, target: int, status: os.stat_result) -> None:
        while True:
            try:
                self.ways[0](source, target, status)
                return
            except OSError as error:
                if error.errno not in _CANNOT or len(self.ways) == 1:
                    raise
                del self.ways[0]

    def _special(self, name: str, status: os.stat_result) -> None:
        """A symbolic link, a device, a FIFO, a socket."""
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=self.here), name, dir_fd=self.there)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=self.there)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=self.there, follow_symlinks=False)
        # The descriptor's path reaches the folder, whatever it is called by now; its last name is not followed.
        from_path, to_path = f"/proc/self/fd/{self.here}/{name}", f"/proc/self/fd/{self.there}/{name}"
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=self.there)  # mknod obeyed our umask, and chown cleared bits
        _copy_attributes(from_path, to_path)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=self.there, follow_symlinks=False)


def _reflink(source: int, target: int, status: os.stat_result) -> None:
    """Let both files share all blocks. ioctl_ficlone(2)."""
    fcntl.ioctl(target, FICLONE, source)


def _kernel_copy(source: int, target: int, status: os.stat_result) -> None:
    """Copy what is not a hole. copy_file_range(2)."""
    _by_pieces(os.copy_file_range, source, target, status)


def _send(source: int, target: int, status: os.stat_result) -> None:
    """Copy between two file systems, or where the other ways are not known. sendfile(2)."""

    def send(source: int, target: int, count: int, at: int, to: int) -> int:
        os.lseek(target, to, os.SEEK_SET)
        return os.sendfile(target, source, at, count)

    _by_pieces(send, source, target, status)


def _by_pieces(move: Callable[[int, int, int, int, int], int], source: int, target: int, status: os.stat_result) -> None:
    end, at = status.st_size, 0
    holes = status.st_blocks * 512 < end
    while at < end:
        stop = end
        if holes:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole follows. lseek(2)
                break
            stop = os.lseek(source, at, os.SEEK_HOLE)
        while at < stop:
            moved = move(source, target, min(stop - at, 1 << 30), at, at)
            if not moved:  # it became shorter while we copied
                return
            at += moved
    if holes:
        os.ftruncate(target, end)


def make_like(source: int, target: int, status: os.stat_result) -> None:
    """Give an open file or folder all that `source`, whose status this is, has beside its content.

    In the order in which one thing does not undo another.
    """
    os.fchown(target, status.st_uid, status.st_gid)  # clears set-uid bits and file capabilities
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    _copy_attributes(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_attributes(source: int | str, target: int | str) -> None:
    follow = isinstance(source, int)
    for name in os.listxattr(source, follow_symlinks=follow):
        try:
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=follow), follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
