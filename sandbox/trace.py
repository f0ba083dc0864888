"""The trace: every step that was made, in which lane, when, for how long, what it returned and which calls it was made of."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .step import Step


class Call(NamedTuple):
    """One system call: times in nanoseconds of the machine's monotonic clock; result is -errno for a failure."""

    name: str
    arguments: str
    result: int
    start: int
    end: int


class Entry(NamedTuple):
    """One step: lane ("outside" or "inside"), its text, start and end in nanoseconds, result, and its calls."""

    lane: str
    step: str
    start: int
    end: int
    result: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What really happened in one run. Kept as it came from the launcher, and put into words only when somebody looks.

    Each row is [lane, number of the step in that lane, start, end, result, calls]; `plan` is the plan's JSON.
    """

    rows: list[list[Any]] = field(default_factory=list, repr=False)
    plan: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The steps in order of time."""
        made = (
            Entry(lane, str(Step.from_json(self.plan[lane][number])), start, end, result, tuple(Call(*call) for call in calls))
            for lane, number, start, end, result, calls in self.rows
        )
        return tuple(sorted(made, key=lambda entry: entry.start))

    def results(self, *names: str) -> Iterator[str]:
        """What steps of these names returned, if they returned something."""
        for lane, number, _, _, result, _ in self.rows:
            if result and self.plan[lane][number]["step"] in names:
                yield result

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        """A table: offset and duration in microseconds, lane, step, and below each step its calls."""
        if not self.rows:
            return "(empty trace)"
        zero = self.entries[0].start
        lines = [f"{'at µs':>8} {'took µs':>8}  {'lane':8} step"]
        for entry in self.entries:
            result = f"  = {entry.result}" if entry.result else ""
            at, took = (entry.start - zero) / 1000, (entry.end - entry.start) / 1000
            lines.append(f"{at:8.0f} {took:8.0f}  {entry.lane:8} {entry.step}{result}")
            for call in entry.calls:
                lines.append(f"{'':27}{call.name}({call.arguments}) = {call.result}  {(call.end - call.start) / 1000:.0f} µs")
        return "\n".join(lines)
