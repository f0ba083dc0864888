"""The launcher: one loop that waits for clients, children, the keeper and clocks, and does what they ask.

It holds an interpreter for steps and the containers it started, nothing else. It may be killed at any moment: what it must
not forget is in the ledger (tmpfs) and with the keeper (descriptors, exits).
"""

import gc
import heapq
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import AlreadyExists, InvalidOption, LauncherLost, NotFound, SandboxError, WrongState
from ..linux import files, syscalls
from ..primitives import cgroups, namespaces
from ..primitives.namespaces import Clone
from ..step import Step
from ..store import Home
from . import cradle, protocol, records
from .cradle import Newborn
from .ledger import Ledger, is_alive, undo
from .runs import Place, Run, exit_of_stranger

#: Seconds without a container and without a client after which launcher and keeper end.
IDLE = 30.0
#: Seconds that a foreground container waits for its client to come back after a launcher was killed.
REUNION = 3.0


class Launcher:
    """The state of one launcher."""

    def __init__(self, home: Home, listener: socket.socket, keeper: socket.socket) -> None:
        self.home, self.listener, self.keeper = home, listener, keeper
        self.ledger = Ledger(f"{home.runtime}/ledger")
        self.boot = files.boot_id()
        self.namespaces = namespaces.read()
        self.layout = cgroups.prepare(cgroups.read_layout(), (os.getpid(), os.getppid()))
        self.runs: dict[str, Run] = {}  # containers by name, processes of exec by a name of their own
        self.by_pid: dict[int, Run] = {}
        self.clients: set[socket.socket] = set()
        self.finished: dict[str, dict[str, Any]] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.epoll = select.epoll()
        self.watched: dict[int, Callable[[], None]] = {}
        self.busy_at = time.monotonic()
        self.serial = 0
        self.cradle = cradle.start(self.namespaces)
        self.spare: tuple[Step, Newborn] | None = None
        self.ordered: Step | None = None  # a spare child that is on its way
        self.rehearsal: list[dict[str, Any]] = []  # what it is to practise: the last start's work

    # --- the loop ---------------------------------------------------------------------------------------------------

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self.watched[fd] = callback
        self.epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        if self.watched.pop(fd, None):
            self.epoll.unregister(fd)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.serial, callback))

    def loop(self) -> NoReturn:
        self.watch(self.listener.fileno(), self.on_connect)
        self.watch(self.keeper.fileno(), self.on_keeper)
        self.watch(self.cradle.fileno(), self.on_cradle)
        while True:
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            if self.runs or self.clients:
                self.busy_at = now
            elif now - self.busy_at > IDLE:
                self.end()
            wait = min(self.timers[0][0] - now if self.timers else IDLE, IDLE)
            for fd, _ in self.epoll.poll(max(wait, 0)):
                if callback := self.watched.get(fd):
                    callback()

    def end(self) -> NoReturn:
        """Nothing needs us any more."""
        cgroups.release(self.layout)
        protocol.send(self.keeper, {"do": "end"})
        os._exit(0)

    # --- the keeper -------------------------------------------------------------------------------------------------

    def on_keeper(self) -> None:
        message, _ = protocol.receive(self.keeper)
        if message is None:
            os._exit(1)  # it was killed: the next client starts another pair, which adopts what runs
        self.on_exit(message["pid"], message["status"])

    def on_exit(self, pid: int, status: int | None) -> None:
        run = self.by_pid.pop(pid, None)
        if run is None:
            protocol.send(self.keeper, {"do": "drop", "id": "", "pid": pid})
            return
        if run.world.wire is not None and run.world.wire.fileno() in self.watched:
            self.on_wire(run)
            self.forget(run.world.wire.fileno())
        for fd in (run.world.pidfd, run.console, *run.outputs):
            self.forget(fd)
        message = run.finish(status)
        # First of all the answer: somebody waits for it.
        for client in run.waiting:
            self.answer(client, message)
        run.close()
        del self.runs[run.name]
        protocol.send(self.keeper, {"do": "drop", "id": run.name, "pid": pid})
        if not run.container:
            self.finished[run.name] = message
            while len(self.finished) > 20:
                del self.finished[next(iter(self.finished))]
            if "left" not in message:
                self.ledger.close(run.name)
            records.keep(self.home, run.request, message)

    # --- clients ----------------------------------------------------------------------------------------------------

    def on_connect(self) -> None:
        client, _ = self.listener.accept()
        pid, uid, _ = struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        try:
            # Root of a one-id user namespace looks like its outside user here: only our own namespace counts.
            same = os.readlink(f"/proc/{pid}/ns/user") == self.namespaces["user"]
        except OSError:
            same = False
        if uid != os.geteuid() or not same:
            client.close()
            return
        client.setblocking(False)
        protocol.enlarge(client)
        self.clients.add(client)
        self.watch(client.fileno(), lambda: self.on_client(client))

    def answer(self, client: socket.socket, message: protocol.Message, fds: tuple[int, ...] = ()) -> None:
        try:
            protocol.send(client, message, fds)
        except OSError:
            self.on_gone(client)  # or it reads too slowly: its loss, not everybody's

    def on_client(self, client: socket.socket) -> None:
        fds: list[int] = []
        try:
            message, fds = protocol.receive(client)
            if message is None:
                self.on_gone(client)
                return
            handler = getattr(self, f"do_{message['do']}", None)
            if handler is None:
                raise InvalidOption(f"the launcher does not know {message['do']!r}")
            reply = handler(message, fds, client)
            if reply is not None:
                self.answer(client, reply)
        except SandboxError as error:
            self.answer(client, {"event": "refused", "error": error.to_json()})
        finally:
            for fd in fds:
                os.close(fd)

    def on_gone(self, client: socket.socket) -> None:
        """A client went away: a container in the foreground goes with it."""
        if client not in self.clients:
            return
        self.clients.discard(client)
        self.forget(client.fileno())
        client.close()
        for run in list(self.runs.values()):
            if run.attached is client:
                run.attached = None
                self.pump_console(run)
            if client in run.waiting:
                run.waiting.remove(client)
                if run.foreground and not run.waiting:
                    self.kill(run, "its client went away")

    # --- what can be asked ------------------------------------------------------------------------------------------

    def do_hello(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message:
        return {
            "event": "hello",
            "layout": self.layout.to_json(),
            "pid": os.getpid(),
            "keeper": os.getppid(),
            "running": len(self.runs),
        }

    def do_end(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message:
        if self.runs:
            raise WrongState(f"{len(self.runs)} containers still run")
        self.end()

    def do_start(self, message: protocol.Message, fds: list[int], client: socket.socket) -> None:
        name = message["name"]
        if name in self.runs or self.ledger.entry(name):
            raise AlreadyExists(f"a container called {name!r} is running", cure="choose another name, or stop that one")
        if message.get("in") and message["in"] not in self.runs:
            raise NotFound(f"no container called {message['in']!r} is running")
        run = Run(name, message, client)
        streams, fds[:] = fds[:], []
        run.start(streams, Place(self.ledger, self.boot, self.bear))
        self.runs[name] = run
        if run.world.pid < 0:
            self.never_born(run)
            return
        self.by_pid[run.world.pid] = run
        self.hold(run)
        wire = run.world.wire
        assert wire is not None
        self.watch(wire.fileno(), lambda: self.on_wire(run))
        for fd in run.outputs:
            self.watch_output(run, fd)
        if run.failure:
            run.kill()
        elif seconds := message.get("timeout"):
            self.later(seconds, lambda: self.kill(run, f"timeout {seconds:g}"))

    def bear(self, step: Step, rehearsal: list[dict[str, Any]], observe: bool) -> tuple[Newborn, str]:
        """A child made by this step: the one that was born ahead of time, if it is of that kind, or a new one."""
        if self.ordered:
            self.on_cradle()
        if self.spare and self.spare[0] == step and not observe:  # who wants to see every call wants to see a birth
            newborn = self.spare[1]
            self.spare = None
            self.later(0, lambda: self.order_spare(step, rehearsal))
            return newborn, f"pid {newborn.pid}, born ahead of time"
        cradle.order(self.cradle, step, observe)
        newborn = cradle.collect(self.cradle)
        if isinstance(step, Clone):
            self.later(0, lambda: self.order_spare(step, rehearsal))
        return newborn, f"pid {newborn.pid}"

    def order_spare(self, step: Step, rehearsal: list[dict[str, Any]]) -> None:
        """Have a child ready for the next start, which will probably be of the same kind."""
        if self.ordered or (self.spare and self.spare[0] == step):
            return
        if self.spare:
            self.spare[1].wire.close()  # it ends by itself
            os.close(self.spare[1].pidfd)
            self.spare = None
        cradle.order(self.cradle, step)
        self.ordered, self.rehearsal = step, rehearsal

    def on_cradle(self) -> None:
        """The spare child is born; or the cradle was killed, and another one is made."""
        step, self.ordered = self.ordered, None
        try:
            newborn = cradle.collect(self.cradle)
        except LauncherLost:
            self.forget(self.cradle.fileno())
            self.cradle.close()
            self.cradle = cradle.start(self.namespaces)
            self.watch(self.cradle.fileno(), self.on_cradle)
        except SandboxError:
            return  # the next start will say why
        else:
            self.spare = (step, newborn) if step else None
            protocol.send(newborn.wire, {"do": "rehearse", "steps": self.rehearsal})

    def never_born(self, run: Run) -> None:
        """The start failed before there was a child."""
        message = {**run.finish(None), "event": "failed"}
        for client in run.waiting:
            self.answer(client, message)
        run.close()
        del self.runs[run.name]
        if not run.container and "left" not in message:
            self.ledger.close(run.name)

    def on_wire(self, run: Run) -> None:
        wire = run.world.wire
        assert wire is not None
        had = run.console
        if run.on_wire():
            return
        self.forget(wire.fileno())
        console: tuple[int, ...] = ()
        if run.console != had:
            self.hold(run)
            console = (run.console,)
            if not run.foreground:
                self.pump_console(run)
        if run.running:
            started = {"event": "started", "name": run.name, "pid": run.world.pid}
            if run.foreground:
                for client in run.waiting:
                    self.answer(client, started, console)
                    run.attached = client if console else None
            else:
                for client in run.waiting:
                    self.answer(client, {**started, "trace": run.rows})
                run.waiting.clear()

    def hold(self, run: Run) -> None:
        if held := run.held():
            protocol.send(self.keeper, {"do": "hold", "id": run.name, "labels": list(held)}, list(held.values()))

    def watch_output(self, run: Run, fd: int) -> None:
        def on_output() -> None:
            if not run.on_output(fd):
                self.forget(fd)

        self.watch(fd, on_output)

    def pump_console(self, run: Run) -> None:
        if run.console >= 0 and run.console not in self.watched:
            self.watch_output(run, run.console)

    def find(self, message: protocol.Message) -> Run:
        run = self.runs.get(message["name"])
        if run is None:
            raise WrongState(f"the container {message['name']!r} is not running")
        return run

    def do_signal(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message:
        run = self.find(message)
        if message["signal"] == signal.SIGKILL:
            self.kill(run, "signal 9")
        else:
            run.kill(message["signal"])
        return {"event": "done"}

    def do_stop(self, message: protocol.Message, fds: list[int], client: socket.socket) -> None:
        """Ask by SIGTERM, wait, then kill. A process that could not even notice is not waited for."""
        run = self.find(message)
        run.waiting.append(client)
        run.stopping = "stopped"
        number, seconds = message.get("signal", signal.SIGTERM), message.get("timeout", 10.0)
        if self.is_frozen(run):
            cgroups.thaw(run.cgroups)
        run.kill(number)
        if run.ignores(number):
            seconds = min(seconds, 0.0)
        self.later(seconds, lambda: self.kill(run, "stopped"))

    @staticmethod
    def is_frozen(run: Run) -> bool:
        return bool(cgroups.events(run.cgroups).get("frozen"))

    def do_freeze(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message:
        cgroups.freeze(self.find(message).cgroups)
        return {"event": "done"}

    def do_unfreeze(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message:
        cgroups.thaw(self.find(message).cgroups)
        return {"event": "done"}

    def do_wait(self, message: protocol.Message, fds: list[int], client: socket.socket) -> protocol.Message | None:
        """Answer when it ends; at once, if it has."""
        if run := self.runs.get(message["name"]):
            run.waiting.append(client)
            return None
        if ended := self.finished.get(message["name"]):
            return ended
        if ended := records.last(self.home, message["name"]):
            return ended
        raise NotFound(f"nothing is known of a run called {message['name']!r}")

    def do_attach(self, message: protocol.Message, fds: list[int], client: socket.socket) -> None:
        """Hand out the console, to one client at a time; answers again when the container ends."""
        run = self.find(message)
        if run.console < 0:
            raise WrongState(
                f"the container {run.name!r} has no terminal", cure="start it with a terminal (-t), or use exec -it"
            )
        if run.attached is not None:
            raise WrongState(f"somebody is attached to {run.name!r} already")
        self.forget(run.console)
        run.attached = client
        run.waiting.append(client)
        self.answer(client, {"event": "attached"}, (run.console,))

    def do_detach(self, message: protocol.Message, fds: list[int], client: socket.socket) -> None:
        """Leave the container to itself: from here on its client may go."""
        run = self.find(message)
        run.foreground = False
        self.on_gone(client)

    def kill(self, run: Run, why: str) -> None:
        if self.runs.get(run.name) is run:
            run.stopping = run.stopping or why
            run.kill()

    # --- what another launcher left ---------------------------------------------------------------------------------

    def adopt_all(self, held: dict[str, dict[str, int]], exits: dict[int, int]) -> None:
        """Adopt what runs, take note of what ended meanwhile, undo the rest."""
        for entry in list(self.ledger.entries()):
            ended = exits.get(entry.get("pid", -1))
            if ended is None and not is_alive(entry):
                undo(entry["undo"])
                if entry.get("pid"):
                    records.keep(
                        self.home, entry, {"event": "exited", "exit_code": -1, "reason": "exit status unknown"} | entry
                    )
                self.ledger.close(entry["name"])
                continue
            run = Run.adopt(entry, held.get(entry["name"], {}))
            self.runs[run.name] = self.by_pid[run.world.pid] = run
            for fd in run.outputs:
                self.watch_output(run, fd)
            self.pump_console(run)
            if ended is not None:
                self.on_exit(run.world.pid, ended)
                continue
            run.world.pidfd = os.pidfd_open(run.world.pid)
            if files.parent(run.world.pid) != os.getppid():
                self.watch(run.world.pidfd, lambda run=run: self.on_stranger(run))  # type: ignore[misc]
            if run.foreground:
                self.later(REUNION, lambda run=run: self.kill_if_alone(run))  # type: ignore[misc]

    def kill_if_alone(self, run: Run) -> None:
        if not run.waiting:
            self.kill(run, "its client went away")

    def on_stranger(self, run: Run) -> None:
        """A container whose keeper was killed ended: its parent was the host's init."""
        self.forget(run.world.pidfd)
        status = exit_of_stranger(run.world.pidfd)
        if status is None:  # the kernel tells only after the parent has reaped it
            self.later(2.0, lambda: self.on_exit(run.world.pid, exit_of_stranger(run.world.pidfd)))
        else:
            self.on_exit(run.world.pid, status)


def main(runtime: str, home: str, listener: socket.socket, keeper: socket.socket,
         held: dict[str, dict[str, int]], exits: dict[int, int]) -> NoReturn:  # fmt: skip
    """Be the launcher. `held` and `exits` are the keeper's, inherited."""
    try:
        syscalls.set_name("sandbox-launch")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        launcher = Launcher(Home(home, runtime), listener, keeper)
        launcher.adopt_all(held, exits)
        # What lives until now lives for ever; and a child never collects: it would copy every page it looks at.
        gc.freeze()
        gc.disable()
        launcher.loop()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)
