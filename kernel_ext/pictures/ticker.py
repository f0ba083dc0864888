"""One thread for all pictures of a notebook: it asks those that move for their next frame, and does what a page asked for.

So no picture needs a running cell, and no callback of Jupyter's, which may come on any thread, waits for anything.
"""

import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable

from ..card import mistake
from ..untrusted import visible

Task = Callable[[], object]
#: Seconds without a task after which the thread ends: each step debugger has one.
IDLE = 30.0


class Ticker:
    """Does tasks one after another, each at its time. Its thread, a daemon, begins with a task and ends without."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()  # of two tasks with the same time the first comes first
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def post(self, task: Task) -> None:
        """Have it done as soon as possible."""
        self.later(0.0, task)

    def later(self, seconds: float, task: Task) -> None:
        """Have it done in so many seconds."""
        with self._news:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), task))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="pictures")
                self._thread.start()
            self._news.notify()

    def flush(self, seconds: float) -> bool:
        """Wait until all that is due by now is done, for so many seconds at most; returns whether it is."""
        done = threading.Event()
        self.post(done.set)
        return done.wait(seconds)

    def every(self, seconds: float, task: Callable[[], bool]) -> None:
        """Have it done again and again, until it returns False. Who is late does not catch up: frames are left out."""

        def again() -> None:
            begun = time.monotonic()
            if task():
                self.later(max(begun + seconds - time.monotonic(), seconds / 4), again)

        self.post(again)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._due or self._due[0][0] > time.monotonic():
                    if not self._news.wait(self._due[0][0] - time.monotonic() if self._due else IDLE) and not self._due:
                        self._thread = None  # the next task begins another one
                        return
                task = heapq.heappop(self._due)[2]
            try:
                task()
            except Exception as error:  # one picture's mistake is told on stderr, and must not stop the others
                print(visible(str(mistake(error))), file=sys.stderr)


ticker = Ticker()
