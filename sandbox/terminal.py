"""The host's side of a process in a container: between our streams and its own, our terminal and its own. pty(7).

Its terminal is a pair of its own, and so are its pipes: nothing of ours goes inside, bytes are carried between the two.
"""

import contextlib
import fcntl
import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from .errors import InvalidOption, SandboxError
from .job import Job

#: Seconds that a signal to us leaves the container to end by itself: with it, all is over within one.
GRACE = 0.7
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DetachKeys:
    """Finds the keys that leave a container to itself in what is typed. What may be their beginning is held back."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.pressed = False
        self._held = b""

    def feed(self, typed: bytes) -> bytes:
        """What is to be handed on of this: nothing from the keys on."""
        data = self._held + typed
        at = data.find(self.keys) if self.keys else -1
        if self.pressed or at >= 0:
            self.pressed, self._held = True, b""
            return data[: max(at, 0)]
        held = next((n for n in range(len(self.keys) - 1, 0, -1) if data.endswith(self.keys[:n])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]


def detach_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" as the bytes that a terminal sends; "" is no keys at all. Raises InvalidOption."""
    keys = b""
    for word in text.split(",") if text else ():
        letter = word.removeprefix("ctrl-").lower() if word.startswith("ctrl-") else ""
        if len(letter) == 1 and letter in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            keys += bytes([ord(letter.upper()) & 0x1F])
        elif len(word) == 1 and word.isascii():
            keys += word.encode()
        else:
            raise InvalidOption(f"detach keys: {word!r} is no key", cure="write single letters and ctrl-LETTER: ctrl-p,ctrl-q")
    return keys


def carry(job: Job, *, stdin: bool = False, keys: bytes | DetachKeys = b"", ours: bool = True) -> bool:
    """Carry bytes, window sizes and signals between us and a job. True when it has ended, False when `keys` detached it.

    With `ours`, the process ends when we are told to (SIGINT, SIGTERM, SIGHUP, or an error here); otherwise it goes on.
    """
    screen = next((fd for fd in (0, 1) if os.isatty(fd)), -1)
    keyboard = stdin and screen == 0 and job.terminal
    typed = keys if isinstance(keys, DetachKeys) else DetachKeys(keys)
    if not keyboard:
        typed = DetachKeys(b"")  # in a pipe they are bytes like others
    console = -1
    with contextlib.ExitStack() as restored:
        restored.enter_context(_signals(ENDING, _stopper(job) if ours else _leave))
        restored.enter_context(_signals((signal.SIGWINCH,), lambda number: copy_size(screen, job.console)))
        if keyboard:
            restored.enter_context(raw(0))
        if stdin:
            job.feed(0, typed.feed)
        try:
            while not job.done and not typed.pressed:
                for stream, data in job.poll(0.2):
                    write(2 if stream == "stderr" else 1, data)
                if job.console != console:
                    console = job.console
                    copy_size(screen, console)
        except BaseException:
            if ours:
                job.abandon()
            raise
    if not job.done:
        job.detach()
        return False
    return True


def write(fd: int, data: bytes) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def copy_size(source: int, target: int) -> None:
    """Give a terminal the size of another; whoever runs on it hears of it (SIGWINCH). TIOCSWINSZ, ioctl_tty(2)."""
    if source >= 0 and target >= 0:
        with contextlib.suppress(OSError):  # one of them is gone
            fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8)))


@contextlib.contextmanager
def raw(fd: int, mode: Callable[..., object] = tty.setraw) -> Iterator[None]:
    """Every key as it is, ^C too: the container's own terminal knows what it means. Restored whatever happens. termios(3).

    With tty.setcbreak as `mode`, ^C and the like are for us.
    """
    before = termios.tcgetattr(fd)
    mode(fd, termios.TCSANOW)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it hung up
            termios.tcsetattr(fd, termios.TCSANOW, before)


def _stopper(job: Job) -> Callable[[int], None]:
    seconds = [GRACE]

    def stop(number: int) -> None:
        with contextlib.suppress(SandboxError, OSError):  # it has ended, or the launcher has, which ends it
            job.stop(number, seconds.pop() if seconds else 0)

    return stop


def _leave(number: int) -> None:
    raise SystemExit(128 + number)  # through every `finally`


@contextlib.contextmanager
def _signals(numbers: tuple[int, ...], do: Callable[[int], None]) -> Iterator[None]:
    """Handle these, but for those that we were started to ignore (nohup(1), a shell's `&`)."""

    def handle(number: int, frame: FrameType | None) -> None:
        do(number)

    before = {number: signal.signal(number, handle) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
