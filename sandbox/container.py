"""The noun: a container, and what can be done with it.

What a container is lies on the shelf (its Spec) and in the ledger (what runs); a `Container` holds only its name.
"""

import os
import signal as signals
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

from . import dependents, images, logs, networks, updating
from .errors import InvalidOption, NotFound, WrongState
from .home import home as open_home
from .job import Job, Result, explain, warnings
from .launcher import client
from .launcher.ledger import Ledger, directories, is_alive
from .linux import files
from .listing import Info, info
from .options import spec_from
from .plans import Running, Where, compile_exec
from .primitives import cgroups, hooks
from .spec import Process, Resources, Spec
from .starting import How, collect, is_privileged, place, request
from .store import Home, check_name, random_name
from .trace import Trace


def launch(image: str | Spec, command: Sequence[str] | str | None = None, *, without: Sequence[str] = (), calls: bool = False,
           keep: bool = False, **options: Any) -> tuple["Container", Trace]:  # fmt: skip
    """Start a container in the background, where it outlives this process; returns it, and the trace of its start.

    When it ends, its record and its log stay, and its root file system goes, unless `keep`.
    """
    home, wanted, log = place(image, command, keep, options)
    message = request(wanted, How(tuple(without), calls, keep), home, foreground=False, log=log)
    reply, _ = client.ask(home, message)
    return Container(wanted.name, home), Trace(reply["trace"], message["plan"])


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
        found = Ledger(self.home.ledger).entry(self.name)
        return found if found and is_alive(found) else None

    def settled(self) -> dict[str, Any] | None:
        """The same; but if it ended just now, wait until it is put away: then its record is there."""
        found = Ledger(self.home.ledger).entry(self.name)
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
        return "FROZEN" if cgroups.frozen(directories(entry)) else "RUNNING"

    def start(self, spec: Spec | None = None, *, calls: bool = False, without: Sequence[str] = ()) -> Trace:
        """Start it in the background, where it outlives this process. Returns the trace of the start.

        `spec` is used instead of the one on the shelf.

        Raises:
            WrongState: it runs already.
            KernelRefused: a step failed.
        """
        with self.home.lock(self.name):
            wanted, message = self._request(spec, How(tuple(without), calls, keep=True), foreground=False)
            reply, _ = client.ask(self.home, message)
        self.run_hooks("start-host", wanted)
        return Trace(reply["trace"], message["plan"])

    def start_job(self, spec: Spec | None = None, *, calls: bool = False, without: Sequence[str] = ()) -> Job:
        """Start it in the foreground: its console, or its streams, are the job's, and it ends when nobody waits any more."""
        with self.home.lock(self.name):
            wanted, message = self._request(spec, How(tuple(without), calls, keep=True), foreground=True)
            return Job(self.home, message, wanted, interactive=True)

    def _request(self, spec: Spec | None, how: How, *, foreground: bool) -> tuple[Spec, dict[str, Any]]:
        if self.entry is not None:
            raise WrongState(f"the container {self.name!r} is running already")
        wanted = spec or self.home.load(self.name)
        self.run_hooks("pre-start", wanted)
        log = f"{self.home.folder(self.name)}/log"
        return wanted, request(wanted, how, self.home, foreground=foreground, log=log)

    def run_hooks(self, when: str, spec: Spec | None = None) -> None:
        """Run the hooks of a moment that is ours: pre-start, start-host, clone, destroy. Raises KernelRefused if one fails."""
        for hook in (spec or self.home.load(self.name)).hooks:
            if hook.when == when:
                hooks.run(hook.args, {**dict(item.split("=", 1) for item in hook.env), "LXC_HOOK_TYPE": when}, when)

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
        where = Where(privileged=is_privileged(spec), newuidmap=len(spec.uid_mappings) > 1)
        beside = cgroups.beside(directories(entry), entry["pid"])
        running = Running(entry["pid"], entry["start_time"], entry["id_base"], beside)
        made = compile_exec(spec, process, running, where)
        name = f"{self.name}.exec-{os.urandom(4).hex()}"
        message = {
            "do": "start", "name": name, "in": self.name, "plan": made.to_json(), "foreground": True, "calls": calls,
            "terminal": tty, "timeout": asked.timeout,
        }  # fmt: skip
        return Job(self.home, message, spec, stdin=stdin, interactive=interactive)

    def attach(self, tty: int = 0) -> Job:
        """Take one of its terminals, which one at a time can have; when the job is left, the container goes on.

        `tty` is 0 for the console, a number for /dev/tty1 and so on, or -1 for the first of these that is free.

        Raises:
            WrongState: it does not run. (That it has no terminal, or that somebody has it, comes with the job's result.)
        """
        entry = self.running()
        log = {} if tty else {"log": entry["log"]}
        message = {"do": "attach", "name": self.name, "terminal": True, "pid": entry["pid"], "tty": tty, **log}
        return Job(self.home, message, Spec.from_json(entry["spec"]))

    def running(self) -> dict[str, Any]:
        """Its entry in the ledger. Raises NotFound, and WrongState if it does not run."""
        if entry := self.entry:
            return entry
        if not self.on_shelf:
            raise NotFound(f"there is no container called {self.name!r}")
        raise WrongState(f"the container {self.name!r} is not running", cure="start it first")

    @contextmanager
    def process(self) -> Iterator[int]:
        """Its first process's folder in /proc, open: it never becomes that of another one which gets the same number.

        Raises NotFound, and WrongState if it does not run.
        """
        folder = os.open(f"/proc/{self.running()['pid']}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.running()  # still: so it is its own
            yield folder
        finally:
            os.close(folder)

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""
        self._ask({"do": "signal", "signal": number})

    def freeze(self) -> None:
        """Let no process of it go on until `unfreeze`."""
        self._ask({"do": "freeze"})

    def unfreeze(self) -> None:
        self._ask({"do": "unfreeze"})

    def update(self, **limits: Any) -> Resources:
        """Turn its limits: memory, swap, cpus, cpu_weight, cpuset, pids, as `create` takes them. See `updating.update`."""
        if not self.on_shelf:
            self.running()
        return updating.update(self.home, self.name, limits)

    def stop(self, timeout: float = 10.0, signal: int = 0, *, kill: bool = True) -> Result | None:
        """Ask it to end, wait up to `timeout` seconds, then kill it. Returns how it ended.

        Without `signal`, by the one that its configuration names, or that its first process is known to listen to. Without
        `kill`, None is returned when it still runs.
        """
        entry = self.running()
        number = signal or self._halt_signal(entry)
        message = {"do": "stop", "name": self.name, "timeout": timeout, "signal": number, "kill": kill}
        try:
            ended, _ = client.ask(self.home, message)
        except WrongState:  # it ended by itself just now
            return self.wait()
        return None if ended["event"] == "running" else self._result(ended)

    @staticmethod
    def _halt_signal(entry: dict[str, Any]) -> int:
        """How a container is asked to end: as configured; an init by SIGPWR, or systemd by its own signal, as LXC does."""
        spec = Spec.from_json(entry["spec"])
        if spec.stop_signal or not spec.system:
            return spec.stop_signal or signals.SIGTERM
        try:
            blocked = int(files.status(entry["pid"])["SigBlk"], 16)
        except OSError:  # it ended just now
            blocked = 0
        systemd = signals.SIGRTMIN + 3  # systemd(1): "halts the machine"
        return systemd if blocked >> (systemd - 1) & 1 else signals.SIGPWR

    def reboot(self) -> None:
        """Ask its init to start the system anew; it goes on being the same container. lxc-stop(1), -r."""
        self.signal(Spec.from_json(self.running()["spec"]).reboot_signal or signals.SIGINT)

    def kill(self) -> Result | None:
        """End it at once."""
        return self.stop(0.0, signals.SIGKILL)

    def wait(self) -> Result:
        """Wait until it ends; at once, if it has. Raises NotFound when nothing is known of a run of it.

        What the kernel does not take back by itself is undone just after this returns; `sandbox.ledger()` waits for it.
        """
        reply, _ = client.ask(self.home, {"do": "wait", "name": self.name})
        return self._result(reply)

    def logs(self) -> Iterator[tuple[float, str, bytes]]:
        """(time, stream, bytes) of what it wrote, oldest first, running or not. Raises NotFound."""
        return logs.read(self._log())

    def follow(self) -> Iterator[tuple[float, str, bytes] | None]:
        """Like `logs`, and then what it writes until it ends; None each time when nothing more is there yet."""
        return logs.follow(self._log, lambda: self.settled() is None)  # only then all that it wrote is in the log

    def _log(self) -> str:
        if (entry := self.settled()) is not None:
            return str(entry["log"])
        if self.on_shelf:
            return f"{self.home.folder(self.name)}/log"
        last = self.home.last_record(self.name)
        if last is None:
            raise NotFound(f"nothing is known of a container called {self.name!r}")
        return str(last["log"])

    def destroy(self, force: bool = False) -> None:
        """Take it off the shelf, with all that it wrote.

        Raises WrongState while it runs, unless `force`; and while clones or snapshots need it.
        """
        kept = self.on_shelf
        with self.home.lock(self.name) if kept else nullcontext():  # nobody starts it meanwhile
            dependents.refuse(self.home.folder(self.name))
            if self.entry is not None:
                if not force:
                    raise WrongState(f"the container {self.name!r} is running", cure="stop it first, or force")
                with suppress(WrongState):  # it ended by itself just now
                    self.kill()
            if kept:
                self.home.remove(self.name)
        if kept:
            networks.release(self.home, self.name)

    def info(self) -> Info:
        """What LXC's lxc-info shows of it. Raises NotFound."""
        try:
            return info(self.name, self.settled(), self.home)
        except OSError:  # it ended while we looked
            return info(self.name, self.settled(), self.home)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.running()
        return client.ask(self.home, {**message, "name": self.name})[0]

    def _result(self, ended: dict[str, Any]) -> Result:
        trace = Trace(ended["trace"], ended["plan"]) if "plan" in ended else Trace()
        known = Spec.from_json(ended["spec"]) if "spec" in ended else Spec()
        return Result(ended["exit_code"], b"", b"", explain(ended, known), trace, warnings(trace))
