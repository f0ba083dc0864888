"""`busybox`: one static program that is three hundred small ones. The whole image is a file, its names, and a little /etc."""

import hashlib
import os
import platform
import struct
from functools import lru_cache

from ..errors import NotPossibleHere, SandboxError
from ..store import Home
from . import layers
from .image import Image

#: Raise it when what is made below changes: a layer is never changed, only replaced by another.
RECIPE = 1
PLACES = ("/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox", "/sbin/busybox")
CARD = "A complete small Linux in one static program (busybox): a shell and the usual commands. Nothing of the host is in it."

_MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine, elf(5)
_PT_INTERP = 3


def image(home: Home) -> Image:
    """The image, made from the first static busybox found: $SANDBOX_BUSYBOX, then the usual places. Raises NotPossibleHere."""
    path = find()
    folder = layers.make(home, f"busybox-{digest(path)}", lambda root: fill(root, path))
    return Image("busybox", (folder,), card=CARD)


def is_static(path: str) -> bool:
    """Whether `path` is a 64-bit program for this machine that needs no loader: no program header is PT_INTERP. elf(5)."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return False
            machine, offset, size, count = *struct.unpack_from("<H", head, 18), *struct.unpack_from("<Q", head, 32), \
                *struct.unpack_from("<HH", head, 54)  # fmt: skip
            if machine != _MACHINES.get(platform.machine()) or size < 4:
                return False
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return False
    return len(table) == size * count and all(struct.unpack_from("<I", table, size * i)[0] != _PT_INTERP for i in range(count))


def find(chosen: str = "") -> str:
    """A static busybox: the chosen one, else $SANDBOX_BUSYBOX, else the first in the usual places. Raises NotPossibleHere."""
    chosen = chosen or os.environ.get("SANDBOX_BUSYBOX", "")
    tried = (chosen,) if chosen else PLACES
    for path in tried:
        if is_static(path):
            return path
    there = [path for path in tried if os.path.exists(path)]
    raise NotPossibleHere(
        "this needs a busybox that is linked statically",
        condition=f"{there[0]} is not" if there else f"there is none at {', '.join(tried)}",
        cure="apt install busybox-static, or set SANDBOX_BUSYBOX to one",
    )


def digest(path: str) -> str:
    """Of the program's bytes and of what `fill` makes of it; read once for each inode, size and time of change."""
    status = os.stat(path)
    return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _digest(path: str, *_identity: int) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(b"%d\0" % RECIPE + file.read()).hexdigest()[:32]


def fill(root: str, program: str, *, hard: bool = False) -> None:
    """Furnish an empty folder with the program and all its names: symbolic links to it, or `hard` ones."""
    import subprocess  # only here, when the layer is made: it takes as long to load as a container to start

    listed = subprocess.run([program, "--list-full"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    names = [name for name in listed.stdout.split() if "/" in name and ".." not in name and not name.startswith("/")]
    if listed.returncode or "bin/sh" not in names:
        raise SandboxError(f"{program} --list-full names no bin/sh", cure="set SANDBOX_BUSYBOX to a busybox with a shell")
    layers.furnish(root)
    with open(program, "rb") as file:
        layers.folder_at(f"{root}/bin")
        layers.write(f"{root}/bin/busybox", file.read(), 0o755)
    for name in names:
        if not os.path.isdir(above := os.path.dirname(f"{root}/{name}")):
            layers.folder_at(above)
        if os.path.lexists(f"{root}/{name}"):
            continue
        if hard:
            os.link(f"{root}/bin/busybox", f"{root}/{name}")
        else:
            os.symlink("/bin/busybox", f"{root}/{name}")
