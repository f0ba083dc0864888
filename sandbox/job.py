"""A job: a process in a container that somebody waits for, with its streams or its terminal. Nothing here blocks for long."""

import contextlib
import os
import select
import signal as signals
from collections.abc import Callable, Iterator
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
    trace: Trace = field(default_factory=Trace, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 show as U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    def __bool__(self) -> bool:
        return self.exit_code == 0


class Job:
    """One process that was started and is waited for. Use `poll` until `done`; then `result` is there.

    It reads `stdin` and then the end of the file; with `interactive`, or on a terminal, what `write` and `feed` give it.
    """

    again = "start it again"  #: what helps when it was never made

    def __init__(
        self, home: Home, request: dict[str, Any], spec: Spec, *, stdin: bytes | None = None, interactive: bool = False
    ) -> None:
        self.home, self.spec, self.name = home, spec, str(request["name"])
        self.plan: dict[str, Any] = request.get("plan", {})
        self.pid = int(request.get("pid", 0))  # known only of one that runs already
        self.terminal = bool(request.get("terminal"))
        self.console = -1  # the master of its terminal, once it runs
        self.tty = int(request.get("tty", 0))  # which of its terminals that is: 0 is the console
        self.done = False
        self.failure: SandboxError | None = None
        self._ended: dict[str, Any] | None = None
        self._streams: dict[int, str] = {}
        self._input = bytearray(stdin or b"")  # what is not yet taken inside
        self._more = interactive or self.terminal  # more may come
        self._source = -1
        self._through: Callable[[bytes], bytes] = bytes
        self._log = logs.LogWriter(request["log"]) if request.get("log") else None
        if self._log:
            self._log.open()  # now: a short run may have ended, and its log be moved to the records, before we read a byte
        self._poll = select.poll()
        self._stdin = -1
        given: list[int] = []
        if not self.terminal:
            given = self._open_streams()
        try:
            self._wire = client.tell(home, request, given)
        finally:
            for fd in given:
                os.close(fd)
        self._poll.register(self._wire, select.POLLIN)

    def _open_streams(self) -> list[int]:
        theirs = []
        if self._input or self._more:
            read, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
            self._arm()
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
            if fd == self._wire.fileno():
                self._hear()
            elif fd == self._source:
                self._read_source()
            elif event & (select.POLLOUT | select.POLLERR):
                self._give(fd, broken=bool(event & select.POLLERR))
            if fd in self._streams and event & ~select.POLLOUT:
                pieces += self._take(fd)
        if self._ended is not None and (not self._streams or self._drained(pieces)):
            self._finish()
        return pieces

    def _take(self, fd: int) -> list[tuple[str, bytes]]:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return []
        except OSError:  # EIO: nobody has the terminal open just now, and poll would return at once, for ever. pty(7)
            wire = select.poll()  # select(2) takes no number above 1,023
            wire.register(self._wire, select.POLLIN)
            wire.poll(20 if self._ended is None else 0)
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
            for _ in range(16):  # 1 MiB, which is all that a pipe holds: somebody may be writing all the time
                if not (got := self._take(fd)):
                    break
                pieces += got
        return True

    def write(self, data: bytes) -> None:
        """Type into its terminal, or add to its standard input. Never blocks: `poll` hands it on as it is taken."""
        self._input += data
        self._arm()

    def close_stdin(self) -> None:
        """No more will come: it reads the end of the file after what was written. A terminal has no such end."""
        self._more = False
        self._arm()

    def feed(self, source: int, through: Callable[[bytes], bytes] = bytes) -> None:
        """Hand on what `source` brings until its end, no faster than it is taken; `through` may change each piece.

        The descriptor itself stays outside: who holds somebody's terminal can type into it. TIOCSTI, ioctl_tty(2).
        """
        self._source, self._through = source, through
        self._arm()

    def _arm(self) -> None:
        """Wait for room inside while something waits to be taken, and otherwise for the source."""
        if self.console >= 0:
            self._poll.register(self.console, select.POLLIN | (select.POLLOUT if self._input else 0))
        elif self._stdin >= 0 and (self._input or self._more):
            self._poll.register(self._stdin, select.POLLOUT if self._input else 0)  # with 0, still POLLERR: nobody reads
        elif self._stdin >= 0:
            self._poll.unregister(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
        if self._source >= 0 and self._more and not self._input:
            self._poll.register(self._source, select.POLLIN)
        elif self._source >= 0:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._source)

    def _read_source(self) -> None:
        try:
            data = os.read(self._source, 1 << 16)
        except BlockingIOError:
            return
        except OSError:  # EIO: our own terminal is gone
            data = b""
        self._more = bool(data)
        self._input += self._through(data)
        self._arm()

    def _give(self, fd: int, broken: bool) -> None:
        try:
            if not broken:
                del self._input[: os.write(fd, self._input[:65536])]
        except BlockingIOError:
            return
        except OSError:  # EPIPE, EIO: nobody will read it
            broken = True
        if broken:
            self._input.clear()
            self._more = self._more and self.console >= 0
        self._arm()

    def _hear(self) -> None:
        message, fds = protocol.receive(self._wire)
        if message is None:
            self._reconnect()
        else:
            self._take_in(message, fds)

    def _take_in(self, message: dict[str, Any], fds: list[int]) -> None:
        """One message of the launcher's."""
        if message["event"] in ("started", "attached"):
            self.pid = message.get("pid", self.pid)
            self.tty = message.get("tty", self.tty)
            if fds:
                self._open_console(fds[0])
        elif message["event"] == "exited":
            self._ended = message
        else:
            self._ended = {"exit_code": 125, "reason": "", "trace": [], **message}
            self.failure = from_json(message["error"])

    def _open_console(self, fd: int) -> None:
        if self.console >= 0:  # attached again, after a launcher was killed
            self._poll.unregister(self.console)
            del self._streams[self.console]
            os.close(self.console)
        self.console = fd
        self._streams[fd] = "stdout"
        self._arm()

    def _reconnect(self) -> None:
        """The launcher was killed. The process was not: its streams are ours, and the next launcher has adopted it."""
        self._poll.unregister(self._wire)
        self._wire.close()
        if not self.pid:
            self.failure = LauncherLost("the launcher was killed while it started the container", cure=self.again)
            self._ended = {"exit_code": 125, "reason": "", "trace": []}
            return
        again = {"do": "attach", "tty": self.tty} if self.console >= 0 else {"do": "wait"}
        self._wire = client.tell(self.home, {**again, "name": self.name})
        self._poll.register(self._wire, select.POLLIN)

    def _finish(self) -> None:
        self.done = True
        for fd in {*self._streams, self._stdin, self.console} - {-1}:
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

    def stop(self, number: int = signals.SIGTERM, seconds: float = 10.0) -> None:
        """Ask it to end, and have it killed after `seconds`, or at once where it could not notice. Waits for nothing."""
        client.tell(self.home, {"do": "stop", "name": self.name, "signal": number, "timeout": seconds}).close()

    def abandon(self) -> None:
        """End it: whatever runs is killed, and nothing of it is left when this returns."""
        if not self.done:
            with contextlib.suppress(SandboxError):
                self.signal(signals.SIGKILL)
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
        ended = self._ended or {}
        plan = ended.get("plan", self.plan)  # who attached to it did not start it
        return Trace(ended.get("trace", []), plan) if plan else Trace()

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
            name = signals.Signals(int(number)).name
        except ValueError:
            name = "a real-time signal"
        return f"killed by signal {number} ({name})"
    return str(ended.get("reason", ""))


def warnings(trace: Trace) -> tuple[str, ...]:
    """What could not be had here and was not asked for by name: each in a sentence."""
    return tuple(trace.results("MakeCgroups", "SetLimits"))
