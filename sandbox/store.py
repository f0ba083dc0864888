"""The shelf: one folder a container, with locks and atomic writes. Paths and plain data only.

    $SANDBOX_HOME/                  0700: what root of a container writes may be set-uid root on disk
        containers/NAME/            config.json (the Spec), upper/ (what the container wrote), its logs; or, made by
                                    lxc-create, config (in LXC's format), rootfs/, tmp_root_pass
        layers/ images/ cache/      what containers are made of
        records/                    the last 20 finished runs: TIME-NAME.json, TIME-NAME.log
    on tmpfs (`Home.runtime`)       what a reboot ends anyway: sockets, the ledger, who runs

On disk a file is written under another name, synced and renamed, so that after a crash it is there whole or not at all. What
can't be read all the same is set aside as NAME.bad-TIME, and the others still load.
"""

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from . import disk, lxc_config
from .errors import AlreadyExists, InvalidOption, NotFound, SandboxError, WrongState
from .immutable import immutable
from .spec import Spec

RECORDS_KEPT = 20

#: What says what a container is: the first is LXC's, the second ours.
CONFIGS = ("config", "config.json")
#: How rename(2) says that a folder which is not empty, or a file, has the name already.
_OCCUPIED = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

_ADJECTIVES = (
    "amber brave breezy bright brisk calm cheery clever cosmic cozy curious dapper eager fancy fluffy gentle golden happy "
    "honest humble jolly keen kind lively lucky mellow merry mighty misty nimble noble patient plucky polite proud quick "
    "quiet rapid rosy shiny silent sleepy snug sunny swift tidy velvet witty"
)
_NOUNS = (
    "badger beaver bison brook cedar clover comet coral crane daisy dolphin egret falcon fern finch gecko heron ibex iris "
    "juniper koala lark lemur linden lynx maple marten meadow minnow moose otter panda pebble penguin pine plover puffin "
    "raven robin salmon seal sparrow tapir thistle tulip walrus willow wren"
)


def check_name(text: str) -> str:
    """A container's name: letters, digits, "_", "." and "-", at most 63, a letter or digit first. Raises InvalidOption."""
    if not isinstance(text, str) or not _NAME.fullmatch(text) or ".bad-" in text:
        raise InvalidOption(
            f"{text!r} is no name for a container",
            cure="use letters, digits, '_', '.' and '-', at most 63, beginning with a letter or digit",
        )
    return text


def random_name() -> str:
    """Two friendly words, such as "quiet-otter". It may be taken: whoever creates finds out."""
    number = int.from_bytes(os.urandom(4), "little")
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    return f"{adjectives[number % len(adjectives)]}-{nouns[(number >> 16) % len(nouns)]}"


@immutable
class Home:
    """The shelf at `path`, and `runtime`, its folder on tmpfs. Made by `home()`.

    `lxcpath`: the containers lie in that folder instead of containers/ (LXC's -P).
    """

    path: str
    runtime: str
    lxcpath: str = ""

    @property
    def containers(self) -> str:
        return self.lxcpath or f"{self.path}/containers"

    @property
    def layers(self) -> str:
        return f"{self.path}/layers"

    @property
    def images(self) -> str:
        return f"{self.path}/images"

    @property
    def ledger(self) -> str:
        return f"{self.runtime}/ledger"

    @property
    def cache(self) -> str:
        return f"{self.path}/cache"

    def folder(self, name: str) -> str:
        """The folder of a container, whether there is one or not. Raises InvalidOption."""
        return f"{self.containers}/{check_name(name)}"

    def create(self, spec: Spec, *, keep: bool = True) -> Spec:
        """Put a new container on the shelf; without a name it gets one. Of any number at once, exactly one wins a name.

        With `keep` it has a folder for what it writes and survives a power cut; otherwise nothing waits for the disk.

        Raises:
            AlreadyExists: the name is taken.
        """
        if not spec.name:
            while True:
                with suppress(AlreadyExists):
                    return self.create(replace(spec, name=random_name()), keep=keep)
        if keep:
            spec = replace(spec, root=replace(spec.root, upper=f"{self.folder(spec.name)}/upper"))
        with self.build(spec.name, durable=keep) as folder:
            if keep:
                for part in ("upper", "upper/upper", "upper/work"):
                    os.mkdir(f"{folder}/{part}")
                    os.chmod(f"{folder}/{part}", 0o755)  # upper/upper becomes the container's "/", for all its users
            disk.write_json(f"{folder}/config.json", spec.to_json(), durable=keep)
        return spec

    @contextmanager
    def build(self, name: str, *, durable: bool = True) -> Iterator[str]:
        """A new container's folder, to be filled; at the end it gets its name, all at once. After an error nothing is left.

        Raises:
            AlreadyExists: the name is taken. Of any number at once, exactly one wins.
        """
        folder = self.folder(name)
        if os.path.lexists(folder):  # sooner told than after the work; the rename below decides
            raise _taken(name)
        temporary = f"{self.containers}/.new-{os.urandom(8).hex()}"
        with disk.explained(self.containers):
            at_work = -1
            try:
                os.mkdir(temporary)
                at_work = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(at_work, fcntl.LOCK_EX)  # who tidies up sees that this is no leftover of a crash
                yield temporary
                os.rename(temporary, folder)  # fails over a folder that is not empty, and no container's is. rename(2)
            except BaseException as error:
                if os.path.isdir(temporary):
                    disk.remove_tree(temporary)
                if isinstance(error, OSError) and error.filename == temporary and error.errno in _OCCUPIED:
                    raise _taken(name) from None
                raise
            finally:
                if at_work >= 0:
                    os.close(at_work)
            if durable:
                disk.sync_folder(self.containers)

    def make_upper(self) -> str:
        """A folder for what a container writes that leaves nothing behind. Whoever ends it calls `remove_upper`."""
        folder = f"{self.cache}/upper-{os.urandom(8).hex()}"
        with disk.explained(self.path):
            for part in (folder, f"{folder}/upper", f"{folder}/work"):
                os.mkdir(part)
                os.chmod(part, 0o755)  # upper/ becomes the container's "/", for all its users
        return folder

    def remove_upper(self, folder: str) -> None:
        """Remove a folder that `make_upper` made; any other stays. As an ordinary user, what other ids own stays, too."""
        if os.path.dirname(folder) == self.cache:
            with suppress(OSError, SandboxError):
                disk.remove_tree(folder)

    def save(self, spec: Spec) -> None:
        """Write a changed Spec of a container that exists, and is not LXC's. Hold its lock."""
        disk.write_json(f"{self.folder(spec.name)}/config.json", spec.to_json())

    def load(self, name: str, *, aside: bool = True) -> Spec:
        """The Spec of a container. What we wrote ourselves and can't read is set aside, if `aside`. Raises NotFound."""
        folder = self.folder(name)
        lxc = f"{folder}/config"
        path = lxc if os.path.exists(lxc) else f"{folder}/config.json"
        try:
            status = os.stat(path)
            stamp = status.st_ino, status.st_mtime_ns, status.st_size
            if path not in _specs or _specs[path][0] != stamp:
                spec = lxc_config.read(folder, name) if path == lxc else Spec.from_json(disk.read_json(path))
                if spec.name != name:
                    raise ValueError(f"it is of {spec.name!r}")
                _specs[path] = stamp, spec
            return _specs[path][1]
        except InvalidOption as error:  # of a file that people write: they will mend it where it is
            raise NotFound(error.message, condition=error.condition, cure=error.cure or f"mend {path}") from None
        except (FileNotFoundError, NotADirectoryError):
            # Not ours, or somebody's editor is just writing it. The folder may be anybody's: -P names any.
            why = f"{folder} has neither config nor config.json" if os.path.isdir(folder) else ""
            raise _no_container(name, why) from None
        except (IsADirectoryError, ValueError) as error:
            raise NotFound(
                f"the container {name!r} can't be read",
                condition=f"{os.path.basename(path)}: {error}",
                cure=f"what it wrote is kept in {disk.set_aside(folder) if aside else folder}",
            ) from None

    def load_all(self) -> dict[str, Spec]:
        """The Specs of all containers that can be read."""
        found: dict[str, Spec] = {}
        for name in self.names():
            with suppress(NotFound):
                found[name] = self.load(name)
        return found

    def names(self) -> list[str]:
        """The names of all containers, sorted. What has no configuration is none: with -P, other things may lie there."""
        entries = (name for name in os.listdir(self.containers) if _NAME.fullmatch(name) and ".bad-" not in name)
        return sorted(name for name in entries if self.has(name))

    def has(self, name: str) -> bool:
        """Whether there is a container of that name: a folder with a configuration, be it one that can't be read."""
        return any(os.path.lexists(f"{self.folder(name)}/{file}") for file in CONFIGS)

    def remove(self, name: str) -> None:
        """Take a container off the shelf with all it wrote; works on a full disk. Hold its lock.

        Raises:
            NotFound: there is none.
            WrongState: something is still mounted in its folder, or that is a link.
        """
        folder = self.folder(name)
        if os.path.islink(folder):
            raise WrongState(f"{folder} is a symbolic link", condition=f"it leads to {os.path.realpath(folder)}",
                             cure="remove both yourself, if nobody else needs what is there")  # fmt: skip
        gone = f"{self.containers}/.gone-{os.urandom(8).hex()}"
        for file in CONFIGS:
            _specs.pop(f"{folder}/{file}", None)
        disk.refuse_mounts(folder)
        with disk.explained(self.containers):
            try:
                os.rename(folder, gone)  # at once, so that nobody ever sees half a container
            except FileNotFoundError:
                raise _no_container(name) from None
            disk.remove_unmounted_tree(gone)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Be alone with a container, among threads and processes. flock(2); ends with its process; can't be taken twice.

        Raises:
            NotFound: there is none, or it went while this waited.
        """
        folder = self.folder(name)
        try:
            fd = _locked(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_container(name) from None
        try:
            yield
        finally:
            os.close(fd)

    def write_record(self, record: dict[str, Any], log: str = "") -> None:
        """Keep what is to be known of a finished run (it has a "name") and its log, a file on the shelf that is moved here."""
        path = f"{self.path}/records/{time.time_ns()}-{check_name(record['name'])}"
        for half in ("", ".1") if log else ():  # it may be empty, or just one half: see logs.LogWriter
            with suppress(FileNotFoundError):
                os.rename(f"{log}{half}", f"{path}.log{half}")
        disk.write_json(f"{path}.json", record, durable=False)
        entries = os.listdir(f"{self.path}/records")
        kept = sorted(name for name in entries if name.endswith(".json") and name[0] != ".")[-RECORDS_KEPT:]
        for name in entries:
            if name[0] != "." and name.partition("-")[0] < kept[0].partition("-")[0]:
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path}/records/{name}")

    def last_record(self, name: str) -> dict[str, Any] | None:
        """What is known of the last run of that name that ended, or None."""
        return next((record for record in self.records() if record["name"] == name), None)

    def records(self) -> list[dict[str, Any]]:
        """The last finished runs, newest first, as they were written; "log" is added: the path of the log, or ""."""
        found = []
        for name in sorted(os.listdir(f"{self.path}/records"), reverse=True):
            if not name.endswith(".json") or name[0] == ".":
                continue
            path = f"{self.path}/records/{name}"
            log = f"{path.removesuffix('.json')}.log"
            try:
                found.append({**disk.read_json(path), "log": log if os.path.exists(log) else ""})
            except FileNotFoundError:  # pruned by another process just now
                continue
            except ValueError:
                disk.set_aside(path)
        return found


#: Specs that were read, by path, with what the file was then: reading 500 of them anew would take 150 ms.
_specs: dict[str, tuple[tuple[int, int, int], Spec]] = {}


def _locked(folder: str) -> int:
    while True:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(fd), os.stat(folder)):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # the one we waited for went, and another of that name came: wait for that one


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a container {name!r} already", cure="choose another name")


def _no_container(name: str, why: str = "") -> NotFound:
    return NotFound(f"there is no container {name!r}", condition=why, cure="`sandbox ps -a` lists them")
