"""Samples of what a container uses, and the rates between two of them."""

import time

from .immutable import immutable
from .primitives import cgroups


@immutable
class Sample:
    """What was used up to one moment: `at` is in seconds of the machine's monotonic clock."""

    at: float
    usage: cgroups.Usage


@immutable
class Rates:
    """What happened per second between two samples; None where it is not counted here.

    `cpu` is in CPUs (1.5: one and a half busy), `throttled` and the three of pressure are fractions of the time, the two of
    io are bytes a second.
    """

    cpu: float | None
    throttled: float | None
    io_read: float | None
    io_written: float | None
    cpu_stalled: float | None
    memory_stalled: float | None
    io_stalled: float | None


def sample(directories: cgroups.Directories) -> Sample:
    """A sample of one group, now."""
    return Sample(time.monotonic(), cgroups.usage(directories))


def rates(before: Sample, after: Sample) -> Rates:
    """The rates between two samples of one group. Raises ValueError when no time has passed."""
    seconds = after.at - before.at
    if seconds <= 0:
        raise ValueError("the second sample must be later than the first")

    def rate(first: float | None, second: float | None) -> float | None:
        return None if first is None or second is None else (second - first) / seconds

    a, b = before.usage, after.usage
    return Rates(
        cpu=rate(a.cpu_seconds, b.cpu_seconds),
        throttled=rate(a.throttled_seconds, b.throttled_seconds),
        io_read=rate(a.io_read, b.io_read),
        io_written=rate(a.io_written, b.io_written),
        cpu_stalled=rate(a.cpu_stalled, b.cpu_stalled),
        memory_stalled=rate(a.memory_stalled, b.memory_stalled),
        io_stalled=rate(a.io_stalled, b.io_stalled),
    )
