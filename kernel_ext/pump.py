"""Between a terminal in a container and its picture in the notebook: a thread of its own, so that no cell has to run for it.

What comes from the browser (keys, sizes) is only noted down by whoever brings it; the thread hands it on. Notebook callbacks
may run on any thread, and must return at once.
"""

import contextlib
import os
import threading
import time
from collections import deque
from typing import Protocol

from sandbox import Job, SandboxError, console, terminal

from .running import ending
from .streaming import BATCH, ENVELOPE, pace

#: Seconds in which what is shown is gathered into one message.
GATHER = 0.02
#: Seconds after which the thread looks around when nothing happens.
IDLE = 0.3


class View(Protocol):
    """Where a terminal is shown."""

    pump: "Pump"

    def show(self, data: bytes) -> int:
        """Add what the terminal shows; returns how many bytes went to the browser."""

    def hide_input(self, hidden: bool) -> None:
        """Whether what is typed now is a password."""

    def left(self, why: str) -> None:
        """It is over: nothing more will be shown, and nothing typed."""


class Pump:
    """Carries bytes between a job and its view until the job ends or is left; `ours`: leaving it ends it.

    `first` is what it has shown already, `keys` finds those that leave it.
    """

    def __init__(
        self, job: Job, view: View, *, first: bytes = b"", keys: terminal.DetachKeys | None = None, ours: bool = False
    ) -> None:
        self._job, self._view, self._ours = job, view, ours
        self._typed: deque[bytes] = deque()
        self._keys = keys or terminal.DetachKeys(b"")
        self._size: tuple[int, int] | None = None
        self._leaving = False
        self._bell, self._rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, args=(first,), daemon=True, name=f"console of {job.name}")
        self._thread.start()

    def type(self, data: bytes) -> None:
        """Type it."""
        self._typed.append(data)
        self._ring()

    def resize(self, rows: int, columns: int) -> None:
        """The window has this size now."""
        self._size = rows, columns
        self._ring()

    def leave(self) -> None:
        """Be done with it."""
        self._leaving = True
        self._ring()

    def join(self) -> None:
        """Wait until that is so."""
        self._thread.join(5)

    def _ring(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):  # full: it will be heard anyway
            if self._rope >= 0:
                os.write(self._rope, b".")

    def _heard(self, bells: bytes) -> bytes:
        typed = []
        while self._typed:
            typed.append(self._typed.popleft())
        return self._keys.feed(b"".join(typed))

    def _run(self, first: bytes) -> None:
        try:
            why = self._carry(bytearray(first))
        except (SandboxError, OSError) as error:
            why = str(error)
        with self._lock:
            os.close(self._rope)
            os.close(self._bell)
            self._rope = -1
        self._view.left(why)

    def _carry(self, waiting: bytearray) -> str:
        """Do it, beginning with what is waiting to be shown; returns why it is over."""
        job = self._job
        job.feed(self._bell, self._heard)  # the bell ends the wait for output
        hidden = False
        try:
            while not (job.done or self._leaving or self._keys.pressed):
                if len(waiting) < BATCH:
                    waiting += b"".join(data for _, data in job.poll(pace.wait() if waiting else IDLE))
                else:  # more than the notebook takes: read nothing, and whoever writes it has to wait
                    time.sleep(pace.wait())
                if self._size is not None:
                    (rows, columns), self._size = self._size, None
                    console.resize(job, rows, columns)
                if hidden != (hidden := console.mode(job) == console.PASSWORD):
                    self._view.hide_input(hidden)
                if waiting and not pace.wait():
                    self._show(waiting)
            left = not job.done
        finally:
            if not job.done:
                job.abandon() if self._ours else job.detach()
            self._show(waiting)
        return "left: it goes on" if left and not self._ours else ending(job.result())

    def _show(self, waiting: bytearray) -> None:
        if waiting:
            pace.spend(self._view.show(bytes(waiting)) + ENVELOPE, GATHER)
            waiting.clear()
