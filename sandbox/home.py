"""Where the shelf stands: the folder on disk ($SANDBOX_HOME) and the one on tmpfs, both ours alone."""

import errno
import fcntl
import hashlib
import os
import stat
import time
from contextlib import suppress

from . import disk
from .errors import InvalidOption, NotPossibleHere
from .linux import files
from .store import Home

#: A unix socket's path takes at most 107 bytes (unix(7)); of these, so many are left to the names below `Home.runtime`.
SOCKET_NAME = 40
_SOCKET_PATH = 107
#: Seconds in which whoever has just made a folder has locked it.
AT_WORK = 5
_PARTS = ("containers", "layers", "images", "records", "cache")

_known: dict[tuple[str, int], Home] = {}


def home() -> Home:
    """The shelf of this user: $SANDBOX_HOME, made if it is missing.

    Raises:
        NotPossibleHere: it is somebody else's, lies on overlay, or can't be written; or there is no tmpfs for sockets.
        InvalidOption: SANDBOX_HOME is a folder that holds other things.
    """
    path = shelf_path()
    known = _known.get((path, os.geteuid()))
    if known is None or not (os.path.isdir(known.path) and os.path.isdir(known.runtime)):
        known = _known[path, os.geteuid()] = Home(_open_shelf(path), _open_runtime(path))
    return known


def at(folder: str) -> Home:
    """The shelf of this user, but with its containers in another folder (LXC's -P), which is made if it is missing.

    Raises:
        NotPossibleHere: it is somebody else's, or others may enter it: what root of a container writes may be set-uid root on
            disk. It is left as it is: somebody may have meant /srv to be open.
    """
    path, usual = os.path.realpath(folder), home()
    if path == usual.containers:
        return usual
    with disk.explained(os.path.dirname(path)), suppress(FileExistsError):
        os.makedirs(path, mode=0o700)
    _refuse_strangers(path, "choose another folder")
    if _is_open(path):
        raise NotPossibleHere(
            f"containers can't be kept in {path}", condition="other users may enter it",
            cure="choose a new folder, or one that only you may enter (mode 0700)",
        )  # fmt: skip
    _tidy(path)
    return Home(usual.path, _open_runtime(path), path)


def _is_open(path: str) -> bool:
    """Whether other users may enter a folder: they must be let in by all those above it, too. path_resolution(7)."""
    while os.stat(path).st_mode & 0o011:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False


def shelf_path() -> str:
    """The absolute, real path of the shelf, whether it is there or not. Touches nothing."""
    chosen = os.environ.get("SANDBOX_HOME", "")
    if not chosen and os.geteuid() == 0:
        chosen = "/var/lib/container-sandbox"
    elif not chosen:
        data = os.environ.get("XDG_DATA_HOME", "")  # an empty or relative one is to be ignored, says its specification
        chosen = f"{data if data.startswith('/') else os.path.expanduser('~/.local/share')}/container-sandbox"
    return os.path.realpath(os.path.expanduser(chosen))


def runtime_base() -> str:
    """The folder on tmpfs below which each shelf has its own. Touches nothing."""
    uid = os.geteuid()
    base = "/run" if uid == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    found = f"{base}/container-sandbox"
    # Not all have one: in a container /run is often no tmpfs; after `su`, XDG_RUNTIME_DIR is still another user's.
    if base.startswith("/") and os.path.isdir(base) and files.fs_type(base) == "tmpfs" and os.stat(base).st_uid == uid \
            and os.access(base, os.W_OK) and len(f"{found}/{_digest('')}/") + SOCKET_NAME <= _SOCKET_PATH:  # fmt: skip
        return found
    return f"/dev/shm/container-sandbox-{uid}"


def _digest(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _open_shelf(path: str) -> str:
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    if files.fs_type(there) == "overlay":
        raise NotPossibleHere(
            f"containers can't be kept in {path}",
            condition="it lies on overlay, and an overlay's upper folder can't lie on another",
            cure="set SANDBOX_HOME to a folder on a volume (docker run -v sandbox:/data -e SANDBOX_HOME=/data/sandbox …), "
            "or, from Linux 6.3 on, on a tmpfs (SANDBOX_HOME=/dev/shm/sandbox, gone at a reboot)",
        )
    with disk.explained(there):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.isdir(path) and os.listdir(path) and not os.path.isdir(f"{path}/containers"):
            # Or SANDBOX_HOME=/ would close the whole machine to its users.
            raise InvalidOption(f"SANDBOX_HOME={path} holds other things", cure="choose an empty folder, or one to be made")
        _own(path)
        for part in _PARTS:
            with suppress(FileExistsError):
                os.mkdir(f"{path}/{part}")
    for part in ("containers", "layers"):
        _tidy(f"{path}/{part}")
    return path


def _open_runtime(shelf: str) -> str:
    base = runtime_base()
    above = os.path.dirname(base)
    if not os.path.isdir(above) or files.fs_type(above) != "tmpfs":
        raise NotPossibleHere(
            f"there is no tmpfs for sockets and running state: tried {above}",
            condition=f"it is {files.fs_type(above)}" if os.path.isdir(above) else "it is not there",
            cure="mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
        )
    path = f"{base}/{_digest(shelf)}"
    with disk.explained(above):
        _own(base)
        _own(path)
    return path


def _own(path: str) -> None:
    """Make a folder that only we may enter, or see that it is one: in /dev/shm anybody may have made it before us."""
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    cure = f"have it removed, or {'unset' if 'SANDBOX_HOME' in os.environ else 'set'} SANDBOX_HOME"
    if stat.S_IMODE(_refuse_strangers(path, cure).st_mode) != 0o700:
        os.chmod(path, 0o700)


def _refuse_strangers(path: str, cure: str) -> os.stat_result:
    """Its status. Raises NotPossibleHere: it is no folder, or not ours."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
        raise NotPossibleHere(
            f"{path} is not ours",
            condition=f"it is {kind} of user {found.st_uid}, and we are user {os.geteuid()}",
            cure=cure,
        )
    return found


def _tidy(folder: str) -> None:
    """Remove what a crash left half made (nobody has it locked, as `Home.build` and `layers.make` do) or half removed."""
    for entry in os.scandir(folder):
        if not entry.name.startswith((".new-", ".gone-")):
            continue
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > AT_WORK:
                    disk.remove_tree(entry.path)
            finally:
                os.close(fd)
        except OSError as error:
            # Locked; gone by now; no folder, so not ours; or, as an ordinary user, files of the container's other users, which
            # only it could remove.
            if error.errno not in (errno.EAGAIN, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM):
                raise
