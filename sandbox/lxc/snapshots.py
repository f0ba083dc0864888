"""lxc-snapshot: a container as it is now, kept to come back to; in its folder, as LXC keeps it. lxc-snapshot(1).

    snaps/snap0/config, rootfs/ or overlay/, ts (when), comment

A snapshot of a container with a folder of its own is a full copy, which shares its blocks where the file system can; that of
an overlay clone is a copy of what it wrote.
"""

import os
import time
from contextlib import suppress

from .. import dependents, disk
from ..errors import NotFound
from ..immutable import immutable
from ..linux import syscalls
from ..store import Home
from . import copying


@immutable
class Snapshot:
    """`place` is the folder of all of them; `taken` says when, as LXC writes it."""

    name: str
    place: str
    taken: str
    comment: str


def take(home: Home, name: str, comment_file: str = "") -> str:
    """Keep the container as it is; returns the snapshot's name. Raises NotFound, and WrongState while it runs."""
    with home.lock(name), disk.explained(home.containers):
        copying.refuse_running(home, name)
        folder = home.folder(name)
        place = f"{folder}/{dependents.SNAPSHOTS}"
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)
        _tidy(place)
        temporary = f"{place}/.new-{os.urandom(8).hex()}"
        os.mkdir(temporary, 0o700)
        try:
            copying.duplicate(folder, name, temporary, _backing(folder))
            disk.write_text(f"{temporary}/ts", time.strftime("%Y:%m:%d %H:%M:%S"))
            if comment_file:
                disk.write_text(f"{temporary}/comment", disk.read_text(comment_file))
            number = next(n for n in range(len(os.listdir(place)) + 1) if not os.path.lexists(f"{place}/snap{n}"))
            copying.settle(temporary, f"{place}/snap{number}")
            os.rename(temporary, f"{place}/snap{number}")
        except BaseException:
            disk.remove_tree(temporary)
            raise
        disk.sync_folder(place)
        return f"snap{number}"


def names(home: Home, name: str) -> list[str]:
    """The names of a container's snapshots, oldest number first. Raises NotFound: there is no such container."""
    if not home.has(name):
        raise NotFound(f"there is no container {name!r}")
    with suppress(FileNotFoundError):
        found = (
            entry.name
            for entry in os.scandir(f"{home.folder(name)}/{dependents.SNAPSHOTS}")
            if entry.is_dir(follow_symlinks=False)
        )
        return sorted((name for name in found if name[0] != "."), key=lambda name: (len(name), name))
    return []


def listed(home: Home, name: str) -> list[Snapshot]:
    """What is known of a container's snapshots. Raises NotFound: there is no such container."""
    place = f"{home.folder(name)}/{dependents.SNAPSHOTS}"
    return [
        Snapshot(each, place, _text(f"{place}/{each}/ts").strip(), _text(f"{place}/{each}/comment"))
        for each in names(home, name)
    ]


def restore(home: Home, name: str, snapshot: str, new: str = "") -> None:
    """Make a container of a snapshot: `new`, or in place of the one it is of, whose present state is lost then.

    Raises:
        AlreadyExists, NotFound.
        WrongState: the container runs, or has clones, and would be replaced.
    """
    with home.lock(name), disk.explained(home.containers):
        folder, kept = home.folder(name), _folder(home, name, snapshot)
        if new and new != name:
            copying.make(kept, name, new, home, backing=_backing(kept))
            return
        copying.refuse_running(home, name)
        dependents.refuse(folder, snapshots=True)
        place = os.path.dirname(kept)
        _tidy(place)
        temporary = f"{place}/.new-{os.urandom(8).hex()}"
        os.mkdir(temporary, 0o700)
        try:
            copying.duplicate(kept, name, temporary, _backing(kept))
            copying.settle(temporary, folder)
            for part in sorted(os.listdir(temporary), key="config".__eq__):  # the config last: it speaks of the others
                if os.path.lexists(f"{folder}/{part}"):
                    syscalls.exchange(f"{temporary}/{part}", f"{folder}/{part}")
                else:
                    os.rename(f"{temporary}/{part}", f"{folder}/{part}")
        finally:
            disk.remove_tree(temporary)


def destroy(home: Home, name: str, snapshot: str) -> None:
    """Destroy a snapshot, or all of them if it is "ALL". Raises NotFound."""
    with home.lock(name):
        place = f"{home.folder(name)}/{dependents.SNAPSHOTS}"
        for each in names(home, name) if snapshot == "ALL" else [snapshot]:
            os.rename(_folder(home, name, each), f"{place}/.gone-{os.urandom(8).hex()}")
        if os.path.isdir(place):
            _tidy(place)


def _folder(home: Home, name: str, snapshot: str) -> str:
    """Where a snapshot lies. Raises NotFound."""
    if snapshot not in names(home, name):
        raise NotFound(f"{name} has no snapshot {snapshot!r}", cure=f"lxc-snapshot -n {name} -L lists them")
    return f"{home.folder(name)}/{dependents.SNAPSHOTS}/{snapshot}"


def _tidy(place: str) -> None:
    """Remove what was begun or given up here; hold the container's lock, then nobody is at work on it."""
    for entry in os.listdir(place):
        if entry[0] == ".":
            disk.remove_tree(f"{place}/{entry}")


def _backing(folder: str) -> str:
    return "overlay" if os.path.isdir(f"{folder}/overlay") else "dir"


def _text(path: str) -> str:
    with suppress(FileNotFoundError):
        return disk.read_text(path)
    return ""
