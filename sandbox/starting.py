"""From what is wanted to what runs: options → Spec → plan → launcher, and the jobs that wait for it.

`run` and `spawn` are a container for one command; it lives as long as somebody waits.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import cabling, host, images, networks
from .errors import AlreadyExists, InvalidOption, NotPossibleHere, WrongState
from .home import home as open_home
from .immutable import immutable
from .job import Job, Result
from .lanes import Plan
from .launcher.ledger import Ledger, is_alive
from .options import spec_from
from .plans import Where, compile
from .spec import MIB, IdMapping, Spec
from .store import Home, random_name

#: run() keeps so much of each stream in memory; all of it goes through the log.
OUTPUT_KEPT = 16 * MIB


def here(spec: Spec, home: Home) -> tuple[Spec, Where]:
    """The Spec with what this machine decides filled in, and the kind of place that it is."""
    # A "." would let a group be called like one of the kernel's files beside it.
    group = f"{os.path.basename(home.runtime)}_{spec.name.replace('.', '+')}"
    spec = networks.attach(home, spec)
    spec, network_of = _joined(spec, home)
    size = min((spec.resources.memory or 1024 * MIB) // 2, 1024 * MIB)
    spec = replace(spec, root=replace(spec.root, size=size))
    if is_privileged(spec):
        return spec, Where(privileged=True, group=group, network_of=network_of)
    mode = _mapping_mode(os.geteuid())
    uids, gids = [IdMapping(0, os.geteuid(), 1)], [IdMapping(0, os.getegid(), 1)]
    if mode == "newuidmap" and (ranges := host.subid_ranges()):
        for rows, ids in zip((uids, gids), ranges, strict=True):
            rows.append(IdMapping(1, ids.start, len(ids)))
    mapped = replace(spec, uid_mappings=tuple(uids), gid_mappings=tuple(gids))
    return mapped, Where(privileged=False, newuidmap=mode == "newuidmap", group=group, runtime=home.runtime)


def _joined(spec: Spec, home: Home) -> tuple[Spec, tuple[int, ...]]:
    """For who shares another container's network: whom it then knows, and the process whose network it is."""
    if not spec.join_network:
        return spec, ()
    if not is_privileged(spec):
        raise NotPossibleHere(
            "only root can share a container's network",
            condition="it belongs to the user namespace of that container, which an ordinary user would have to enter first",
            cure="run the command in it: sandbox exec",
        )
    entry = Ledger(home.ledger).entry(spec.join_network)
    if entry is None or not is_alive(entry):
        raise WrongState(f"the container {spec.join_network!r} is not running", cure="start it first: its network is shared")
    theirs = Spec.from_json(entry["spec"])
    known = replace(spec, hosts=cabling.hosts_of(theirs), nameservers=theirs.nameservers)
    return known, (entry["pid"], entry["start_time"])


def is_privileged(spec: Spec) -> bool:
    """Whether root's containers are made here: as an ordinary user we have no ids for them, be we root of a user namespace."""
    return "user" not in spec.namespaces or _mapping_mode(os.geteuid()) == "range"


@functools.cache
def _mapping_mode(euid: int) -> host.MappingMode:
    """Asked once in a process: it costs 0.1 ms, and changes only with the machine's settings."""
    return host.mapping_mode()


def plan(spec: Spec, *, without: Sequence[str] = ()) -> Plan:
    """The plan that would make this container here, as plain data; nothing is run.

    Raises:
        InvalidOption: a step of `without` is not in it, or nothing would be left.
    """
    return compile(*here(spec, open_home())).without(*without)


def spec_for(image: str, command: Sequence[str] | str | None = None, **options: Any) -> Spec:
    """What is wanted, from an image's name, a command and options (see `options.OPTIONS`). Nothing is started."""
    made = spec_from(images.get(image, open_home()), command, **options)
    return made if made.name else replace(made, name=random_name())


@immutable
class How:
    """What a start is asked for beyond the Spec."""

    without: tuple[str, ...] = ()
    calls: bool = False  # note each system call in the trace
    keep: bool = False  # the root file system stays on the shelf
    plan: Plan | None = None  # this one instead of the compiled one


def request(spec: Spec, how: How, home: Home, *, foreground: bool, log: str) -> dict[str, Any]:
    """The launcher's message that starts a container."""
    placed, where = here(spec, home)
    made = how.plan or compile(placed, where).without(*how.without)
    return {
        "do": "start", "name": spec.name, "plan": made.to_json(), "spec": placed.to_json(), "calls": how.calls,
        "foreground": foreground, "terminal": spec.process.terminal, "log": log, "keep": how.keep,
        "timeout": spec.timeout,
    }  # fmt: skip


def spawn(image: str | Spec, command: Sequence[str] | str | None = None, *, stdin: bytes | None = None,
          interactive: bool = False, without: Sequence[str] = (), calls: bool = False, keep: bool = False,
          plan: Plan | None = None, **options: Any) -> Job:  # fmt: skip
    """Start a container in the foreground, and return at once: it lives as long as somebody waits for it.

    With `interactive` its standard input stays open, for `Job.write` and `Job.feed`.
    """
    home, wanted, log = place(image, command, keep, options)
    how = How(tuple(without), calls, keep, plan)
    return Job(home, request(wanted, how, home, foreground=True, log=log), wanted, stdin=stdin, interactive=interactive)


def place(image: str | Spec, command: Sequence[str] | str | None, keep: bool, options: dict[str, Any]
           ) -> tuple[Home, Spec, str]:  # fmt: skip
    """Where a new container lives, what it is, and where its log is."""
    if options.pop("detach", False):
        raise InvalidOption("detach: who calls this waits for the container", cure="sandbox.launch(…) starts it and returns")
    home = open_home()
    if isinstance(image, Spec):
        if command is not None or options:
            raise InvalidOption("a Spec says the command and all options itself", cure="change it: dataclasses.replace")
        wanted = image if image.name else replace(image, name=random_name())
    else:
        wanted = spec_for(image, command, **options)
    if keep:
        wanted = home.create(wanted)
        return home, wanted, f"{home.folder(wanted.name)}/log"
    if wanted.name and os.path.exists(home.folder(wanted.name)):
        raise AlreadyExists(f"there is a container called {wanted.name!r}", cure="choose another name, or remove that one")
    if not host.tmpfs_user_xattr():  # before Linux 6.6 an overlay can't write to a tmpfs
        wanted = replace(wanted, root=replace(wanted.root, upper=home.make_upper()))
    return home, wanted, f"{home.cache}/{wanted.name}.log"


def run(
    image: str | Spec, command: Sequence[str] | str | None = None, *, stdin: bytes | None = None, **options: Any
) -> Result:
    """Run a command in a new container and wait for it. Its root file system goes when it ends, unless `keep=True`.

    Args:
        image: "busybox" or "host"; or a whole Spec, which says the command and all options itself.
        command: a list of words, or a text, which is a script for /bin/sh.
        stdin: what it reads; nothing, if left out.
        options: memory, cpus, pids, hostname, env, workdir, user, volume, … (`options.OPTIONS`); for teaching also
            without=("Mask", …), calls=True, plan=…

    Raises:
        KernelRefused: a step failed: the container was never made, or there is no such program in it.
        InvalidOption, NotFound, NotPossibleHere: refused before anything was started.
    """
    return collect(spawn(image, command, stdin=stdin, **options))


class Kept:
    """The beginning of each stream of a job, up to `room` bytes."""

    def __init__(self, room: int = OUTPUT_KEPT) -> None:
        self._pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._room = dict.fromkeys(self._pieces, room)

    def add(self, stream: str, data: bytes) -> None:
        """Keep of `data` what there is room for."""
        if piece := data[: self._room[stream]]:
            self._pieces[stream].append(piece)
            self._room[stream] -= len(piece)

    def streams(self) -> tuple[bytes, bytes]:
        """stdout and stderr."""
        return b"".join(self._pieces["stdout"]), b"".join(self._pieces["stderr"])


def collect(job: Job) -> Result:
    """Wait for a job and keep what it writes, up to OUTPUT_KEPT bytes a stream."""
    kept = Kept()
    for stream, data in job.output():
        kept.add(stream, data)
    return job.result(*kept.streams())
