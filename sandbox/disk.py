"""Files on a real disk: written whole or not at all, read with suspicion, removed without harm.

After a crash a file is there as it was before or as it is now, never in part: it is written under another name, synced and
renamed. Nothing here knows what the files are about.
"""

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .errors import InvalidOption, NotPossibleHere, SandboxError, WrongState
from .linux import files


@contextmanager
def explained(folder: str) -> Iterator[None]:
    """Turn a full disk and a folder that can't be written into one clear SandboxError."""
    try:
        yield
    except SandboxError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            disk = os.statvfs(folder)
            raise SandboxError(
                f"no space left on {folder}",
                condition=f"{disk.f_bavail * disk.f_frsize >> 10} KiB and {disk.f_favail} files free",
                cure="remove containers (`sandbox rm`), or set SANDBOX_HOME to a folder with more room",
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise NotPossibleHere(
                f"{error.filename or folder} can't be written",
                condition=error.strerror or "",
                cure="set SANDBOX_HOME to a folder of your own",
            ) from None
        raise


def write_json(path: str, data: dict[str, Any], *, durable: bool = True) -> None:
    """`write_text` of `data`, as JSON."""
    write_text(path, json.dumps(data), durable=durable)


def write_text(path: str, text: str, *, durable: bool = True) -> None:
    """Write `text` to `path`, all of it or nothing. `durable` waits for the disk: not needed on tmpfs, nor for what may go."""
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{os.urandom(4).hex()}"
    with explained(folder):
        try:
            with open(temporary, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        if durable:
            sync_folder(folder)


def read_text(path: str, most: int = 1 << 20) -> str:
    """The text of a file that a person wrote, or somebody hostile. What is no UTF-8 is kept as it is (PEP 383).

    Raises:
        OSError: it can't be read.
        InvalidOption: it is no plain file, has more than `most` bytes, or holds a NUL, as no text does.
    """
    # O_NONBLOCK: a FIFO in its place must not hang us (CVE-2024-9676).
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidOption(f"{path} is no plain file")
        content = file.read(most + 1)
    if len(content) > most:
        raise InvalidOption(f"{path} is longer than {most >> 10} KiB", condition="no file of this kind is")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise InvalidOption(f"{path}:{line}: there is a NUL byte", condition="this is no text")
    return content.decode("utf-8", "surrogateescape")


def read_json(path: str) -> dict[str, Any]:
    """What `write_json` wrote. Raises FileNotFoundError, and ValueError for a file that is torn or holds something else."""
    with open(path, "rb") as file:
        text = file.read()
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no object")
    return data


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk: fsync(2) of a file does not include its name."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def set_aside(path: str) -> str:
    """Rename a file or folder that can't be read, so that it is out of the way but not lost; returns the new path."""
    aside = f"{path}.bad-{time.time_ns()}"
    with suppress(FileNotFoundError):  # another process was faster
        os.rename(path, aside)
    return aside


def remove_tree(path: str) -> None:
    """Remove a folder and all that is in it, however deep; never through a symbolic link, never across a mount.

    Folders found inside are moved to the top before they are emptied: a container may nest thousands, and neither our stack
    nor our descriptors may run out over that.

    Raises:
        WrongState: something is mounted there.
    """
    refuse_mounts(path)
    remove_unmounted_tree(path)


def remove_unmounted_tree(path: str) -> None:
    """`remove_tree` for whoever has asked `refuse_mounts` already: that reads the whole mount table."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(path, flags)
    # Names that no container can have made in advance: moving onto one of its folders would fail.
    prefix, moved = f".{os.urandom(8).hex()}-", 0
    try:
        while names := os.listdir(top):
            for name in names:
                if _unlink(name, top):
                    continue
                inner = os.open(name, flags, dir_fd=top)
                try:
                    for deeper in os.listdir(inner):
                        if not _unlink(deeper, inner):
                            os.rename(deeper, f"{prefix}{moved}", src_dir_fd=inner, dst_dir_fd=top)
                            moved += 1
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def refuse_mounts(path: str) -> None:
    """Raises WrongState if something is mounted on this folder or below it: removing would reach into that."""
    mounted = [m.mount_point for m in files.mountinfo() if f"{m.mount_point}/".startswith(f"{path}/")]
    if mounted:
        raise WrongState(
            f"{path} is still in use", condition=f"{mounted[0]} is a mount point", cure="stop the container first"
        )


def _unlink(name: str, folder: int) -> bool:
    """Whether `name` was something that could be unlinked. A folder is opened up instead: overlay leaves some of mode 0."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        os.chmod(name, 0o700, dir_fd=folder)
        return False
    return True
