"""The files of a group: values that may not be there, directories that may be gone by now."""

import errno
import os
import time
from collections.abc import Iterator

from ...linux import files
from ...linux.syscalls import SyscallError, note

# No such file in this kernel; the group was removed under us; cgroup.procs of a threaded group (its domain shows them all).
_NOT_THERE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


def text(directory: str, name: str) -> str:
    """The text of one file of a group, "" where it does not exist."""
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
    _directory_call("mkdir", path)


def rmdir(path: str) -> None:
    """rmdir(2), noted in the trace."""
    _directory_call("rmdir", path)


def _directory_call(name: str, path: str) -> None:
    start = time.monotonic_ns()
    try:
        os.mkdir(path, 0o755) if name == "mkdir" else os.rmdir(path)
    except OSError as error:
        note(name, repr(path), -(error.errno or 0), start)
        raise SyscallError(name, error.errno or 0, path) from None
    note(name, repr(path), 0, start)


def subtree(directory: str) -> Iterator[str]:
    """A group and all groups below it, the lowest first. Nothing for one that does not exist."""
    try:
        below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _NOT_THERE:
            return
        raise
    for path in below:
        yield from subtree(path)
    yield directory
