"""One loop that waits for descriptors and clocks, and calls back. Nothing called may wait itself. epoll(7)."""

import heapq
import select
import time
from collections.abc import Callable


def readable(fd: int) -> bool:
    """Whether there is something to read, or the other side is gone. poll(2): select(2) takes no number above 1,023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Loop:
    """What is waited for: descriptors that become readable, and times that come."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.watched: dict[int, Callable[[], None]] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.serial = 0

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back whenever there is something to read, or the other side is gone."""
        self.watched[fd] = callback
        self.epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Do so no longer. To be called before the descriptor is closed."""
        if self.watched.pop(fd, None):
            self.epoll.unregister(fd)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, after so many seconds."""
        self.serial += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.serial, callback))

    def turn(self, seconds: float) -> None:
        """Wait for whatever comes first, at most so long, and do what is to be done."""
        if self.timers:
            seconds = min(seconds, self.timers[0][0] - time.monotonic())
        for fd, _ in self.epoll.poll(max(seconds, 0)):
            if callback := self.watched.get(fd):
                callback()
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()
