"""One process that the launcher started: a container's first, or one that `exec` put beside it. From its plan to its end."""

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .. import logs
from ..errors import SandboxError
from ..linux import files, syscalls
from ..primitives import cgroups
from ..primitives.namespaces import Clone, Enter
from ..step import Step, World
from . import inside, lingering, protocol
from .endings import REBOOT, outcome
from .ledger import Ledger, undo
from .loop import readable
from .nursery import Nursery
from .spool import Spool

Directories = tuple[tuple[str, str], ...]
#: So often 64 KiB are read until a pipe is empty, as large as it may be. pipe(7), pipe-max-size
PIPE_READS = 16
#: What the ends of a terminal are called while the keeper holds them.
ENDS = ("master", "slave")
#: So often in a row an init may reboot within its first second: one that can do nothing else would keep the machine busy.
REBOOTS = 10


class Run:
    """The life of one process. The server calls its `on_…` methods as things happen; it never waits."""

    stepped = False  # whether each step waits until it is told to be made

    def __init__(self, name: str, request: dict[str, Any], waiting: list[socket.socket]) -> None:
        self.name = name
        self.request = request
        self.container: str = request.get("in", "")  # for exec: the container it runs in
        self.foreground: bool = request.get("foreground", False)
        self.waiting = waiting
        self.world = World()
        self.rows: list[list[Any]] = []
        self.cgroups: Directories = ()
        self.oom_kills = 0  # how many there had been in the container before
        self.undo: list[dict[str, Any]] = []
        self.lingering: list[dict[str, Any]] = []  # what of it is left for later
        self.log = logs.LogWriter(request.get("log", ""))
        self.spools: dict[int, Spool] = {}  # a detached container's streams, by the end that is read
        self.terminals: list[tuple[int, int]] = []  # master and slave of the console and, after it, of /dev/tty1 …
        self.attached: dict[int, socket.socket] = {}  # who has which terminal now
        self.reborn = 0  # how often it has rebooted at once: who waits or has a terminal comes along
        self.running = False  # the program has begun
        self.failure: dict[str, Any] | None = None
        self.stopping = ""  # why we are ending it: "timeout", "stopped"
        self.begun = time.time()
        self.kind: Clone | None = None  # how its process was made

    # --- the start --------------------------------------------------------------------------------------------------

    def start(
        self, streams: tuple[int, ...], ledger: Ledger, stamp: dict[str, Any], nursery: Nursery, hold: "Callable[[Run], None]"
    ) -> None:
        """Apply the outside lane. What goes wrong is kept in `failure`."""
        observe = bool(self.request.get("calls"))
        self.world.streams, self.world.shelf = streams or self._own_streams(), ledger.path
        outside = [Step.from_json(step) for step in self.request["plan"]["outside"]]
        step = outside[0]
        try:
            syscalls.observe(observe)
            spare = None if observe else nursery.take(outside)  # who wants to see every call wants to see a birth
            if spare:
                (self.world.pid, self.world.pidfd, self.world.wire, _), self.world.birthplace = spare.child, spare.group
            chosen = list(enumerate(step.choose(self.world) for step in outside))
            self.undo = ledger.intend(self.name, {**self._facts(), **stamp}, [step for _, step in chosen])
            if spare:
                nursery.give()
                chosen.sort(key=lambda each: not isinstance(each[1], Clone))  # who is there already may begin
            for number, step in chosen:
                self.perform(number, step, ledger, nursery, hold, observe=observe)
        except BaseException as error:
            self.failure = inside.refusal(step, error, self.world).to_json()
        finally:
            syscalls.observe(False)
            for fd in self.world.streams:
                os.close(fd)
            for helper, said in self.world.helpers.values():  # after a failure: nobody else asks how they ended
                os.waitpid(helper, 0)
                os.close(said)

    def perform(
        self, number: int, step: Step, ledger: Ledger, nursery: Nursery, hold: "Callable[[Run], None]", *, observe: bool
    ) -> None:
        """Apply one step of the outside lane."""
        if isinstance(step, cgroups.OpenCgroups):
            self.cgroups = step.directories
        if step.name == "Go":
            self.oom_kills = cgroups.oom_kills(self.cgroups) if self.container else 0
            # The last moment: from here on a container runs, and whoever comes after us must know it.
            ledger.add(self.name, self.identity())
            hold(self)
        if isinstance(step, (Clone, Enter)):
            self._bear(number, step, nursery, observe)
        else:
            inside.run(step, self.world, ["outside", number], self.rows)

    def _bear(self, number: int, step: Step, nursery: Nursery, observe: bool) -> None:
        """Have the child born, if it is not there already, and tell it its work."""
        self.kind = step if isinstance(step, Clone) else None
        start, calls, how = time.monotonic_ns(), list[Any](), ", born ahead of time"
        if self.world.pid < 0:
            self.world.pid, self.world.pidfd, self.world.wire, calls = nursery.bear(step, self.world.birthplace, observe)
            how = ""
        self.rows.append(["outside", number, start, time.monotonic_ns(), f"pid {self.world.pid}{how}", calls])
        self._give_work({"do": "become", "steps": self.request["plan"]["inside"], "calls": observe})
        self.wire.setblocking(False)

    def _give_work(self, work: protocol.Message) -> None:
        protocol.send(self.wire, work, self.world.streams)

    def _own_streams(self) -> tuple[int, ...]:
        """Streams for a process whose client gave none: nothing to read, and two pipes into the log."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if self.request.get("terminal"):
            return null, os.dup(null), os.dup(null)
        ends = []
        for stream in ("stdout", "stderr"):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            self.spools[read] = Spool(stream, read)
            ends.append(write)
        return (null, *ends)

    @property
    def born(self) -> bool:
        """Whether there is a process."""
        return self.world.pid > 0

    @property
    def wire(self) -> socket.socket:
        assert self.world.wire is not None
        return self.world.wire

    def _facts(self) -> dict[str, Any]:
        keys = ("in", "spec", "foreground", "timeout", "terminal", "log", "keep", *(("plan",) if self.system else ()))
        return {"begun": self.begun, **{key: self.request[key] for key in keys if key in self.request}}

    @property
    def system(self) -> bool:
        """Whether it is a system with an init of its own, which may reboot."""
        return not self.container and bool(self.request.get("spec", {}).get("system"))

    @property
    def masters(self) -> list[int]:
        """The masters of its terminals; the console's is the first."""
        return [master for master, _ in self.terminals]

    def identity(self) -> dict[str, Any]:
        """Who the process is, for the ledger: enough for another launcher to adopt it."""
        base, cgroup = self.world.id_base, [list(pair) for pair in self.cgroups]
        return {"pid": self.world.pid, "start_time": files.start_time(self.world.pid), "id_base": base, "cgroups": cgroup}

    def held(self) -> dict[str, int]:
        """The descriptors that must outlive this launcher, by label."""
        streams = {spool.stream: fd for fd, spool in self.spools.items()}
        stores = {f"{spool.stream} spool": spool.store for spool in self.spools.values()}
        ends = {f"{end}{i}": fd for i, pair in enumerate(self.terminals) for end, fd in zip(ENDS, pair, strict=True)}
        return {**self.world.held, **streams, **stores, **ends}

    @classmethod
    def adopt(cls, entry: dict[str, Any], held: dict[str, int]) -> "Run":
        """Take over what another launcher started."""
        run = cls(entry["name"], entry, [])
        run.world.pid, run.world.id_base = entry["pid"], entry["id_base"]
        run.cgroups = tuple((name, path) for name, path in entry["cgroups"])
        run.undo, run.begun, run.running = entry["undo"], entry["begun"], True
        for stream in {"stdout", "stderr"} & held.keys():
            run.spools[held[stream]] = Spool(stream, held[stream], held[f"{stream} spool"])
            run.spools[held[stream]].recover(run.log)
        while (pair := tuple(held.get(f"{end}{len(run.terminals)}", -1) for end in ENDS)) != (-1, -1):
            run.terminals.append((pair[0], pair[1]))
        run.world.held = {label: fd for label, fd in held.items() if label == "ids" or label.startswith("port ")}
        return run

    def reclaim(self) -> None:
        """Lock the range of ids again: its lock went with the last keeper."""
        for data in self.undo:
            if data["step"] == "ClaimIds" and "ids" not in self.world.held:
                with suppress(SandboxError):  # somebody has it already, and can't be talked out of it
                    Step.from_json(data).apply(self.world)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def on_wire(self) -> bool:
        """Hear what the child says; False when it will say no more."""
        assert self.world.wire is not None
        while True:
            try:
                message, fds = protocol.receive(self.world.wire)
            except BlockingIOError:
                return True
            if message is None:
                if self.rows and self.rows[-1][3] == 0:
                    self.rows[-1][3] = time.monotonic_ns()
                return False
            self.hear(message, fds)

    def hear(self, message: protocol.Message, fds: list[int]) -> None:
        """One thing that the child says."""
        if "trace" in message:
            self.rows, self.running = self.rows + message["trace"], True
        if "failed" in message:
            self.failure, self.running = message["failed"], False
        self.terminals += zip(fds[::2], fds[1::2], strict=True)
        for master in fds[::2]:
            os.set_blocking(master, False)

    def began(self) -> None:
        """Its program runs."""

    def on_output(self, fd: int) -> bool:
        """Move what a detached container wrote into its log; False at the end of the stream."""
        if fd in self.spools:
            return self.spools[fd].move(self.log)
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return True
        except OSError:  # EIO: what it had open is gone, as after the death of a keeper. pty(7)
            data = b""
        if data and fd == self.terminals[0][0]:  # what a further terminal shows is for whoever logs in there
            self.log.write("stdout", data)
        return bool(data)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process; SIGKILL reaches all that it started, frozen or not."""
        if number == signal.SIGKILL and self.container:
            self._kill_session()
        elif number == signal.SIGKILL and self.cgroups:
            cgroups.kill(self.cgroups)
        if self.world.pidfd < 0:  # adopted, and gone: its status is on its way
            return
        with suppress(ProcessLookupError):
            syscalls.pidfd_send_signal(self.world.pidfd, number)

    def _kill_session(self) -> None:
        """Kill what a process of `exec` has started: its session, that is. Who made another is the container's."""
        for pid in cgroups.processes(self.cgroups):
            with suppress(OSError):
                if files.session(pid) == self.world.pid:
                    os.kill(pid, signal.SIGKILL)

    def is_over(self) -> bool:
        """Whether the process has ended, though nobody was told yet how."""
        return self.born and (self.world.pidfd < 0 or readable(self.world.pidfd))

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self, status: int | None) -> dict[str, Any]:
        """How and why it ended: read while its groups are still there. `status` is wait(2)'s; None: nobody knows."""
        message: dict[str, Any] = {"event": "exited", "name": self.name, "trace": self.rows, "begun": self.begun}
        message |= {"ended": time.time(), **outcome(status)}
        if self.system and status in REBOOT:
            message |= {"exit_code": 0, "reason": REBOOT[status]}
        message["reason"] = self._reason(message)
        return message | ({"event": "failed", "error": self.failure} if self.failure else {})

    def reboots(self, status: int | None) -> bool:
        """Whether its init has asked for another start; nobody else has ended it."""
        again = self.system and status is not None and REBOOT.get(status) == "rebooted"
        return again and not self.stopping and "plan" in self.request and self.reborn < REBOOTS

    def again(self) -> "Run":
        """The same container, started anew; who waits for its end waits for that one's."""
        run = Run(self.name, self.request, self.waiting)
        run.attached, self.waiting = self.attached, []
        run.reborn = self.reborn + 1 if time.time() - self.begun < 1.0 else 1
        return run

    def take_back(self) -> dict[str, Any]:
        """Note what it used, then undo what the kernel leaves; what could not be undone is "left"."""
        if self.container:
            return {}
        used = cgroups.glance(self.cgroups)
        kept: dict[str, Any] = {"usage": {"cpu_seconds": used.cpu_seconds, "memory": used.memory}}
        for fd in self.world.held.values():
            fcntl.flock(fd, fcntl.LOCK_UN)  # of the keeper's duplicate too: or `undo` would find its own range taken
        at_once, self.lingering = lingering.split(self.undo)
        try:
            undo(at_once)
        except (OSError, SandboxError) as error:
            kept["left"] = str(error)
        return kept

    def _reason(self, message: dict[str, Any]) -> str:
        killed = message["exit_code"] == 128 + signal.SIGKILL
        if killed and not self.stopping and (kills := cgroups.oom_kills(self.cgroups) - self.oom_kills) > 0:
            return f"oom {kills}"
        return self.stopping or str(message.get("reason", ""))

    def drain(self) -> None:
        """Take what is still in the pipes of a detached container, or in its console if nobody has that: it has ended."""
        for fd in (*self.spools, *([] if 0 in self.attached else self.masters[:1])):
            for _ in range(PIPE_READS):  # and no more: whoever shares the host's pids may have left somebody who still writes
                if not (self.on_output(fd) and readable(fd)):
                    break
        self.log.close()

    def close(self) -> None:
        """Let go of all descriptors."""
        for spool in self.spools.values():
            spool.close()
        ends = {fd for pair in self.terminals for fd in pair}
        for fd in {self.world.pidfd, *ends, *self.world.held.values(), *self.world.trees.values()} - {-1}:
            os.close(fd)
        if self.world.wire is not None:
            self.world.wire.close()
