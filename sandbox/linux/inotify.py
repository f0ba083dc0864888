"""inotify: the kernel tells by itself when a folder or a file changes. inotify(7)."""

import os
import struct
from typing import NamedTuple

from .syscalls import _call, _libc, _text

_HEAD = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, len; the name follows


class Event(NamedTuple):
    """One change: which watch saw it, what it was (IN_… bits), and in a watched folder the name of the file."""

    watch: int
    mask: int
    name: str


def init() -> int:
    """A descriptor that becomes readable when something has changed. inotify_init1(2)."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    return _call("inotify_init1", _libc.inotify_init1, flags, shown=f"{flags:#x}")


def add_watch(fd: int, path: str, mask: int) -> int:
    """Watch a file or a folder from now on; returns the watch's number. inotify_add_watch(2)."""
    return _call(
        "inotify_add_watch", _libc.inotify_add_watch, fd, _text(path), mask, shown=f"{fd}, {path!r}, {mask:#x}", path=path
    )


def read(fd: int) -> list[Event]:
    """What has changed since the last time, in order; nothing, if nothing has."""
    events = []
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return []
    while data:
        watch, mask, _, length = _HEAD.unpack_from(data)
        name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
        events.append(Event(watch, mask, os.fsdecode(name)))
        data = data[_HEAD.size + length :]
    return events
