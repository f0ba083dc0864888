"""Root file systems as they lie on the disk: a folder, or an overlay; copied, laid over, shown as one. What is in them is
hostile: no link in them is followed, and what is opened is looked at.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import disk_copy
from ..errors import NotPossibleHere
from ..linux import constants as c
from ..linux import syscalls
from ..spec import Root

#: Where an overlay clone keeps what it writes, below its folder; overlay wants the two side by side.
UPPER, WORK = "overlay/upper", "overlay/work"

_NO_LINKS = c.RESOLVE_IN_ROOT | c.RESOLVE_NO_SYMLINKS


def copy_root(root: Root, folder: str) -> str:
    """Copy a root, whole, to `folder`/rootfs; of an overlay, what is seen of it. Returns the line for the config."""
    if root.path:
        disk_copy.copy_tree(root.path, f"{folder}/rootfs")
    else:
        with mounted(root, readonly=True) as path:
            disk_copy.copy_tree(path, f"{folder}/rootfs")
    return f"dir:{folder}/rootfs"


def overlay_root(root: Root, folder: str, *, memory: bool = False) -> str:
    """Make a root over `root` in `folder`, with the same files and nothing copied; of an overlay, what it wrote is copied.
    Returns the line for the config. With `memory`, what is written from then on goes when it stops.
    """
    for part in ("rootfs", os.path.dirname(UPPER), WORK):
        os.mkdir(f"{folder}/{part}")
    lowers = [root.path] if root.path else list(reversed(root.layers))
    if root.upper:
        disk_copy.copy_tree(f"{root.upper}/upper", f"{folder}/{UPPER}")
    else:
        os.mkdir(f"{folder}/{UPPER}")
        with _opened(lowers[0]) as source, _opened(f"{folder}/{UPPER}") as target:
            disk_copy.make_like(source, target, os.fstat(source))  # it becomes the container's "/"
    own = f"{folder}/{UPPER}"
    return f"overlay:{':'.join([own, *lowers, 'tmpfs'] if memory else [*lowers, own])}"


@contextmanager
def mounted(root: Root, *, readonly: bool = False) -> Iterator[str]:
    """A path under which the root is seen, for this process and its children. It is a mount that nobody else meets."""
    layers = list(reversed(root.layers))
    readonly = readonly or not root.upper  # what it writes is in memory: nobody keeps it
    if root.path:
        yield root.path
        return
    try:
        mount = _overlay(root, layers, readonly)
    except PermissionError:
        raise NotPossibleHere(
            "what an overlay shows can't be seen as one folder here",
            condition=f"we are user {os.geteuid()}, and only root mounts", cure="make another overlay of it: lxc-copy -s",
        ) from None  # fmt: skip
    try:
        # The dot: where links are not followed, this one, which is none on any disk, would not be either.
        yield f"/proc/{os.getpid()}/fd/{mount}/."
    finally:
        os.close(mount)


def _overlay(root: Root, layers: list[str], readonly: bool) -> int:
    """A mount of an overlay that is attached nowhere. overlayfs.rst"""
    context = syscalls.fsopen("overlay")
    try:
        # As the container itself mounts it, or its deletions would not be understood.
        syscalls.fsconfig(context, "userxattr")
        if not readonly:
            syscalls.fsconfig(context, "upperdir", f"{root.upper}/upper")
            syscalls.fsconfig(context, "workdir", f"{root.upper}/work")
        elif root.upper:
            layers = [f"{root.upper}/upper", *layers]
        syscalls.fsconfig(context, "lowerdir", ":".join(layers))
        syscalls.fsconfig(context, None)
        return syscalls.fsmount(context)
    finally:
        os.close(context)


def set_hostname(root: Root, name: str) -> None:
    """Write the name to etc/hostname of a copy, if there is such a file, as LXC does. Where all is written to memory, the
    layer that is the copy's own has it.
    """
    if root.path:
        with _opened(root.path) as top, suppress(OSError):
            _write(top, name)
        return
    *layers, own = (*root.layers, *([f"{root.upper}/upper"] if root.upper else []))
    with _opened(own) as top:
        for layer in reversed(layers):
            with _opened(layer) as lower, suppress(OSError):
                _raise(lower, top)
                break
        with suppress(OSError):
            _write(top, name)


def _write(top: int, name: str) -> None:
    file = syscalls.openat2(top, "etc/hostname", os.O_WRONLY | os.O_NONBLOCK, resolve=_NO_LINKS)
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.truncate(file, 0)
            os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)


def _raise(lower: int, upper: int) -> None:
    """Make etc/ and etc/hostname in an overlay's upper folder, where they are missing, as they are in its lower one."""
    with _opened("etc", lower) as source:
        with suppress(FileExistsError):
            os.mkdir("etc", dir_fd=upper)
            with _opened("etc", upper) as made:
                disk_copy.make_like(source, made, os.fstat(source))
        with _opened("etc", upper) as target, suppress(FileExistsError):
            disk_copy.copy_entries(f"/proc/self/fd/{source}/.", f"/proc/self/fd/{target}/.", ["hostname"])


@contextmanager
def _opened(path: str, within: int = -1) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY
    fd = os.open(path, flags | os.O_CLOEXEC) if within < 0 else syscalls.openat2(within, path, flags, resolve=_NO_LINKS)
    try:
        yield fd
    finally:
        os.close(fd)
