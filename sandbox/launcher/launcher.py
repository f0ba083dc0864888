"""The launcher: it makes containers, watches them, and tells of their end.

It holds an interpreter for steps and the containers it started, nothing else. It may be killed at any moment: what it must
not forget is in the ledger (tmpfs) and with the keeper (descriptors, exits).
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from ..errors import InvalidOption, LauncherLost, SandboxError
from ..linux import files
from ..primitives import cgroups, namespaces
from ..store import Home
from . import lingering, protocol, records
from .ledger import Ledger
from .lingering import Lingering
from .loop import Loop, readable
from .nursery import Nursery
from .runs import Run

#: Seconds without a container and without a client after which launcher and keeper end.
IDLE = 30.0


Handler = Callable[["Launcher", protocol.Message, list[int], socket.socket], protocol.Message | None]


class Launcher(Loop):
    """The state of one launcher."""

    def __init__(self, home: Home, listener: socket.socket, keeper: socket.socket, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self.handlers = handlers
        self.home, self.listener, self.keeper = home, listener, keeper
        self.ledger = Ledger(home.ledger)
        # Goes into every entry of the ledger: of which boot and of which keeper it is.
        self.stamp = {"boot": files.boot_id(), "keeper": [os.getppid(), files.start_time(os.getppid())]}
        self.namespaces = namespaces.read()
        self.layout = cgroups.prepare(cgroups.read_layout(), (os.getpid(), os.getppid()))
        self.runs: dict[str, Run] = {}  # containers by name, processes of exec by a name of their own
        self.by_pid: dict[int, Run] = {}
        self.clients: set[socket.socket] = set()
        self.finished: dict[str, dict[str, Any]] = {}
        self.nursery = self.new_nursery()
        self.lingering = Lingering(self.ledger, self.stamp)

    def run(self) -> NoReturn:
        """Do what is asked, until nothing needs us any more."""
        self.watch(self.listener.fileno(), self.on_connect)
        self.watch(self.keeper.fileno(), self.on_keeper)
        self.watch(self.nursery.wire.fileno(), self.on_cradle)
        idle_since = time.monotonic()
        while True:
            self.turn(IDLE)
            if self.runs or self.clients or self.lingering.waiting:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= IDLE:
                self.nursery.drop()
                self.end()

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

    def new_nursery(self) -> Nursery:
        return Nursery(self.namespaces, self.ledger, os.path.basename(self.home.runtime))

    def on_cradle(self) -> None:
        if not readable(self.nursery.wire.fileno()):
            return  # a start that was asked for in the same turn has taken the answer already
        try:
            self.nursery.on_spare()
        except LauncherLost:  # it was killed: make another
            self.forget(self.nursery.wire.fileno())
            self.nursery.wire.close()
            self.nursery.drop()
            self.nursery = self.new_nursery()
            self.watch(self.nursery.wire.fileno(), self.on_cradle)

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
        try:
            message, fds = protocol.receive(client)
        except Exception:  # no JSON, or worse
            message, fds = {}, []
        if message is None:
            self.on_gone(client)
            return
        self.serve(client, message, fds)

    def serve(self, client: socket.socket, message: protocol.Message, fds: list[int]) -> None:
        """Do what a message asks for, and answer. What handlers leave of the descriptors is closed."""
        try:
            if client not in self.clients:  # it went away while this waited
                return
            if not isinstance(message, dict) or (handler := self.handlers.get(str(message.get("do")))) is None:
                raise InvalidOption(f"the launcher does not know {str(message)[:80]!r}")
            reply = handler(self, message, fds, client)
            if reply is not None:
                self.answer(client, reply)
        except Exception as error:  # whatever is wrong with one request, the containers of others must not suffer
            known = error if isinstance(error, SandboxError) else None
            mistake = known or InvalidOption(f"that can't be done: {type(error).__name__}: {error}")
            self.answer(client, {"event": "refused", "error": mistake.to_json()})
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
            run.attached = {tty: who for tty, who in run.attached.items() if who is not client}
            self.pump_terminals(run)
            if client in run.waiting:
                run.waiting.remove(client)
                if run.foreground and not run.waiting:
                    self.kill(run, "its client went away")

    # --- containers -------------------------------------------------------------------------------------------------

    def begin(self, run: Run, streams: tuple[int, ...] = ()) -> None:
        """Start a container, or a process in one, and watch it."""
        run.start(streams, self.ledger, self.stamp, self.nursery, self.hold)
        self.runs[run.name] = run
        if run.stepped:
            return
        if not run.born:
            self.close(run, {**run.finish(None), "event": "failed"})
            return
        self.watch_child(run)
        if run.failure:
            run.kill()
            return
        self.set_timeout(run)
        if run.kind and not run.kind.network_of:  # the next one will hardly want the same, and the network would live on in it
            # While the child is busy we are not.
            self.nursery.order_spare(run.kind, run.request["plan"]["inside"])

    def watch_child(self, run: Run) -> None:
        """It is born: hear what it says, and how it ends."""
        self.by_pid[run.world.pid] = run
        self.watch(run.wire.fileno(), lambda: self.on_wire(run))
        for fd in run.spools:
            self.watch_output(run, fd)

    def set_timeout(self, run: Run) -> None:
        """From here on its time runs."""
        if seconds := run.request.get("timeout"):
            self.later(seconds, lambda: self.kill(run, f"timeout {seconds:g}"))

    def on_wire(self, run: Run) -> None:
        """The child says something; or nothing more: then its program has begun, or it failed."""
        had = len(run.terminals)
        more = run.on_wire()
        if len(run.terminals) != had:
            self.hold(run)
        if more:
            return
        self.forget(run.wire.fileno())
        if not run.running:
            return
        if run.stepped:
            run.began()
            self.set_timeout(run)
        started = {"event": "started", "name": run.name, "pid": run.world.pid}
        if run.reborn:
            for tty, client in list(run.attached.items()):
                self.answer(client, {**started, "event": "attached"}, (run.masters[tty],))
        elif run.foreground:
            for client in list(run.waiting):
                if run.terminals:
                    run.attached[0] = client
                self.answer(client, started, tuple(run.masters[:1]))
        else:
            for client in list(run.waiting):
                self.answer(client, {**started, "trace": run.rows})
            run.waiting.clear()
        if not run.container:
            with suppress(OSError, SandboxError):  # there is no room: who asks sees it by its name, too
                self.ledger.add(run.name, {"running": True})  # for those who wait for news: states.py
        self.pump_terminals(run)

    def on_exit(self, pid: int, status: int | None) -> None:
        """The keeper reaped a process: say so to who waits for it, then undo what it leaves."""
        run = self.by_pid.pop(pid, None)
        if run is None:  # of a child that never became anything, or already closed
            protocol.send(self.keeper, {"do": "drop", "id": "", "pid": pid})
            return
        if run.world.wire is not None and run.wire.fileno() in self.watched:
            self.on_wire(run)
            self.forget(run.wire.fileno())
        for fd in (run.world.pidfd, *run.masters, *run.spools):
            self.forget(fd)
        again = run.again() if run.reboots(status) else None
        self.close(run, run.finish(status))
        protocol.send(self.keeper, {"do": "drop", "id": run.name, "pid": pid})
        if again:
            self.begin(again)

    def close(self, run: Run, message: protocol.Message) -> None:
        run.drain()
        # Who waits in the foreground has started it, and knows the rest.
        whole = message | {key: run.request[key] for key in ("spec", "plan") if key in run.request}
        for client in list(run.waiting):
            self.answer(client, message if run.foreground else whole)
        kept = run.take_back()
        run.close()
        if run.lingering:
            label = self.lingering.add(run.name, run.lingering)
            self.later(lingering.MOMENT, lambda: self.lingering.settle(label))
        del self.runs[run.name]
        self.finished[run.name] = whole
        while len(self.finished) > 20:
            del self.finished[next(iter(self.finished))]
        if not run.container:
            records.keep(self.home, run.request, message | kept)
        if "left" not in kept:
            self.ledger.close(run.name)  # last: who finds no entry finds the record

    def hold(self, run: Run) -> None:
        """Let the keeper have what must outlive us."""
        if held := run.held():
            protocol.send(self.keeper, {"do": "hold", "id": run.name, "labels": list(held)}, list(held.values()))

    def watch_output(self, run: Run, fd: int) -> None:
        def on_output() -> None:
            if not run.on_output(fd):
                self.forget(fd)

        self.watch(fd, on_output)

    def pump_terminals(self, run: Run) -> None:
        """Read the terminals that nobody has: what the console shows goes to the log; no program ever waits for a reader."""
        for tty, master in enumerate(run.masters):
            if tty not in run.attached and master not in self.watched:
                self.watch_output(run, master)

    def kill(self, run: Run, why: str) -> None:
        """End it, if it still runs; `why` is what is told of it."""
        if self.runs.get(run.name) is run:
            run.stopping = run.stopping or why
            run.kill()
            if not run.born:  # nobody is there yet whose end would be told
                self.close(run, run.finish(None))
