"""Layers: folders on the shelf, made once, named after what is in them, and from then on never written to."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from .. import disk
from ..linux import syscalls
from ..store import Home

#: What every layer of ours has: the places where a container's kernel file systems are mounted, and the usual empty folders.
FOLDERS = {
    "dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755, "sys": 0o755,
    "tmp": 0o1777, "var": 0o755, "var/lib": 0o755, "var/log": 0o755, "var/tmp": 0o1777,
}  # fmt: skip

#: More files than this go to the disk all at once, with whatever others have written to the same file system.
FEW = 100

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
    folder, temporary = f"{home.layers}/{name}", f"{home.layers}/.new-{name}"
    while not os.path.isdir(folder):
        with disk.explained(home.layers), suppress(FileExistsError):
            os.mkdir(temporary)
        try:
            lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # If we waited, the folder may be the layer by now, or have gone with an error.
            if os.path.isdir(temporary) and os.path.samestat(os.stat(temporary), os.fstat(lock)):
                with disk.explained(home.layers):
                    _make(temporary, lock, folder, fill)
        finally:
            os.close(lock)
    return folder


def _make(temporary: str, lock: int, folder: str, fill: Callable[[str], None]) -> None:
    # Left by a crash, for we hold the lock; or somebody made the layer just before we made this folder.
    if os.listdir(temporary) or os.path.isdir(folder):
        disk.remove_tree(temporary)
        return
    try:
        os.chmod(temporary, 0o755)
        fill(temporary)
        sync(temporary)
        os.rename(temporary, folder)
    except BaseException:
        disk.remove_tree(temporary)
        raise
    disk.sync_folder(os.path.dirname(folder))


def sync(folder: str) -> None:
    """All content to the disk, before the folder gets its name: after a power cut it is there whole, or its name is not.

    The names in it are in the file system's journal before that one anyway.
    """
    paths = list(islice(_files(folder), FEW + 1))
    many = len(paths) > FEW
    for path in paths[:1] if many else paths:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            (syscalls.syncfs if many else os.fsync)(fd)
        finally:
            os.close(fd)


def _files(folder: str) -> Iterator[str]:
    """Every regular file, by one of its names."""
    waiting, seen = [folder], set()
    while waiting:
        for entry in list(os.scandir(waiting.pop())):  # a list: who has enough stops in the middle
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and entry.inode() not in seen:
                seen.add(entry.inode())
                yield entry.path


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
