"""The log of a container: what it wrote, when, and to which stream. One JSON object a line, the older half in a second file.

{"time": seconds since the epoch, "stream": "stdout" or "stderr", "log": text}; bytes that are not UTF-8 are kept as lone
surrogates (PEP 383), so nothing is lost. The launcher adds "at": where the piece lay in its spool (launcher/spool.py).
"""

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator

#: A log takes at most twice this many bytes; what is older goes.
ROTATE_AT = 8 << 20


class LogWriter:
    """Appends to a log; opens the file with the first write. What can't be written (the disk is full, or broken) is lost."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._size = 0

    def open(self) -> None:
        """Open the file already. When it is moved then, what comes later still gets into it."""
        with contextlib.suppress(OSError):
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):  # a FIFO would be full some day, and whoever writes to it hang
                self.close()
                return
            self._size = status.st_size
            if (
                self._size and os.pread(self._fd, 1, self._size - 1) != b"\n"
            ):  # who wrote it was killed in the middle of a line
                self._size = os.pread(self._fd, self._size, 0).rfind(b"\n") + 1
                os.ftruncate(self._fd, self._size)

    def place(self, stream: str) -> int:
        """Where the last piece of a stream ended in its spool; 0 if there was none."""
        word = b'"stream": "%s"' % stream.encode()
        for path in (self.path, f"{self.path}.1"):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
                for line in reversed(file.read().splitlines()):
                    if word in line and (piece := parse(line)):
                        return int(json.loads(line).get("at", 0)) + len(piece[2])
        return 0

    def write(self, stream: str, data: bytes, at: int | None = None) -> None:
        """Add one piece of output. On a full disk, or a broken one, it is lost, and only it: who writes the log must go on."""
        if self._fd < 0:
            self.open()
        if self._fd < 0:  # there is no log (of exec), or it can't be had
            return
        line = {"time": time.time(), "stream": stream, "log": data.decode("utf-8", "surrogateescape")}
        line |= {} if at is None else {"at": at}
        with contextlib.suppress(OSError):
            self._append(json.dumps(line).encode() + b"\n")
        if self._size > ROTATE_AT:
            self.close()
            with contextlib.suppress(FileNotFoundError):  # it was moved
                os.replace(self.path, f"{self.path}.1")

    def _append(self, line: bytes) -> None:
        written = os.write(self._fd, line)
        if written < len(line):
            os.ftruncate(self._fd, self._size)  # what comes later must not be added to half a line
        else:
            self._size += written

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: str) -> Iterator[tuple[float, str, bytes]]:
    """(time, stream, bytes) of each piece of a log, oldest first; a torn last line is left out."""
    for part in (f"{path}.1", path):
        yield from _pieces(part)


def _pieces(path: str) -> Iterator[tuple[float, str, bytes]]:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        yield from (piece for line in file if (piece := parse(line)))


def follow(path: Callable[[], str], ended: Callable[[], bool]) -> Iterator[tuple[float, str, bytes] | None]:
    """Like `read`, and then whatever is added until `ended`; None each time when all that is there has been read.

    `path` is asked where the log is: when a container has ended, it is moved to the records.
    """
    yield from _pieces(f"{path()}.1")
    file, rest, last = None, b"", False
    try:
        while not last:
            last = ended()  # asked first: what was written before the end is still read below
            with contextlib.suppress(FileNotFoundError):
                file = file or open(path(), "rb")  # noqa: SIM115
            for line in file or ():
                rest += line
                if rest.endswith(b"\n"):
                    if piece := parse(rest):
                        yield piece
                    rest = b""
            if file and _is_another(path(), file.fileno()):  # it has become the older half
                file.close()
                file, last = None, False
            elif not last:
                yield None
                time.sleep(0.05)
    finally:
        if file:
            file.close()


def _is_another(path: str, fd: int) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def parse(line: bytes) -> tuple[float, str, bytes] | None:
    """One line of a log, or None where it is torn."""
    try:
        entry = json.loads(line)
        return entry["time"], entry["stream"], entry["log"].encode("utf-8", "surrogateescape")
    except (ValueError, KeyError):
        return None
