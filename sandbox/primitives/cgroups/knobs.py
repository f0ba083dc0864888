"""The files of a group: values that may not be there, directories that may be gone by now."""

import errno
import fcntl
import functools
import os
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

from ...linux import files
from ...linux.syscalls import SyscallError, note

#: So many files may be open: of about 900 groups.
_HELD = 1 << 14
#: Numbers of descriptors below this one are left to others.
_SELECTABLE = 1024
# No file of a group is longer; the kernel makes it anew for each read from the beginning. seq_file
_ENOUGH = 1 << 14
# No such file in this kernel; the group was removed under us; cgroup.procs of a threaded group (its domain shows them all).
_NOT_THERE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


class Held(str):
    """A group's directory whose files stay open once they were read: to read one again takes 4 µs, and not 30."""

    def __init__(self, path: str) -> None:
        self.files: dict[str, int] = {}  # -1: there is none

    def text(self, name: str) -> str:
        """The text of one file, as `text` gives it."""
        fd = self.files.get(name)
        if fd is None:
            try:
                fd = self.files[name] = self._open(name)
            except OSError:  # EMFILE, EINVAL: we may hold no more
                return text(str(self), name)
        try:
            return os.pread(fd, _ENOUGH, 0).decode() if fd >= 0 else ""
        except OSError:  # ENODEV: the group is gone
            return ""

    def _open(self, name: str) -> int:
        try:
            fd = os.open(f"{self}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1
        try:  # out of the way: select(2) takes no number above 1,023, and others in this process may need one
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _SELECTABLE)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the files. They may be read again."""
        for fd in self.files.values():
            if fd >= 0:
                os.close(fd)
        self.files.clear()


@functools.cache
def may_hold_many() -> None:
    """Let this process have more files open, as far as it may: 17 for each group that is watched. getrlimit(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _HELD:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_HELD, hard), hard))


def text(directory: str, name: str) -> str:
    """The text of one file of a group, "" where it does not exist."""
    if isinstance(directory, Held):
        return directory.text(name)
    try:
        return files.read(f"{directory}/{name}")
    except OSError as error:
        if error.errno in _NOT_THERE:
            return ""
        raise


def number(directory: str, name: str) -> int | None:
    """The number in one file of a group; None where it does not exist, and for "max" (no limit)."""
    value = text(directory, name).strip()
    return int(value) if value.isdigit() else None


def write(directory: str, name: str, value: str) -> bool:
    """Write one file of a group; False where it does not exist. Raises SyscallError for every other refusal."""
    try:
        files.write(f"{directory}/{name}", value)
    except SyscallError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    return True


def mkdir(path: str) -> None:
    """mkdir(2), noted in the trace."""
    _call("mkdir", path, os.mkdir, path, 0o755)


def rmdir(path: str) -> None:
    """rmdir(2), noted in the trace."""
    _call("rmdir", path, os.rmdir, path)


def open_door(path: str) -> int:
    """The descriptor of a file, for whoever is handed it to write to; noted in the trace."""
    door: int = _call("open", path, os.open, path, os.O_WRONLY | os.O_CLOEXEC)
    return door


def enter(door: int, path: str) -> None:
    """Move this process into the group whose `tasks` file that is; noted in the trace."""
    _call("write", path, os.write, door, b"0")
    os.close(door)


def _call(name: str, path: str, function: Callable[..., Any], *args: object) -> Any:
    start = time.monotonic_ns()
    try:
        result = function(*args)
    except OSError as error:
        note(name, repr(path), -(error.errno or 0), start)
        raise SyscallError(name, error.errno or 0, path) from None
    note(name, repr(path), result or 0, start)
    return result


def subtree(directory: str) -> Iterator[str]:
    """A group and all groups below it, the lowest first. Nothing for one that does not exist."""
    try:
        if os.stat(directory).st_nlink == 2:  # itself and its name above: every group below would add its ".."
            yield directory
            return
        below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _NOT_THERE:
            return
        raise
    for path in below:
        yield from subtree(path)
    yield directory
