"""The root file system: a folder that is written to in place, or layers under an overlay."""

import os

from ..errors import InvalidOption
from ..spec import Root
from . import values
from .draft import Draft, Row, kept

MEMORY = "tmpfs"
_OTHERS = ("loop", "nbd", "lvm", "zfs", "btrfs", "rbd", "best")


def path(draft: Draft, value: str, which: str) -> None:
    """dir:FOLDER or FOLDER; overlay:LOWER[:LOWER …]:DELTA, the uppermost first, as in overlayfs's lowerdir.

    A DELTA that is called just "tmpfs" is one in memory, which goes when the container stops (lxc-copy -e -t).
    """
    kind, colon, rest = value.partition(":")
    if value.startswith("/"):
        kind, rest = "overlay" if colon else "dir", value
    if kind == "dir":
        draft.root = f"dir:{values.path(rest)}"
    elif kind in ("overlay", "overlayfs"):
        folders = [part if part == MEMORY else values.path(part) for part in rest.split(":")]
        if len(folders) < 2 or MEMORY in folders[:-1]:
            raise InvalidOption(f"{value!r} lacks a folder", cure="write overlay:LOWER:FOLDER/upper")
        if folders[-1] != MEMORY and os.path.basename(folders[-1]) != "upper":
            # overlay needs a work folder on the same file system, and ours are always called upper and work. mount(8), overlay
            raise InvalidOption(
                f"{folders[-1]}: what the container writes has to lie in a folder called upper",
                cure=f"mkdir DIR; mv {folders[-1]} DIR/upper; mkdir DIR/work; and write DIR/upper",
            )
        draft.root = f"overlay:{':'.join(folders)}"
    else:
        what = f"a {kind} file system" if kind in _OTHERS else f"{value!r}"
        raise InvalidOption(f"{what} can't be a root here", cure="mount it, and write dir:FOLDER")


def options(draft: Draft, value: str, which: str) -> None:
    for word in value.split(","):
        name, _, content = word.strip().partition("=")
        if name == "idmap" and content != "container":
            raise InvalidOption(f"{word!r}: only the container's own id map is used", cure="write idmap=container")
        if name in ("idmap", "ro"):
            draft.root_options.add(name)
        elif name not in ("", "rw", "defaults", "nodev"):  # a root never shows devices
            draft.note(f"the root is mounted without {word.strip()}")


def root_of(draft: Draft) -> Root:
    """The Root; its paths are real ones, without links.

    Raises InvalidOption: there is none, or it holds the container's own folder, as the host's root would.
    """
    kind, _, rest = draft.root.partition(":")
    if not kind:
        raise InvalidOption(
            "there is no lxc.rootfs.path",
            condition="LXC would take the host's own root then",
            cure=f"write lxc.rootfs.path = dir:{draft.folder}/rootfs",
        )
    readonly = "ro" in draft.root_options
    # What is mapped by explicit ids lies on disk with these ids; otherwise with plain owners, seen through an id map.
    shifted = bool(draft.ids["u"]) and "idmap" not in draft.root_options
    if kind == "dir":
        return Root(path=_apart(rest, draft), readonly=readonly, shifted=shifted)
    *lowers, delta = rest.split(":")
    layers = tuple(_apart(lower, draft) for lower in reversed(lowers))
    upper = "" if delta == MEMORY else os.path.dirname(os.path.realpath(delta))
    return Root(layers=layers, upper=upper, readonly=readonly, shifted=shifted)


def _apart(folder: str, draft: Draft) -> str:
    """The real path of a folder. What holds the container itself is no root: it could rewrite its own config, a copy would
    copy itself for ever, and a link to "/" would give it the host's files.
    """
    real = os.path.realpath(folder)
    if f"{os.path.realpath(draft.folder)}/".startswith(real.rstrip("/") + "/"):
        raise InvalidOption(f"{folder} can't be its root", condition=f"{real} holds the container's own folder",
                            cure="copy what it needs to a folder of its own")  # fmt: skip
    return real


ROWS: dict[str, Row] = {
    "lxc.rootfs.path": path,
    "lxc.rootfs.options": options,
    "lxc.rootfs.mount": kept("the root is put together in a tmpfs that only the container sees"),
    "lxc.rootfs.managed": kept("what lies in the container's own folder goes with it", ("1",)),
}
