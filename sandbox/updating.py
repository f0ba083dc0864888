"""`docker update`: the limits of a container are turned while it runs, and kept for its next start.

The files of its groups are written by whoever asks, since the kernel may take its time to make room; the launcher notes it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

from . import options
from .columns import amount
from .errors import InvalidOption, KernelRefused, NotPossibleHere, WrongState
from .launcher import client
from .launcher.ledger import Entry, Ledger, directories, is_alive, refuse_half_made
from .linux.syscalls import SyscallError
from .lxc_config import Config
from .primitives import cgroups
from .spec import Resources, Spec
from .store import Home
from .values import size_text

LIMITS = {option.name: option for option in options.LIMITS}


def update(home: Home, name: str, limits: Mapping[str, Any]) -> Resources:
    """Turn limits of a container that runs or is on the shelf: at once, shown by all that tell of it, kept on the shelf.

    `limits` are options.LIMITS, with their values. If one is refused, those before it are put back. Under v2 the kernel takes
    any memory limit, and kills until it is kept.

    Raises:
        InvalidOption: none is given, or one that is no limit, or a value makes no sense.
        NotPossibleHere: a limit that this machine can't set, or that the container has not joined.
        KernelRefused: the kernel said no (v1: less memory than is used and can't be taken back).
        NotFound, WrongState: there is no such container, it ended just now, or it is being made step by step.
    """
    if strange := [name for name in limits if name not in LIMITS]:
        raise InvalidOption(f"{strange[0]!r} is no limit that can be turned", cure=f"there are: {', '.join(LIMITS)}")
    wanted = {name: value for name, value in options.parsed(limits).items() if limits[name] is not None}
    if not wanted:
        raise InvalidOption("no limit is given", cure=f"there are: {', '.join(LIMITS)}")
    kept, resources = os.path.isdir(home.folder(name)), Resources()
    with home.lock(name) if kept else nullcontext():
        refuse_half_made(Ledger(home.ledger).entry(name))
        if _runs(home, name):
            with _alone(home, name):
                resources = _turn(home, name, wanted)
                client.ask(home, {"do": "update", "name": name, "limits": wanted})
        elif not kept:
            raise _ended(name)
        return _keep(home, name, wanted) if kept else resources


def _runs(home: Home, name: str) -> Entry | None:
    entry = Ledger(home.ledger).entry(name)
    return entry if entry and is_alive(entry) else None


def _ended(name: str) -> WrongState:
    return WrongState(f"the container {name!r} ended just now")


@contextmanager
def _alone(home: Home, name: str) -> Iterator[None]:
    """One at a time turns the limits of a container, so that what is noted last is what holds. flock(2)."""
    try:
        fd = os.open(f"{home.ledger}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _ended(name) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _turn(home: Home, name: str, wanted: dict[str, Any]) -> Resources:
    """Write the new limits into the group's files; after a refusal, the old ones again."""
    entry = _runs(home, name)  # as it is now that we are alone
    if entry is None:
        raise _ended(name)
    groups, old = directories(entry), Spec.from_json(entry["spec"]).resources
    new = replace(old, **wanted)
    names = list(dict.fromkeys("memory" if name == "swap" else name for name in wanted))  # swap goes with memory
    for limit in names:
        if cgroups.NEEDS[limit] not in dict(groups):
            _refuse_missing(limit, name)
    turned = []
    try:
        for limit in names:
            turned.append(limit)
            cgroups.set_limit(groups, limit, getattr(new, limit), new.swap)
    except SyscallError as error:
        for before in turned:
            with suppress(SyscallError, KeyError):
                if getattr(old, before) is not None or before in ("memory", "pids"):
                    cgroups.set_limit(groups, before, getattr(old, before), old.swap)
        if _runs(home, name) is None:
            raise _ended(name) from None
        condition, cure = cgroups.explain(error)
        if turned[-1] == "memory":
            used = cgroups.usage(groups)
            parts = f"{amount(used.anon)} of processes, {amount(used.file)} of files, {amount(used.kernel)} of the kernel"
            condition = f"{size_text(new.memory)} are asked for, and {amount(used.memory)} are in use: {parts}"
        raise KernelRefused(
            f"update {turned[-1]}", error.call, error.errno or 0, path=str(error.filename), condition=condition, cure=cure
        ) from None
    return new


def _refuse_missing(limit: str, name: str) -> None:
    controller = cgroups.NEEDS[limit]
    place = cgroups.read_layout().at(controller)
    why = place.problem or f"{name} did not join the {controller} controller when it was started"
    raise NotPossibleHere(f"{limit} can't be limited here", condition=why, cure=place.cure or f"start it with --{limit}")


def _keep(home: Home, name: str, wanted: dict[str, Any]) -> Resources:
    """Write the new limits into the configuration of a container on the shelf, whose lock is held."""
    spec = home.load(name)
    resources = replace(spec.resources, **wanted)
    config = f"{home.folder(name)}/config"
    if os.path.exists(config):
        written = Config.read(config)
        for limit, value in wanted.items():
            key, text = _LXC[limit]
            written.set(f"lxc.cgroup2.{key}", "max" if value is None else text(value))
        written.write()
    else:
        home.save(replace(spec, resources=resources))
    return resources


#: Each limit in LXC's words, which are those of version 2. lxc.container.conf(5)
_LXC: dict[str, tuple[str, Callable[[Any], str]]] = {
    "memory": ("memory.max", str), "swap": ("memory.swap.max", str), "pids": ("pids.max", str),
    "cpus": ("cpu.max", lambda cpus: f"{round(cpus * 100_000)} 100000"), "cpu_weight": ("cpu.weight", str),
    "cpuset": ("cpuset.cpus", str),
}  # fmt: skip
