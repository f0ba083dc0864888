"""A job: a process in a container that somebody waits for, with its streams or its terminal. Nothing here blocks for long."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import logs
from .errors import LauncherLost, SandboxError, from_json
from .launcher import client, protocol
from .spec import Spec
from .store import Home
from .trace import Trace
from .values import size_text


@dataclass(frozen=True)
class Result:
    """How a run ended. `exit_code` is the program's (128 + signal if it was killed); `reason` says more, if there is more."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    reason: str = ""
    trace: Trace = field(default=Trace(), repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 show as U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    def __bool__(self) -> bool:
        return self.exit_code == 0


class Job:
    """One process that was started and is waited for. Use `poll` until `done`; then `result` is there."""

    def __init__(self, home: Home, request: dict[str, Any], spec: Spec, *, stdin: bytes | None = None) -> None:
        self.home, self.spec, self.name = home, spec, str(request["name"])
        self.pid = 0
        self.console = -1  # the master of its terminal, if it has one
        self.done = False
        self.failure: SandboxError | None = None
        self._ended: dict[str, Any] | None = None
        self._streams: dict[int, str] = {}
        self._input = memoryview(stdin or b"")
        self._log = logs.LogWriter(request["log"]) if request.get("log") else None
        self._poll = select.poll()
        self._stdin = -1
        given: list[int] = []
        if not request.get("terminal"):
            given = self._open_streams()
        try:
            self._wire = client.connect(home)
            protocol.send(self._wire, request, given)
        finally:
            for fd in given:
                os.close(fd)
        self._poll.register(self._wire, select.POLLIN)

    def _open_streams(self) -> list[int]:
        theirs = []
        if self._input:
            read, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
            self._poll.register(self._stdin, select.POLLOUT)
            theirs.append(read)
        else:
            theirs.append(os.open("/dev/null", os.O_RDONLY))
        for stream in ("stdout", "stderr"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self._streams[read] = stream
            self._poll.register(read, select.POLLIN)
            theirs.append(write)
        return theirs

    def poll(self, seconds: float) -> list[tuple[str, bytes]]:
        """What came within `seconds`: pieces of output, each with the name of its stream."""
        pieces = []
        if self.done:
            return []
        for fd, event in self._poll.poll(seconds * 1000):
            if fd == self._stdin:
                self._feed(broken=bool(event & select.POLLERR))
            elif fd in self._streams:
                pieces += self._take(fd)
            elif fd == self._wire.fileno():
                self._hear()
        if self._ended is not None and (not self._streams or self._drained(pieces)):
            self._finish()
        return pieces

    def _take(self, fd: int) -> list[tuple[str, bytes]]:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return []
        stream = self._streams[fd]
        if not data:
            self._poll.unregister(fd)
            os.close(fd)
            del self._streams[fd]
            return []
        if self._log:
            self._log.write(stream, data)
        return [(stream, data)]

    def _drained(self, pieces: list[tuple[str, bytes]]) -> bool:
        """The process has ended, but somebody else may hold its streams: take what is there, and wait no longer."""
        for fd in list(self._streams):
            while got := self._take(fd):
                pieces += got
        return True

    def _feed(self, broken: bool) -> None:
        if not broken:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                self._input = self._input[os.write(self._stdin, self._input[:65536]) :]
                broken = not self._input
        if broken:
            self._poll.unregister(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    def _hear(self) -> None:
        message, fds = protocol.receive(self._wire)
        if message is None:
            self._reconnect()
            return
        if message["event"] == "started":
            self.pid = message["pid"]
            self.console = fds[0] if fds else -1
        elif message["event"] == "exited":
            self._ended = message
        else:
            self._ended = {"exit_code": 125, "reason": "", "trace": [], **message}
            self.failure = from_json(message["error"])

    def _reconnect(self) -> None:
        """The launcher was killed. The process was not: its streams are ours, and the next launcher has adopted it."""
        self._poll.unregister(self._wire)
        self._wire.close()
        self._wire = client.connect(self.home)
        self._poll.register(self._wire, select.POLLIN)
        if not self.pid:
            self.failure = LauncherLost("the launcher was killed while it started the container", cure="start it again")
            self._ended = {"exit_code": 125, "reason": "", "trace": []}
            return
        protocol.send(self._wire, {"do": "wait", "name": self.name})

    def _finish(self) -> None:
        self.done = True
        for fd in (*self._streams, self._stdin, self.console):
            if fd >= 0:
                os.close(fd)
        self._streams, self._stdin, self.console = {}, -1, -1
        self._wire.close()
        if self._log:
            self._log.close()

    def send(self, message: dict[str, Any]) -> None:
        """Ask the launcher something about this job."""
        client.ask(self.home, {**message, "name": self.name})

    def signal(self, number: int) -> None:
        """Send a signal to the process; SIGKILL ends all that runs in the container."""
        self.send({"do": "signal", "signal": number})

    def abandon(self) -> None:
        """End it: whatever runs is killed, and nothing of it is left when this returns."""
        if not self.done:
            with contextlib.suppress(SandboxError):
                self.signal(signal.SIGKILL)
            while not self.done:
                self.poll(1.0)

    def detach(self) -> None:
        """Leave it to itself: it goes on in the background."""
        protocol.send(self._wire, {"do": "detach", "name": self.name})
        self._finish()

    def output(self) -> Iterator[tuple[str, bytes]]:
        """All output, piece by piece, until it ends. Leaving early ends the job."""
        try:
            while not self.done:
                yield from self.poll(0.2)
        finally:
            self.abandon()

    @property
    def trace(self) -> Trace:
        return Trace.from_json((self._ended or {}).get("trace", []))

    def result(self, stdout: bytes = b"", stderr: bytes = b"") -> Result:
        """How it ended. Raises what kept it from starting."""
        if self.failure is not None:
            raise self.failure
        assert self._ended is not None
        trace = self.trace
        reason = explain(self._ended, self.spec)
        return Result(self._ended["exit_code"], stdout, stderr, reason, trace, warnings(trace))


def explain(ended: dict[str, Any], spec: Spec) -> str:
    """The reason of an exit in words: what killed it, and which limit that was."""
    kind, _, number = str(ended.get("reason", "")).partition(" ")
    if kind == "oom":
        limit = size_text(spec.resources.memory)
        return f"killed by the kernel: out of memory, limit {limit}"
    if kind == "timeout":
        return f"stopped: its timeout of {number} s was over"
    if kind == "signal" and number.isdigit():
        try:
            name = signal.Signals(int(number)).name
        except ValueError:
            name = "a real-time signal"
        return f"killed by signal {number} ({name})"
    return str(ended.get("reason", ""))


def warnings(trace: Trace) -> tuple[str, ...]:
    """What could not be had here and was not asked for by name: each in a sentence."""
    return tuple(entry.result for entry in trace if entry.step.startswith(("SetLimits", "MakeCgroups")) and entry.result)
