"""The timeline: what a run's trace says, as two lanes to scale, and two runs beside each other, aligned at their start.

print(sandbox.timeline(result))                          each step as a bar, its system calls below it, who waited for whom
print(sandbox.timeline(result, other))                   two runs, and the difference step by step
print(sandbox.timeline(result, sandbox.record_runc()))   ours beside runc, recorded on this machine

Pure functions on a Trace: nothing is measured here. All times are microseconds since the run's first step.
"""

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from .errors import InvalidOption
from .job import Result
from .step import KINDS, Lane, Step
from .trace import Call, Trace

#: What a step is about, by the room of its primitive.
TOPICS = {
    "namespaces": "namespaces", "users": "ids", "cgroups": "cgroups", "mounts": "files", "overlay": "files", "root": "files",
    "devices": "files", "etc": "files", "network": "network", "capabilities": "rights", "seccomp": "rights",
    "barrier": "waiting",
}  # fmt: skip
OTHER_TOPIC = "process"
#: The fields that tell steps of the same kind apart, for who compares two runs.
TELLING = ("destination", "tree", "when")
#: Columns that the longest run takes in print().
COLUMNS = 56
INK = {"outside": "█", "inside": "▓"}
HOLLOW = "░"


class Tick(NamedTuple):
    """One system call inside a bar. The result is as strace(1) writes it: a failure with its name."""

    name: str
    arguments: str
    result: str
    at: float
    took: float

    def __str__(self) -> str:
        return f"{self.name}({self.arguments}) = {self.result}  {self.took:.0f} µs"


class Bar(NamedTuple):
    """One step: when, for how long, and what there is to know of it. `kind` is "step", "wait" or "exec"."""

    lane: Lane
    name: str
    step: str  # with its fields
    at: float
    took: float
    topic: str
    kind: str = "step"
    result: str = ""
    calls: tuple[Tick, ...] = ()
    purpose: str = ""
    man: str = ""
    see: str = ""

    @property
    def end(self) -> float:
        return self.at + self.took


class Wait(NamedTuple):
    """A time in which a lane did nothing, and why."""

    lane: Lane
    at: float
    took: float
    why: str


class Signal(NamedTuple):
    """What one lane did that the other one went on with: from (lane, time) to the other lane's time."""

    what: str
    lane: Lane
    at: float
    arrives: float


@dataclass(frozen=True)
class Track:
    """One run. `measured` says with what: two runs are compared step by step only if it is the same."""

    label: str
    bars: tuple[Bar, ...]
    waits: tuple[Wait, ...] = ()
    signals: tuple[Signal, ...] = ()
    note: str = ""
    measured: str = "trace"
    outside: str = "the launcher"  # who that is

    @property
    def length(self) -> float:
        """From its first step to its last moment; the program runs then."""
        return max((bar.end for bar in self.bars), default=0.0)

    @property
    def exec(self) -> Bar | None:
        """The step in which it became the program, if it came so far."""
        return next((bar for bar in self.bars if bar.kind == "exec"), None)

    def busy(self, lane: Lane) -> float:
        """How long this lane was at work."""
        return sum(bar.took for bar in self.bars if bar.lane == lane and bar.kind != "wait")


class Difference(NamedTuple):
    """One step in two runs: how long it took in each; None: it was not made."""

    name: str
    first: float | None
    second: float | None

    @property
    def more(self) -> float:
        """How much longer the second run took."""
        return (self.second or 0.0) - (self.first or 0.0)


@dataclass(frozen=True)
class Timeline:
    """One run, or two on the same scale. print() draws it; the notebook's picture shows the same."""

    tracks: tuple[Track, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Step by step, in the order of the plan; by topic, where the two were measured in different ways."""
        if len(self.tracks) < 2:
            return ()
        first, second = self.tracks
        return tuple((_by_step if first.measured == second.measured else _by_topic)(first, second))

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types."""
        tracks = [
            {
                "label": track.label, "note": track.note, "length": track.length, "outside": track.outside,
                "waits": [wait._asdict() for wait in track.waits], "signals": [each._asdict() for each in track.signals],
                "bars": [{**bar._asdict(), "calls": [call._asdict() for call in bar.calls]} for bar in track.bars],
            }
            for track in self.tracks
        ]  # fmt: skip
        return {"tracks": tracks, "differences": [{**row._asdict(), "more": row.more} for row in self.differences]}

    def __str__(self) -> str:
        if not any(track.bars for track in self.tracks):
            return "(nothing was traced)"
        scale = COLUMNS / max(track.length for track in self.tracks)
        parts = ["\n".join(_drawn(track, scale)) for track in self.tracks]
        return "\n\n".join([*parts, *(["\n".join(_compared(self))] if self.differences else [])])


def timeline(first: Result | Trace | Track, second: Result | Trace | Track | None = None,
             labels: Sequence[str] = ("first run", "second run")) -> Timeline:  # fmt: skip
    """The timeline of one run, or of two: each a Result, its trace, or what `record_runc` returned.

    Raises:
        InvalidOption: that is something else, or has no label.
    """
    given = [run for run in (first, second) if run is not None]
    if len(labels) < len(given):
        raise InvalidOption(f"{len(given)} runs need as many labels, not {len(labels)}", cure="leave labels out")
    return Timeline(tuple(_track(run, label) for run, label in zip(given, labels, strict=False)))


def _track(run: Result | Trace | Track, label: str) -> Track:
    if isinstance(run, Track):
        return run
    trace = run.trace if isinstance(run, Result) else run
    if not isinstance(trace, Trace):
        raise InvalidOption(
            f"a timeline shows a Result or its trace, not {type(run).__name__}", cure="give what run() returned"
        )
    zero = min((row[2] for row in trace.rows), default=0)
    rows = sorted(trace.rows, key=lambda row: row[2])
    bars = tuple(_bar(row, trace.plan[row[0]][row[1]], zero) for row in rows)
    return Track(label, bars, tuple(_waits(bars)), tuple(_signals(bars)), "" if bars else "nothing was traced")


def _bar(row: list[Any], data: dict[str, Any], zero: int) -> Bar:
    lane, _, start, end, result, calls = row
    kind, step = KINDS[data["step"]], Step.from_json(data)
    telling = next((f" {data[field]}" for field in TELLING if data.get(field)), "")
    room = kind.__module__.split("primitives.")[-1].split(".")[0].partition("_")[0]
    what = {"WaitForGo": "wait", "Exec": "exec"}.get(step.name, "step")
    ticks = tuple(_tick(Call(*call), zero) for call in calls)
    return Bar(
        lane, f"{step.name}{telling}", str(step), (start - zero) / 1000, max(end - start, 0) / 1000,
        TOPICS.get(room, OTHER_TOPIC), what, result, ticks, (kind.__doc__ or "").partition("\n")[0], kind.man, kind.see,
    )  # fmt: skip


def _tick(call: Call, zero: int) -> Tick:
    failed = f"-1 {errno.errorcode.get(-call.result, -call.result)}" if call.result < 0 else str(call.result)
    return Tick(call.name, call.arguments, failed, (call.start - zero) / 1000, (call.end - call.start) / 1000)


def _named(bars: Sequence[Bar], *names: str) -> Bar | None:
    return next((bar for bar in bars if bar.name in names), None)


def _waits(bars: Sequence[Bar]) -> Iterator[Wait]:
    """Where a lane stood still, as far as the trace tells why."""
    birth, go, barrier = _named(bars, "Clone", "Enter"), _named(bars, "Go"), _named(bars, "WaitForGo")
    first = next((bar for bar in bars if bar.lane == "inside"), None)
    if birth and first and first.at > birth.end:
        ahead = "ahead of time" in birth.result
        why = "born ahead of time: it is woken, and reads its work" if ahead else "just born: it wakes, and reads its work"
        yield Wait("inside", birth.end, first.at - birth.end, why)
    if go and barrier:
        late = go.end - barrier.at
        why = "waits until the launcher says Go" if late > 0 else "Go had come already: nobody waits"
        yield Wait("inside", barrier.at, max(late, 0.0), why)
    if go and bars and (last := max(bar.end for bar in bars)) > go.end:
        yield Wait("outside", go.end, last - go.end, "nothing left to do: the child goes on alone")


def _signals(bars: Sequence[Bar]) -> Iterator[Signal]:
    """The moments in which one lane made the other go on."""
    birth, go, barrier = _named(bars, "Clone", "Enter"), _named(bars, "Go"), _named(bars, "WaitForGo")
    first = next((bar for bar in bars if bar.lane == "inside"), None)
    if birth and first:
        yield Signal("its work" if "ahead of time" in birth.result else "birth", "outside", birth.end, first.at)
    if go and barrier:
        yield Signal("Go", "outside", go.end, max(barrier.end, go.end))


# --- two runs ---------------------------------------------------------------------------------------------------------


def _by_step(first: Track, second: Track) -> Iterator[Difference]:
    """Both lanes of both runs, matched by name. A child born ahead of time may be cloned earlier than the plan says."""
    for lane in ("outside", "inside"):
        a, b = ([bar for bar in track.bars if bar.lane == lane] for track in (first, second))
        names = SequenceMatcher(None, [bar.name for bar in a], [bar.name for bar in b], autojunk=False)
        for kind, a_from, a_to, b_from, b_to in names.get_opcodes():
            if kind == "equal":
                for old, new in zip(a[a_from:a_to], b[b_from:b_to], strict=True):
                    yield Difference(old.name, old.took, new.took)
                continue
            moved = {bar.name: bar for bar in b}
            elsewhere = Counter(bar.name for bar in a)
            for old in a[a_from:a_to]:
                yield Difference(old.name, old.took, moved[old.name].took if old.name in moved else None)
            for new in b[b_from:b_to]:
                if not elsewhere[new.name]:
                    yield Difference(new.name, None, new.took)


def _by_topic(first: Track, second: Track) -> Iterator[Difference]:
    for topic in dict.fromkeys(bar.topic for track in (first, second) for bar in track.bars if bar.kind == "step"):
        spent = [[bar.took for bar in track.bars if bar.topic == topic and bar.kind == "step"] for track in (first, second)]
        yield Difference(topic, *(sum(each) if each else None for each in spent))


# --- drawn in text ----------------------------------------------------------------------------------------------------


def _drawn(track: Track, scale: float) -> Iterator[str]:
    yield f"{track.label}: {track.length:.0f} µs from the first step until the program runs" + (
        f" ({track.note})" if track.note else ""
    )
    yield f"  at work: outside {track.busy('outside'):.0f} µs, inside {track.busy('inside'):.0f} µs"
    for wait in track.waits:
        yield f"  {wait.lane} waited {wait.took:.0f} µs from {wait.at:.0f} µs on: {wait.why}"
    yield f"{'at µs':>8} {'took µs':>8}  {'lane':8} {'step':30} 0 µs{f'{COLUMNS / scale:.0f} µs':>{COLUMNS - 4}}"
    shown = {bar.at for bar in track.bars}
    rows: list[Bar | Wait] = [*track.bars, *(wait for wait in track.waits if wait.at not in shown)]
    for row in sorted(rows, key=lambda row: row.at):
        begin = int(row.at * scale)
        width = max(round((row.at + row.took) * scale) - begin, 1)
        hollow = isinstance(row, Wait) or row.kind == "wait"
        drawn = " " * begin + (HOLLOW if hollow else INK[row.lane]) * width
        name = row.name if isinstance(row, Bar) else "(waits)"
        yield f"{row.at:8.0f} {row.took:8.0f}  {row.lane:8} {name:30.30} {drawn}"
        for call in row.calls if isinstance(row, Bar) else ():
            yield f"{'':27} {call}"
    if track.exec:
        yield f"{'':27} {'the program runs':>30} {' ' * int(track.exec.end * scale)}▲"


def _compared(line: Timeline) -> Iterator[str]:
    first, second = line.tracks
    largest = max(abs(row.more) for row in line.differences) or 1.0
    what = "step by step" if first.measured == second.measured else "by what the steps are about"
    yield f"compared {what}, in µs: {first.label} (1), {second.label} (2), and how much longer (2) took"
    yield f"{'':30} {'(1)':>8} {'(2)':>8} {'more':>8}"
    total = Difference("until the program runs", first.length, second.length)
    for row in (*line.differences, total):
        took = ["-" if value is None else f"{value:.0f}" for value in (row.first, row.second)]
        drawn = ("+" if row.more > 0 else "-") * round(min(abs(row.more) / largest, 1.0) * 20)
        yield f"{row.name:30.30} {took[0]:>8} {took[1]:>8} {row.more:>+8.0f}  {drawn}".rstrip()
