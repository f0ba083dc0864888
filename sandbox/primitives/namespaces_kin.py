"""Whose a namespace is, and in which one it lies: questions that are put to a descriptor of it. ioctl_ns(2)."""

import fcntl
import os
import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

from ..linux import constants as c

#: The kinds that are nested, one namespace in another; the others stand side by side.
NESTED = ("pid", "user")


class Kin(NamedTuple):
    """A namespace: its number, which is its inode; the user namespace that owns it; the one that it lies in; and, of a user
    namespace, who made it, as a user of the reader's own. 0 and None: there is none, or we may not see it."""

    kind: str
    id: int
    owner: int
    parent: int
    uid: int | None


def kin(kind: str, path: str, known: Container[int]) -> Iterator[Kin]:
    """The namespace behind a file such as /proc/PID/ns/net, and all that own it or that it lies in, unless they are known.

    So those are found, too, in which no process is left. Raises OSError: it can't be opened.
    """
    waiting = [(kind, os.open(path, os.O_RDONLY | os.O_CLOEXEC))]
    try:
        while waiting:
            kind, fd = waiting.pop()
            try:
                number = os.fstat(fd).st_ino
                if number in known:
                    continue
                owner = _ask(fd, c.NS_GET_USERNS)
                parent = _ask(fd, c.NS_GET_PARENT) if kind in NESTED else -1
                waiting += [(other, found) for other, found in (("user", owner), (kind, parent)) if found >= 0]
                yield Kin(kind, number, _number(owner), _number(parent), _maker(fd) if kind == "user" else None)
            finally:
                os.close(fd)
    finally:
        for _, fd in waiting:
            os.close(fd)


def _ask(fd: int, question: int) -> int:
    """A descriptor of the answer, or -1: it is the first of all, or lies outside of what our own namespaces show."""
    try:
        return fcntl.ioctl(fd, question)
    except OSError:
        return -1


def _number(fd: int) -> int:
    return os.fstat(fd).st_ino if fd >= 0 else 0


def _maker(fd: int) -> int | None:
    try:
        return int(struct.unpack("=I", fcntl.ioctl(fd, c.NS_GET_OWNER_UID, bytes(4)))[0])
    except OSError:
        return None
