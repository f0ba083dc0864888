"""Text files in which the kernel shows and takes values: /proc, /sys and the cgroup trees."""

import functools
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import constants as c
from .syscalls import SyscallError, note


def read(path: str, dirfd: int | None = None) -> str:
    """The whole text of a kernel file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("utf-8", "surrogateescape")


def write(path: str, text: str, dirfd: int | None = None) -> None:
    """Write a value to a kernel file, in one write(2) as these files demand.

    Raises:
        SyscallError: naming open or write, with the file's path.
    """
    start = time.monotonic_ns()
    call = "open"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dirfd)
        try:
            call = "write"
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        note(call, f"{path!r}, {text!r}", -(error.errno or 0), start)
        raise SyscallError(call, error.errno or 0, path) from None
    note("write", f"{path!r}, {text!r}", len(text), start)


def pairs(text: str) -> dict[str, int]:
    """A flat keyed file ("oom 0\\noom_kill 1") as a dictionary; lines of another form are left out."""
    words = text.split()
    if len(words) == 2 * text.count("\n"):  # as it nearly always is; plots read thousands of these a second
        try:
            return dict(zip(words[::2], map(int, words[1::2]), strict=True))
        except ValueError:
            pass
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.strip().lstrip("-").isdigit():
            found[key] = int(value)
    return found


def _stat(pid: int | str) -> list[str]:
    # The second field may itself hold spaces and parentheses: count from the last ")".
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def start_time(pid: int | str) -> int:
    """When a process started, in clock ticks since boot: with the pid, the name of one process. proc_pid_stat(5)."""
    return int(_stat(pid)[19])


def is_zombie(pid: int | str) -> bool:
    """Whether a process has ended and only waits to be asked how. proc_pid_stat(5)."""
    return _stat(pid)[0] in "ZX"


def is_ending(pid: int | str) -> bool:
    """Whether a process is ending or has ended: what it had goes, piece by piece. proc_pid_stat(5), flags: PF_EXITING."""
    return bool(int(_stat(pid)[6]) & c.PF_EXITING)


def exit_of_zombie(pid: int, started: int) -> int | None:
    """How a process ended, as wait(2) would tell; None if nobody waits to be asked. proc_pid_stat(5), exit_code."""
    try:
        fields = _stat(pid)
    except OSError:
        return None
    return int(fields[49]) if fields[0] == "Z" and int(fields[19]) == started else None


def parent(pid: int | str) -> int:
    """The pid of a process's parent. proc_pid_stat(5)."""
    return int(_stat(pid)[1])


def session(pid: int | str) -> int:
    """The id of a process's session: the pid of its leader. proc_pid_stat(5)."""
    return int(_stat(pid)[3])


def name(pid: int | str) -> str:
    """What `ps` shows of a process: 15 bytes. proc_pid_comm(5)."""
    return read(f"/proc/{pid}/comm").rstrip("\n")


def status(pid: int | str = "self") -> dict[str, str]:
    """/proc/PID/status: its keys, each with what stands behind the colon. proc_pid_status(5)."""
    pairs = (line.partition(":") for line in read(f"/proc/{pid}/status").splitlines())
    return {key: value.strip() for key, _, value in pairs}


@functools.cache
def boot_id() -> str:
    """The name of this boot of the kernel. random(4)."""
    return read("/proc/sys/kernel/random/boot_id").strip()


class MountLine(NamedTuple):
    """One line of mountinfo, proc_pid_mountinfo(5)."""

    line: str
    root: str
    mount_point: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]


def mountinfo(pid: int | str = "self") -> Iterator[MountLine]:
    """The mounts of a process's mount namespace, in the order of mounting."""
    for line in read(f"/proc/{pid}/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        point = fields[4].encode().decode("unicode_escape") if "\\" in fields[4] else fields[4]
        yield MountLine(
            line, fields[3], point, tuple(fields[5].split(",")), tuple(fields[6:]),
            tail[0], tail[1], tuple(tail[2].split(",")),
        )  # fmt: skip


def fs_type(path: str) -> str:
    """The file system that `path` lies on, as mountinfo calls it ("ext4", "tmpfs"), or "" if the mount is not shown there."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # The descriptor knows its mount; comparing names would go wrong under a mount that hides another. proc_pid_fdinfo(5)
        mount_id = read(f"/proc/self/fdinfo/{fd}").partition("mnt_id:")[2].split()[0]
    finally:
        os.close(fd)
    return next((m.fstype for m in mountinfo() if m.line.partition(" ")[0] == mount_id), "")
