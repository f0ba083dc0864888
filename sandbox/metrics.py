"""Samples of what a container uses, and the rates between two of them."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

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


#: Each rate, and what of cgroups.Usage it is the rate of.
PER_SECOND = {
    "cpu": "cpu_seconds", "throttled": "throttled_seconds", "io_read": "io_read", "io_written": "io_written",
    "cpu_stalled": "cpu_stalled", "memory_stalled": "memory_stalled", "io_stalled": "io_stalled",
}  # fmt: skip


def per_second(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float, names: Iterable[str]) -> dict[str, Any]:
    """These rates between two looks at one group, of fields of cgroups.Usage."""
    found = {}
    for name in names:
        first, second = before.get(PER_SECOND[name]), after.get(PER_SECOND[name])
        found[name] = None if first is None or second is None else (second - first) / seconds
    return found


def rates(before: Sample, after: Sample) -> Rates:
    """The rates between two samples of one group. Raises ValueError when no time has passed."""
    seconds = after.at - before.at
    if seconds <= 0:
        raise ValueError("the second sample must be later than the first")
    return Rates(**per_second(vars(before.usage), vars(after.usage), seconds, PER_SECOND))
