"""Load for a container, to see its limits at work: it burns CPU time, holds memory, forks, writes.

Each is a small script for /bin/sh and what busybox has, run as `Container.spawn` runs a command: it counts as the container's,
is confined as that is, and goes with it.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import InvalidOption
from .immutable import immutable
from .job import Job

if TYPE_CHECKING:
    from .container import Container

#: Seconds that what is forked or allocated is held.
HOLD = 30
#: Seconds in which a load that is told to end may clear up, and in which it is waited for that one begins.
PATIENCE = 3.0


@immutable
class Kind:
    """One kind of load: what it does, in words, with `{}` for how much; how much by default and at most; its script.

    No script leaves anybody behind whom the container's PID 1 would have to reap: few of them do, and a zombie counts.
    """

    words: str
    unit: str
    usual: int
    most: int
    script: Callable[[int], str]


def _burn(seconds: int) -> str:
    return "while :; do :; done"


def _allocate(mib: int) -> str:
    """awk keeps strings of 1 MiB, all different, and then waits for something to read, which never comes."""
    program = f'BEGIN {{ s = "x"; while (length(s) < 1048576) s = s s; while (++i <= {mib}) a[i] = s i; getline }}'
    return f"exec awk '{program}'"


def _fork(count: int) -> str:
    """A shell that may not fork gives up: then it still waits for what it has forked."""
    return (
        "trap 'trap : TERM; kill $pids; wait; exit' TERM; trap wait EXIT; "
        f'while [ $((i += 1)) -le {count} ]; do sleep {HOLD} & pids="$pids $!"; done; wait'
    )


def _write(mib: int) -> str:
    """Past the page cache (open(2), O_DIRECT) where that is possible: v1 does not know whose it was that is written later."""
    to = f"dd if=/dev/zero of=/tmp/load bs=1M count={mib}"
    return (
        f"trap 'rm -f /tmp/load; exit' TERM; mkdir -p /tmp; {to} oflag=direct 2>/dev/null || {to} conv=fsync; rm -f /tmp/load"
    )


KINDS = {
    "cpu": Kind("burns CPU time for {} s", "s", 10, 600, _burn),
    "memory": Kind(f"allocates {{}} MiB and holds them for {HOLD} s", "MiB", 64, 1 << 20, _allocate),
    "fork": Kind(f"forks {{}} processes that sleep for {HOLD} s", "processes", 20, 10_000, _fork),
    "write": Kind("writes {} MiB", "MiB", 64, 1 << 20, _write),
}


class Load:
    """One load that was put on a container. It ends by itself, or by `stop`, or with the container."""

    def __init__(self, kind: str, amount: int, job: Job) -> None:
        self.kind, self.amount, self._job = kind, amount, job

    def __str__(self) -> str:
        return KINDS[self.kind].words.format(self.amount)

    def __repr__(self) -> str:
        return f"<Load: {self}>"

    @property
    def running(self) -> bool:
        """Whether it goes on. Ask now and then: what it says is taken up by that."""
        self._job.poll(0)
        return not self._job.done

    def stop(self) -> None:
        """End it; nothing of it is left when this returns."""
        if self._job.done:
            return
        self._job.stop(seconds=PATIENCE)
        while not self._job.done:
            self._job.poll(0.2)


def load(container: "Container", kind: str, amount: int | None = None) -> Load:
    """Put a load on a running container: one of KINDS, of so many seconds, MiB or processes. Returns when it has begun.

    Raises:
        InvalidOption: there is no such kind, or not so much of it.
        WrongState, NotFound: the container does not run, or is frozen.
        SandboxError: whatever else kept it from beginning.
    """
    known = KINDS.get(kind)
    if known is None:
        raise InvalidOption(f"there is no load {kind!r}", cure=f"there are: {', '.join(KINDS)}")
    much = known.usual if amount is None else amount
    if not isinstance(much, int) or isinstance(much, bool) or not 1 <= much <= known.most:
        raise InvalidOption(f"{amount!r} {known.unit} of {kind} can't be had", cure=f"give a number from 1 to {known.most}")
    seconds = {"cpu": much, "memory": HOLD}.get(kind)
    job, begun = container.spawn(known.script(much), interactive=True, timeout=seconds), time.monotonic()
    while not job.pid and not job.done and time.monotonic() < begun + PATIENCE:
        job.poll(0.2)
    if job.failure:
        raise job.failure
    return Load(kind, much, job)
