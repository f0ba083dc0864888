"""The trace: every step that was made, in which lane, when, for how long, what it returned and which calls it was made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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
    """What really happened in one run, in order of time."""

    entries: tuple[Entry, ...] = field(default=())

    @classmethod
    def from_json(cls, rows: list[list[Any]]) -> "Trace":
        entries = []
        for lane, step, start, end, result, calls in rows:
            entries.append(Entry(lane, step, start, end, result, tuple(Call(*call) for call in calls)))
        return cls(tuple(sorted(entries, key=lambda entry: entry.start)))

    def to_json(self) -> list[list[Any]]:
        return [[*entry[:5], [list(call) for call in entry.calls]] for entry in self.entries]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        """A table: offset and duration in microseconds, lane, step, and below each step its calls."""
        if not self.entries:
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
