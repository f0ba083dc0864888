"""Layers: folders on the shelf, made once, named after what is in them, and from then on never written to."""

import fcntl
import os
from collections.abc import Callable

from .. import disk
from ..store import Home

#: What every layer of ours has: the places where a container's kernel file systems are mounted, and the usual empty folders.
FOLDERS = {
    "dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755, "sys": 0o755,
    "tmp": 0o1777, "var": 0o755, "var/lib": 0o755, "var/log": 0o755, "var/tmp": 0o1777,
}  # fmt: skip

#: Users of our own, and only those: the host's are not the container's business.
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
PROFILE = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PS1='\\u@\\h:\\w\\$ '
umask 022
"""
ETC = {"passwd": PASSWD, "group": GROUP, "hosts": HOSTS, "hostname": "", "resolv.conf": "", "profile": PROFILE}


def make(home: Home, name: str, fill: Callable[[str], None]) -> str:
    """The layer of that name; if there is none, `fill` gets an empty folder to make it in. Of two at once, one waits.

    Files belong to whoever makes them, root or an ordinary user: that user is root inside.
    """
    folder = f"{home.layers}/{name}"
    if os.path.isdir(folder):
        return folder
    temporary = f"{home.layers}/.new-{name}"
    lock = os.open(home.layers, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder):
            return folder
        if os.path.isdir(temporary):  # left by a crash, for we hold the lock
            disk.remove_tree(temporary)
        with disk.explained(home.layers):
            folder_at(temporary)
            try:
                fill(temporary)
                _sync(temporary)
                os.rename(temporary, folder)
            except BaseException:
                disk.remove_tree(temporary)
                raise
            disk.sync_folder(home.layers)
    finally:
        os.close(lock)
    return folder


def furnish(root: str) -> None:
    """The folders and the few files in /etc that every layer of ours has."""
    for path, mode in FOLDERS.items():
        folder_at(f"{root}/{path}", mode)
    for name, text in ETC.items():
        write(f"{root}/etc/{name}", text.encode())
    write(f"{root}/etc/shadow", b"root:*:::::::\nnobody:*:::::::\n", 0o600)


def folder_at(path: str, mode: int = 0o755) -> None:
    """A new folder, with this mode whatever the umask; those above it as well, where they are missing."""
    if not os.path.isdir(above := os.path.dirname(path)):
        folder_at(above)
    os.mkdir(path)
    os.chmod(path, mode)


def write(path: str, content: bytes, mode: int = 0o644) -> None:
    """A new file, with this mode whatever the umask."""
    with open(path, "xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _sync(root: str) -> None:
    """Every file and folder to the disk: after a power cut a layer is there whole, or its name is not."""
    for folder, _, names, fd in os.fwalk(root, topdown=False):
        for name in names:
            path = f"{folder}/{name}"
            if not os.path.islink(path):
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                os.fsync(file)
                os.close(file)
        os.fsync(fd)
