"""What belongs to a bridge of ours beside the kernel's own objects: a folder of its name on tmpfs, which is its lock as well.

    /run/container-sandbox-networks/BRIDGE/
        rules.nft  dnsmasq.conf        what nft(8) and dnsmasq(8) were told, and beside it (.said) what they said
        dnsmasq.pid  hosts/  dhcp/     the server, and who it knows
        forwarding                     settings of the host that were changed for it
        index                          of the bridge, when all of it was made

Whoever plugs a container in holds a shared lock meanwhile; who finds the bridge without ports takes it down if nobody does.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...linux import files

STATE = "/run/container-sandbox-networks"


def folder_of(bridge: str) -> str:
    """The folder of a bridge."""
    return f"{STATE}/{bridge}"


def lock(bridge: str, how: int) -> int:
    """The folder of a bridge, made if it is missing and locked: close the descriptor, and it is free. flock(2).

    Raises:
        BlockingIOError: with LOCK_NB, when somebody else has locked it.
    """
    path = folder_of(bridge)
    while True:
        os.makedirs(path, mode=0o755, exist_ok=True)
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, how)
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was taken down between our open and our lock


def is_made(bridge: str) -> bool:
    """Whether the bridge was made by us, and is still the same."""
    with suppress(OSError):
        return files.read(f"{folder_of(bridge)}/index") == str(socket.if_nametoindex(bridge))
    return False


def note_made(bridge: str) -> None:
    """All of the bridge was made."""
    with open(f"{folder_of(bridge)}/index", "w", encoding="ascii") as file:
        file.write(str(socket.if_nametoindex(bridge)))


@contextmanager
def base_lock() -> Iterator[None]:
    """Be alone with what all bridges share. flock(2)"""
    fd = os.open(STATE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def remove(bridge: str) -> None:
    """Take the folder of a bridge away. Hold its lock."""
    path = folder_of(bridge)
    for part in ("hosts", "dhcp", ""):
        with suppress(FileNotFoundError):
            for name in os.listdir(f"{path}/{part}"):
                with suppress(IsADirectoryError):
                    os.unlink(f"{path}/{part}/{name}")
            os.rmdir(f"{path}/{part}")
    with suppress(OSError):  # the last one
        os.rmdir(STATE)
