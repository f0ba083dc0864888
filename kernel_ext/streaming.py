"""Output into a cell: as it is produced, told apart, no faster than Jupyter carries it, no more than a cell should hold.

A Jupyter server drops what exceeds 1 MB/s or 1,000 messages/s, and all that follows. So pieces are gathered into batches, and
batches are paced. Of long output the beginning and the end are shown; what is between them stays in the log.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from .card import Card
from .untrusted import Decoder

#: Bytes of output that a cell shows, if nothing else is said.
OUTPUT_LIMIT = 1 << 20
#: Bytes a second, as they go over the wire. A batch more may be on its way, and still it is less than 1 MB in any second.
RATE = 750_000
#: Seconds in which output is gathered into one batch.
GATHER = 0.05
#: Characters in a batch: at most four bytes each.
BATCH = 40_000
#: Messages in a batch. Streams that take turns more often than this are sorted: first all of one, then all of the other.
TURNS = 8
#: What a message costs beside its text.
ENVELOPE = 1_000


class Pace:
    """When the next batch may go. One for the process: cells that follow one another, and consoles beside them, share it."""

    def __init__(self) -> None:
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until a batch may go."""
        return max(self._next - time.monotonic(), 0.0)

    def spend(self, size: int, gather: float = 0.0) -> None:
        """A batch of this many bytes went; the next one shall gather for so many seconds at least."""
        with self._lock:
            self._next = max(self._next, time.monotonic()) + max(gather, size / RATE)


pace = Pace()


class Printer:
    """Shows the output of one run: its first half of `limit` bytes at once, its last half at the end.

    `rest` says where what was left out can be read. Memory stays below about three times `limit`, however much comes.
    `decoder` makes text of the bytes of one stream.
    """

    def __init__(self, limit: int, rest: str, decoder: Callable[[], Callable[[bytes, bool], str]] = Decoder) -> None:
        self._room = limit - limit // 2
        self._tail_room = limit // 2
        self._rest = rest
        self._decoder = decoder
        self._decoders = {"stdout": decoder(), "stderr": decoder()}
        self._waiting: deque[tuple[str, str]] = deque()  # text that is to be shown
        self._tail: deque[tuple[str, bytes]] = deque()  # the newest bytes that are not shown yet
        self._tail_size = 0
        self._left_out = 0
        self._notice = f"sandbox-{os.urandom(8).hex()}"  # the card between beginning and end
        self._noticed = False

    def feed(self, stream: str, data: bytes) -> None:
        """Take a piece of output."""
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._room -= len(head)
            self._wait(stream, head)
        if rest:
            self._tail.append((stream, rest))
            self._tail_size += len(rest)
        while (excess := self._tail_size - self._tail_room) > 0:
            stream, oldest = self._tail.popleft()
            if len(oldest) > excess:
                self._tail.appendleft((stream, oldest[excess:]))
            self._left_out += min(excess, len(oldest))
            self._tail_size -= min(excess, len(oldest))

    def show(self) -> None:
        """Show the next batch, if it is time. Never waits."""
        if self._waiting and not pace.wait():
            self._send(GATHER)
        if self._left_out and not self._waiting and not self._noticed:
            Card("more than a cell should hold: what comes now is left out, until the end", cure=self._rest).show(self._notice)
            self._noticed = True

    def finish(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Show all that is still to be shown, at the pace that is allowed; `stop` says whether somebody wants no more."""
        self._drain(stop)
        if self._left_out:
            what = f"{size_text(self._left_out)} left out here: more than a cell should hold"
            Card(what, cure=self._rest).show(self._notice, update=self._noticed)
            for name in self._decoders:
                self._wait(name, b"", final=True)  # a character cut in two is no character
                self._decoders[name] = self._decoder()
            stream, first = self._tail[0] if self._tail else ("", b"")
            if first:
                self._tail[0] = (stream, first.lstrip(bytes(range(0x80, 0xC0))) if 0x80 <= first[0] < 0xC0 else first)
        for stream, data in self._tail:
            self._wait(stream, data)
        for stream in self._decoders:
            self._wait(stream, b"", final=True)
        self._tail.clear()
        self._drain(stop)

    def _wait(self, stream: str, data: bytes, final: bool = False) -> None:
        if text := self._decoders[stream](data, final):
            self._waiting.append((stream, text))

    def _drain(self, stop: Callable[[], bool]) -> None:
        while self._waiting and not stop():
            if seconds := pace.wait():
                time.sleep(min(seconds, GATHER))
            else:
                self._send(0)
        self._waiting.clear()

    def _send(self, gather: float) -> None:
        turns: list[tuple[str, str]] = []
        room = BATCH
        while self._waiting and room:
            stream, text = self._waiting.popleft()
            if len(text) > room:
                self._waiting.appendleft((stream, text[room:]))
                text = text[:room]
            room -= len(text)
            if turns and turns[-1][0] == stream:
                text = turns.pop()[1] + text
            turns.append((stream, text))
        if len(turns) > TURNS:
            turns = [(name, "".join(text for stream, text in turns if stream == name)) for name in self._decoders]
        cost = 0
        for stream, text in turns:
            out = getattr(sys, stream)
            out.write(text)
            out.flush()  # one message, now; and the two streams stay in order
            cost += ENVELOPE + len(json.dumps(text, ensure_ascii=False).encode())
        pace.spend(cost, gather)


def size_text(amount: int) -> str:
    """A size for people."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if amount >= factor:
            return f"{amount / factor:.1f} {unit}"
    return f"{amount} bytes"
