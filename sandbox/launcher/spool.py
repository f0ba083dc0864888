"""A stream on its way from a pipe into a log. Whoever carries it may be killed: no byte is lost or written twice.

    pipe ── splice(2) ──► memfd ──► log, each piece with its place in the memfd

splice(2) moves bytes in one call: they are in the pipe or in the memfd, never in the hands of a process that can be killed.
The keeper holds both. So the next launcher compares the length of the memfd with the last place in the log, and goes on there.
"""

import os

from .. import logs

#: Bytes moved at a time; and when the memfd is emptied. It must be the larger one, for `recover` to know that it was.
PIECE = 1 << 16
FULL = 1 << 18


class Spool:
    """One stream of a detached container: `pipe` is the end to read from, `store` the memfd (a new one by default)."""

    def __init__(self, stream: str, pipe: int, store: int = -1) -> None:
        self.stream, self.pipe = stream, pipe
        self.store = os.memfd_create(stream) if store < 0 else store

    def move(self, log: logs.LogWriter) -> bool:
        """Move what is there, at most PIECE bytes; False at the end of the stream."""
        try:
            count = os.splice(self.pipe, self.store, PIECE)
        except BlockingIOError:
            return True
        if count:
            self._log(log, os.fstat(self.store).st_size - count)
        return count > 0

    def recover(self, log: logs.LogWriter) -> None:
        """Log what the last launcher took out of the pipe and did not get to log."""
        size = os.fstat(self.store).st_size
        logged = log.place(self.stream)
        if size and logged != size:
            self._log(log, logged if logged < size else 0)  # beyond the end: it was emptied since

    def _log(self, log: logs.LogWriter, start: int) -> None:
        size = os.fstat(self.store).st_size
        log.write(self.stream, os.pread(self.store, size - start, start), start)
        if size >= FULL:
            os.ftruncate(self.store, 0)
            os.lseek(self.store, 0, os.SEEK_SET)

    def close(self) -> None:
        os.close(self.pipe)
        os.close(self.store)
