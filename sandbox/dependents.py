"""Which containers stand on another one's files, in LXC's own files. Paths and plain data only.

    BASE/lxc_snapshots     the overlay clones of a container, two lines for each: the folder of containers, and its name
    CLONE/lxc_rdepends     the containers that it stands on, in the same form
    BASE/snaps/            its snapshots

An entry is written before the clone is there, and taken away after it went: whatever happens in between, no base is thought
free that is not. What a crash leaves is passed over: only a clone that is there, and says so itself, counts.
"""

import os
from contextlib import suppress

from . import disk
from .errors import InvalidOption, WrongState

CLONES, BASES, SNAPSHOTS = "lxc_snapshots", "lxc_rdepends", "snaps"

#: The folder of the containers, and the name of one.
Place = tuple[str, str]


def bases(folder: str) -> list[Place]:
    """The containers that the one in `folder` stands on."""
    return _read(f"{folder}/{BASES}")


def clones(folder: str) -> list[Place]:
    """The overlay clones that stand on the container in `folder`."""
    here = os.path.split(folder)
    return [place for place in _read(f"{folder}/{CLONES}") if here in bases(os.path.join(*place))]


def has_snapshots(folder: str) -> bool:
    """Whether there are snapshots of the container in `folder`."""
    with suppress(FileNotFoundError):
        return any(name[0] != "." for name in os.listdir(f"{folder}/{SNAPSHOTS}"))
    return False


def refuse(folder: str, *, snapshots: bool = False) -> None:
    """Raises WrongState while the container in `folder` has clones, or (without `snapshots`) snapshots: it can't go."""
    name = os.path.basename(folder)
    if standing := clones(folder):
        names = ", ".join(clone for _, clone in standing)
        raise WrongState(f"Destroying {name} failed: {name} has clones", condition=f"{names} stand on its files",
                         cure="destroy them first, or all together: lxc-destroy -s")  # fmt: skip
    if has_snapshots(folder) and not snapshots:
        raise WrongState(f"Destroying {name} failed: {name} has snapshots", cure="destroy them with it: lxc-destroy -s")


def write_bases(folder: str, places: list[Place]) -> None:
    """Note what the container in `folder` stands on."""
    _write(f"{folder}/{BASES}", places)


def add(base: Place, clone: Place) -> None:
    """Note a clone at its base; hold the base's lock. What a crash left there goes."""
    folder = os.path.join(*base)
    _write(f"{folder}/{CLONES}", [*(place for place in clones(folder) if place != clone), clone])


def drop(base: Place, clone: Place) -> None:
    """Take a clone off its base's list; hold the base's lock."""
    folder = os.path.join(*base)
    left = [place for place in clones(folder) if place != clone]
    if left:
        _write(f"{folder}/{CLONES}", left)
    else:
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{CLONES}")


def _read(path: str) -> list[Place]:
    try:
        lines = disk.read_text(path).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (IsADirectoryError, InvalidOption):
        raise WrongState(
            f"{path} can't be read", condition="it says which containers stand on which, and is no text",
            cure="remove it, if no other container stands on this one, nor this one on others",
        ) from None  # fmt: skip
    return list(zip(lines[::2], lines[1::2], strict=False))


def _write(path: str, places: list[Place]) -> None:
    disk.write_text(path, "".join(f"{folder}\n{name}\n" for folder, name in places))
