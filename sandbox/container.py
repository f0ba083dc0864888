"""The noun: a container, and what can be done with it; and `run`, a container for one command.

What a container is lies on the shelf (its Spec) and in the ledger (what runs); a `Container` holds only its name.
"""

import contextlib
import os
import signal as signals
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import host, images, logs
from .errors import AlreadyExists, InvalidOption, NotFound, NotPossibleHere, WrongState
from .home import home as open_home
from .job import Job, Result, explain, warnings
from .launcher import client
from .launcher.ledger import Ledger, is_alive
from .options import spec_from
from .plans import Plan, Running, Where, compile, compile_exec
from .primitives import cgroups, network
from .spec import MIB, IdMapping, Process, Spec
from .store import Home, check_name, random_name
from .trace import Trace

#: run() keeps so much of each stream in memory; all of it goes through the log.
OUTPUT_KEPT = 16 * MIB


def here(spec: Spec, home: Home) -> tuple[Spec, Where]:
    """The Spec with what this machine decides filled in, and the kind of place that it is."""
    group = f"{os.path.basename(home.runtime)}_{spec.name}"
    size = min((spec.resources.memory or 1024 * MIB) // 2, 1024 * MIB)
    spec = replace(spec, root=replace(spec.root, size=size))
    if "user" not in spec.namespaces:
        return spec, Where(privileged=True, group=group)
    mode = host.mapping_mode()
    if mode == "range" and not host.can_idmap(home.layers):
        raise NotPossibleHere(
            f"layers in {home.layers} can't be seen through an id map", condition="the file system does not support it",
            cure="set SANDBOX_HOME to a folder on ext4, xfs, btrfs or tmpfs",
        )  # fmt: skip
    if mode == "range":
        return spec, Where(privileged=True, group=group)
    uids, gids = [IdMapping(0, os.geteuid(), 1)], [IdMapping(0, os.getegid(), 1)]
    if mode == "newuidmap" and (ranges := host.subid_ranges()):
        for rows, ids in zip((uids, gids), ranges, strict=True):
            rows.append(IdMapping(1, ids.start, len(ids)))
    mapped = replace(spec, uid_mappings=tuple(uids), gid_mappings=tuple(gids))
    return mapped, Where(privileged=False, newuidmap=mode == "newuidmap", group=group)


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


@dataclass(frozen=True)
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
    home, wanted, keep, log = _place(image, command, keep, options)
    how = How(tuple(without), calls, keep, plan)
    return Job(home, request(wanted, how, home, foreground=True, log=log), wanted, stdin=stdin, interactive=interactive)


def launch(image: str | Spec, command: Sequence[str] | str | None = None, *, without: Sequence[str] = (), calls: bool = False,
           keep: bool = False, **options: Any) -> tuple["Container", Trace]:  # fmt: skip
    """Start a container in the background, where it outlives this process; returns it, and the trace of its start.

    When it ends, its record and its log stay, and its root file system goes, unless `keep`.
    """
    home, wanted, keep, log = _place(image, command, keep, options)
    how = How(tuple(without), calls, keep)
    reply, _ = client.ask(home, request(wanted, how, home, foreground=False, log=log))
    return Container(wanted.name, home), Trace.from_json(reply["trace"])


def _place(image: str | Spec, command: Sequence[str] | str | None, keep: bool, options: dict[str, Any]
           ) -> tuple[Home, Spec, bool, str]:  # fmt: skip
    """Where a new container lives, what it is, whether it stays on the shelf, and where its log is."""
    home = open_home()
    if isinstance(image, Spec):
        if command is not None or options:
            raise InvalidOption("a Spec says the command and all options itself", cure="change it: dataclasses.replace")
        wanted = image if image.name else replace(image, name=random_name())
    else:
        wanted = spec_for(image, command, **options)
    keep = keep or not host.tmpfs_user_xattr()  # before Linux 6.6 an overlay can't write to a tmpfs
    if keep:
        wanted = home.create(wanted)
    elif wanted.name and os.path.exists(home.folder(wanted.name)):
        raise AlreadyExists(f"there is a container called {wanted.name!r}", cure="choose another name, or remove that one")
    return home, wanted, keep, f"{home.folder(wanted.name)}/log" if keep else f"{home.cache}/{wanted.name}.log"


def run(
    image: str | Spec, command: Sequence[str] | str | None = None, *, stdin: bytes | None = None, **options: Any
) -> Result:
    """Run a command in a new container and wait for it. Its root file system goes when it ends, unless `keep=True`.

    Args:
        image: "busybox" or "host"; or a whole Spec, which says the command and all options itself.
        command: a list of words, or a text, which is a script for /bin/sh.
        stdin: what it reads; nothing, if left out.
        options: memory, cpus, pids, hostname, env, workdir, user, volume, … (`options.OPTIONS`); for teaching also
            without=("MaskPaths", …), calls=True, plan=…

    Raises:
        KernelRefused: a step failed: the container was never made, or there is no such program in it.
        InvalidOption, NotFound, NotPossibleHere: refused before anything was started.
    """
    return collect(spawn(image, command, stdin=stdin, **options))


def collect(job: Job) -> Result:
    """Wait for a job and keep what it writes, up to OUTPUT_KEPT bytes a stream."""
    kept: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    room = dict.fromkeys(kept, OUTPUT_KEPT)
    for stream, data in job.output():
        kept[stream].append(data[: room[stream]])
        room[stream] -= len(kept[stream][-1])
    return job.result(b"".join(kept["stdout"]), b"".join(kept["stderr"]))


@dataclass(frozen=True)
class Info:
    """What LXC's lxc-info shows. Times are seconds, sizes bytes; None: there is no such value."""

    name: str
    state: str
    pid: int | None = None
    image: str = ""
    ips: tuple[str, ...] = ()
    cpu_use: float | None = None
    blkio_use: int | None = None
    memory_use: int | None = None
    kmem_use: int | None = None
    pids: int | None = None
    link: str = ""
    tx_bytes: int | None = None
    rx_bytes: int | None = None
    begun: float | None = None  # seconds since the epoch
    exit_code: int | None = None
    reason: str = ""


class Container:
    """A container by its name. It may be on the shelf (made by `create`), only running (by `run`), or both."""

    def __init__(self, name: str, home: Home | None = None) -> None:
        self.name = check_name(name)
        self.home = home or open_home()

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.state}>"

    @classmethod
    def create(
        cls, name: str = "", image: str = "busybox", command: Sequence[str] | str | None = None, **options: Any
    ) -> "Container":
        """Put a new container on the shelf. Raises AlreadyExists."""
        home = open_home()
        made = home.create(spec_from(images.get(image, home), command, name=name or random_name(), **options))
        return cls(made.name, home)

    @classmethod
    def get(cls, name: str) -> "Container":
        """The container of that name. Raises NotFound."""
        found = cls(name)
        if not found.on_shelf and found.entry is None:
            raise NotFound(f"there is no container called {name!r}", cure="`sandbox ps -a` shows those that there are")
        return found

    @property
    def on_shelf(self) -> bool:
        return os.path.isdir(self.home.folder(self.name))

    @property
    def entry(self) -> dict[str, Any] | None:
        """What the ledger says of it, while it runs."""
        found = Ledger(f"{self.home.runtime}/ledger").entry(self.name)
        return found if found and is_alive(found) else None

    def settled(self) -> dict[str, Any] | None:
        """The same; but if it ended just now, wait until it is put away: then its record is there."""
        found = Ledger(f"{self.home.runtime}/ledger").entry(self.name)
        if found and not is_alive(found):
            client.ask(self.home, {"do": "hello"})  # which is answered after all that came before
            return self.entry
        return found

    @property
    def spec(self) -> Spec:
        if self.on_shelf:
            return self.home.load(self.name)
        if entry := self.entry:
            return Spec.from_json(entry["spec"])
        raise NotFound(f"there is no container called {self.name!r}")

    @property
    def state(self) -> str:
        """LXC's word: "RUNNING", "FROZEN" or "STOPPED"."""
        entry = self.entry
        if entry is None:
            return "STOPPED"
        return "FROZEN" if cgroups.events(directories(entry)).get("frozen") else "RUNNING"

    def start(self, *, calls: bool = False, without: Sequence[str] = ()) -> Trace:
        """Start it in the background, where it outlives this process. Returns the trace of the start.

        Raises:
            WrongState: it runs already.
            KernelRefused: a step failed.
        """
        with self.home.lock(self.name):
            if self.entry is not None:
                raise WrongState(f"the container {self.name!r} is running already")
            log = f"{self.home.folder(self.name)}/log"
            how = How(tuple(without), calls, keep=True)
            message = request(self.home.load(self.name), how, self.home, foreground=False, log=log)
            reply, _ = client.ask(self.home, message)
            return Trace.from_json(reply["trace"])

    def exec(self, command: Sequence[str] | str, *, stdin: bytes | None = None, calls: bool = False, **options: Any) -> Result:
        """Run another process in it, confined as its first one is, and wait. Options: env, workdir, user, timeout."""
        return collect(self.spawn(command, stdin=stdin, calls=calls, **options))

    def spawn(self, command: Sequence[str] | str, *, stdin: bytes | None = None, interactive: bool = False,
              tty: bool = False, calls: bool = False, **options: Any) -> Job:  # fmt: skip
        """Like `exec`, without waiting."""
        entry = self.running()
        if unknown := set(options) - {"env", "workdir", "user", "timeout", "interpreter"}:
            raise InvalidOption(f"exec does not know {sorted(unknown)[0]!r}", cure="it takes env, workdir, user, timeout")
        spec = Spec.from_json(entry["spec"])
        image = images.Image(
            spec.image, (), images.ImageConfig(env=spec.process.env, cwd=spec.process.cwd, user=spec.process.user)
        )
        asked = spec_from(image, command, tty=tty, **options)
        process: Process = replace(
            asked.process, capabilities=spec.process.capabilities, no_new_privileges=spec.process.no_new_privileges
        )
        many = not spec.uid_mappings
        where = Where(privileged=many, newuidmap=len(spec.uid_mappings) > 1)
        running = Running(entry["pid"], entry["start_time"], entry["id_base"], directories(entry))
        made = compile_exec(spec, process, running, where)
        name = f"{self.name}.exec-{os.urandom(4).hex()}"
        message = {
            "do": "start", "name": name, "in": self.name, "plan": made.to_json(), "foreground": True, "calls": calls,
            "terminal": tty, "timeout": asked.timeout,
        }  # fmt: skip
        return Job(self.home, message, spec, stdin=stdin, interactive=interactive)

    def attach(self) -> Job:
        """Take its terminal, which one at a time can have; when the job is left, the container goes on.

        Raises:
            WrongState: it does not run. (That it has no terminal, or that somebody has it, comes with the job's result.)
        """
        entry = self.running()
        message = {"do": "attach", "name": self.name, "terminal": True, "pid": entry["pid"], "log": entry["log"]}
        return Job(self.home, message, Spec.from_json(entry["spec"]))

    def running(self) -> dict[str, Any]:
        """Its entry in the ledger. Raises NotFound, and WrongState if it does not run."""
        if entry := self.entry:
            return entry
        if not self.on_shelf:
            raise NotFound(f"there is no container called {self.name!r}")
        raise WrongState(f"the container {self.name!r} is not running", cure="start it first")

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""
        self._ask({"do": "signal", "signal": number})

    def freeze(self) -> None:
        """Let no process of it go on until `unfreeze`."""
        self._ask({"do": "freeze"})

    def unfreeze(self) -> None:
        self._ask({"do": "unfreeze"})

    def stop(self, timeout: float = 10.0, signal: int = signals.SIGTERM) -> Result:
        """Ask it to end, wait up to `timeout` seconds, then kill it. Returns how it ended."""
        return self._result(self._ask({"do": "stop", "timeout": timeout, "signal": signal}))

    def kill(self) -> Result:
        """End it at once."""
        return self.stop(0.0, signals.SIGKILL)

    def wait(self) -> Result:
        """Wait until it ends; at once, if it has. Raises NotFound when nothing is known of a run of it."""
        reply, _ = client.ask(self.home, {"do": "wait", "name": self.name})
        return self._result(reply)

    def logs(self) -> Iterator[tuple[float, str, bytes]]:
        """(time, stream, bytes) of what it wrote, oldest first, running or not. Raises NotFound."""
        return logs.read(self._log())

    def follow(self) -> Iterator[tuple[float, str, bytes] | None]:
        """Like `logs`, and then what it writes until it ends; None each time when nothing more is there yet."""
        return logs.follow(self._log, lambda: self.entry is None)

    def _log(self) -> str:
        if (entry := self.settled()) is not None:
            return str(entry["log"])
        if self.on_shelf:
            return f"{self.home.folder(self.name)}/log"
        last = next((record for record in self.home.records() if record["name"] == self.name), None)
        if last is None:
            raise NotFound(f"nothing is known of a container called {self.name!r}")
        return str(last["log"])

    def destroy(self, force: bool = False) -> None:
        """Take it off the shelf, with all that it wrote. Raises WrongState while it runs, unless `force`."""
        if self.entry is not None:
            if not force:
                raise WrongState(f"the container {self.name!r} is running", cure="stop it first, or force")
            self.kill()
        if self.on_shelf:
            with self.home.lock(self.name):
                self.home.remove(self.name)

    def info(self) -> Info:
        """What LXC's lxc-info shows of it. Raises NotFound."""
        return info(self.name, self.settled(), self.home)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.running()
        return client.ask(self.home, {**message, "name": self.name})[0]

    def _result(self, ended: dict[str, Any]) -> Result:
        trace = Trace.from_json(ended.get("trace", []))
        known = Spec.from_json(ended["spec"]) if "spec" in ended else Spec()
        return Result(ended["exit_code"], b"", b"", explain(ended, known), trace, warnings(trace))


def directories(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The cgroups of a running container, from its entry in the ledger."""
    return tuple((controller, path) for controller, path in entry["cgroups"])


def info(name: str, entry: dict[str, Any] | None, home: Home) -> Info:
    """What is known of one container: of a running one from the kernel, of a finished one from its record."""
    if entry is None:
        last = next((record for record in home.records() if record["name"] == name), None)
        if last is None and not os.path.isdir(home.folder(name)):
            raise NotFound(f"there is no container called {name!r}")
        return Info(name, "STOPPED", image=home.load(name).image) if last is None else _ended(last)
    places = directories(entry)
    used = cgroups.glance(places)
    links = {link: count for link, count in network.read(entry["pid"]).items() if link != "lo"}
    link = next(iter(links), "")
    rx, tx = links.get(link, (None, None))
    io = None if used.io_read is None else used.io_read + (used.io_written or 0)
    frozen = cgroups.events(places).get("frozen")
    return Info(
        name, "FROZEN" if frozen else "RUNNING", entry["pid"], entry["spec"]["image"], (), used.cpu_seconds, io, used.memory,
        used.kernel, used.pids, link, tx, rx, entry["begun"],
    )  # fmt: skip


def _ended(record: dict[str, Any]) -> Info:
    """A finished run, from its record."""
    reason = explain(record, Spec.from_json(record["spec"])) or record.get("error", {}).get("message", "")
    return Info(
        record["name"], "STOPPED", image=record["image"], begun=record["begun"], exit_code=record["exit_code"], reason=reason
    )


def finished() -> list[Info]:
    """The last runs that ended, the newest first; 20 are kept, their files are not."""
    ledger()  # what is ending just now is put away by then
    return [_ended(record) for record in open_home().records()]


def containers(all: bool = True) -> list[Info]:
    """Every container that runs, and with `all` those that rest on the shelf, each with what it uses."""
    home = open_home()
    found = {}
    for entry in Ledger(f"{home.runtime}/ledger").entries():
        if "in" not in entry and is_alive(entry):
            with contextlib.suppress(OSError):  # it ended while we looked
                found[entry["name"]] = info(entry["name"], entry, home)
    if all:
        for name in home.names():
            if name not in found:
                found[name] = info(name, None, home)
    return sorted(found.values(), key=lambda each: each.name)


def ledger() -> list[dict[str, Any]]:
    """Every kernel object that is held for a container; empty when nothing is left of any.

    Entries of containers that are gone are first undone: by their launcher, which may be at it, or by a new one.
    """
    book = Ledger(f"{open_home().runtime}/ledger")
    entries = list(book.entries())
    if any(not is_alive(entry) for entry in entries):
        client.ask(open_home(), {"do": "hello"})
        entries = list(book.entries())
    return entries
