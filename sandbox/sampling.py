"""What containers use, as time goes by: a Sampler looks at them again and again, and notes what happens.

    with sandbox.Sampler("box") as sampler:
        while ...:
            sampler.sample(); time.sleep(0.1)
    print(sampler)

Each round reads what changes all the time, and of every eighth container all the rest. The files of the groups stay open: a
round costs about 50 µs a container. What is kept is bounded.
"""

import math
import os
import threading
import time
from array import array
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from .columns import amount, columns
from .errors import SandboxError
from .home import home as open_home
from .launcher.ledger import Entry, Ledger, directories, has_begun, is_alive
from .listing import info
from .metrics import per_second
from .primitives import cgroups
from .store import Home
from .values import size_text

#: One round in so many reads everything of a container. Ten rounds a second are what the pictures make.
EVERY = 8
#: So many are read wholly in one round, at most.
MOST = 16
#: Ten minutes of ten rounds a second for each of up to CROWD containers; of more, less is kept of each.
ROWS, CROWD, CUT = 6000, 50, 500
EVENTS = 1000
#: Seconds without a throttled period after which it is over: two periods of the kernel's own length, and some.
CALM = 0.35
NONE = math.nan

#: What is kept of each moment. Rates are those of metrics.Rates, the others those of cgroups.Usage.
RATES = ("cpu", "throttled", "io_read", "io_written", "cpu_stalled", "memory_stalled", "io_stalled")
AMOUNTS = ("cpu_limit", "memory", "memory_limit", "memory_peak", "anon", "file", "kernel", "swap", "pids", "pids_limit")
COLUMNS = RATES + AMOUNTS
_STALLED = RATES[4:]


class Event(NamedTuple):
    """Something that happened: when (seconds of the machine's monotonic clock), to whom, and what, in a word and in words.

    `kind` is "started", "ended", "throttled", "unthrottled", "oom", "refused", "frozen", "thawed" or "limit".
    """

    at: float
    name: str
    kind: str
    text: str


class History:
    """One container: what it used at each moment (`at`, and an array for each of COLUMNS; NaN: not counted, or no limit)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "STOPPED"  # LXC's word
        self.at = array("d")
        self.columns = {column: array("f") for column in COLUMNS}
        self.fields: dict[str, Any] = {}  # of cgroups.Usage, the newest
        self.entry: Entry = {}
        self._reader = cgroups.Reader(())
        self._whole: dict[str, Any] = {}  # when everything was read for the last time: what, and when
        self._whole_at = NONE
        self._stalled: dict[str, float | None] = {}
        self._appends = [(column.append, name) for name, column in self.columns.items()]
        self._throttled_at = NONE
        self._keeping = threading.Lock()  # a picture is drawn in one thread while another one looks

    def begin(self, entry: Entry) -> None:
        """It has started."""
        self.entry, self.state = entry, "RUNNING"
        self._reader = cgroups.Reader(directories(entry))
        self.fields, self._whole, self._stalled, self._throttled_at = {}, {}, {}, NONE

    def end(self) -> None:
        """It has ended. What was seen of it stays."""
        self.state = "STOPPED"
        self._reader.close()

    def take(self, whole: bool, rows: int) -> list[tuple[str, str]]:
        """Look once more; returns the events."""
        whole = whole or not self.fields
        fields, now = self.fields, time.monotonic()
        new = self._reader.all() if whole else self._reader.moving(fields.get("cpu_limit") is not None)
        if fields and new.get("cpu_seconds") is None and fields.get("cpu_seconds") is not None:
            self.state = "STOPPING"  # its group is gone
            return []
        events: list[tuple[str, str]] = []
        passed: dict[str, Any] = {}
        if fields:
            events = self._throttling(now, new) + (self._events(new) if whole else [])
            passed = per_second(fields, new, now - self.at[-1], RATES[:4])
        if whole:
            if self._whole:
                self._stalled = per_second(self._whole, new, now - self._whole_at, _STALLED)
            self._whole, self._whole_at = new, now
            self.state = "FROZEN" if new.get("frozen") else "RUNNING"
        fields.update(new)
        self._keep(now, {**fields, **passed, **self._stalled}, rows)
        return events

    def _keep(self, now: float, row: dict[str, Any], rows: int) -> None:
        with self._keeping:
            self.at.append(now)
            for append, name in self._appends:
                value = row.get(name)
                append(NONE if value is None else value)
            if len(self.at) > rows + CUT:
                for column in (self.at, *self.columns.values()):
                    del column[: len(column) - rows]

    def kept(self) -> "tuple[array[float], dict[str, array[float]]]":
        """A copy of `at` and `columns`, all of the same length, whoever looks meanwhile."""
        with self._keeping:
            return self.at[:], {name: column[:] for name, column in self.columns.items()}

    def _throttling(self, now: float, new: dict[str, Any]) -> list[tuple[str, str]]:
        if _grown(self.fields, new, "throttled"):
            begun, self._throttled_at = math.isnan(self._throttled_at), now
            limit = f"its quota of {self.fields.get('cpu_limit') or 0:g} CPUs is used up"
            return [("throttled", f"throttled: {limit}")] if begun else []
        if now - self._throttled_at > CALM:
            self._throttled_at = NONE
            return [("unthrottled", "no longer throttled")]
        return []

    def _events(self, new: dict[str, Any]) -> list[tuple[str, str]]:
        found, before = [], self.fields
        if more := _grown(before, new, "oom_kills"):
            found.append(("oom", f"out of memory: the kernel killed {more} process{'es' * (more > 1)}"))
        if more := _grown(before, new, "forks_refused"):
            found.append(("refused", f"fork refused{f' {more} times' * (more > 1)}: {new.get('pids_limit')} are allowed"))
        if before.get("frozen") != new.get("frozen"):
            found.append(("frozen", "frozen") if new.get("frozen") else ("thawed", "thawed"))
        for name, write in _LIMITS.items():
            if before.get(name) != new.get(name):
                what = name.removesuffix("_limit")
                found.append(("limit", f"{what} limit {write(before.get(name))} → {write(new.get(name))}"))
        return found


class Sampler:
    """Looks at containers, those of `names` or else all that run, whoever started them. Use it in a `with`, or close it.

    One thread samples; any other may read meanwhile, print it, or ask for the CSV.
    """

    def __init__(self, *names: str, home: Home | None = None) -> None:
        self.home = home or open_home()
        self.names = names
        self.histories: dict[str, History] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.told = 0  # how many events there were in all
        self.detail: set[str] = set()  # those of which everything is read in each round
        self._ledger = Ledger(self.home.ledger)
        self._others: set[str] = set()  # what is no container: processes of `exec`
        self._round = 0
        self._begun = False
        self.epoch = time.time() - time.monotonic()  # added to the time of an event or a row: seconds since the epoch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. What was seen stays."""
        for history in self.running:
            history.end()

    @property
    def running(self) -> list[History]:
        """Those that run."""
        return [history for history in list(self.histories.values()) if history.state != "STOPPED"]

    def sample(self, *, whole: bool = False) -> None:
        """One round; with `whole`, everything is read of each container, as it is otherwise in one round of several."""
        self._look()
        running = [history for history in self.running if history.state != "STOPPING"]
        rows = ROWS * CROWD // max(CROWD, len(self.histories))
        self._round += 1
        every = max(EVERY, len(running) // MOST)
        for number, history in enumerate(running):
            all_of_it = whole or (number + self._round) % every == 0 or history.name in self.detail
            for kind, text in history.take(all_of_it, rows):
                self._tell(history.name, kind, text)
            if not history.fields.get("pids") and all_of_it and not is_alive(history.entry):
                history.state = "STOPPING"  # its end is told when it is put away: then it is known how it ended

    def _look(self) -> None:
        """Who has started, and who has ended."""
        there = set(os.listdir(self.home.ledger))
        self._others &= there
        for history in self.running:
            known = self._ledger.entry(history.name) if history.state == "STOPPING" else history.entry
            if history.name not in there or known is None or known.get("pid") != history.entry["pid"]:
                self._end(history)
        for name in sorted(there - self._others):
            seen = self.histories.get(name)
            if name[0] == "." or (self.names and name not in self.names) or (seen and seen.state != "STOPPED"):
                continue
            with suppress(OSError):  # it ended just now
                entry = self._ledger.entry(name)
                if entry and "in" in entry:
                    self._others.add(name)
                elif entry and is_alive(entry) and has_begun(entry):
                    history = self.histories.setdefault(name, History(name))
                    history.begin(entry)
                    if self._begun:
                        self._tell(name, "started", "started")
        self._begun = True

    def _end(self, history: History) -> None:
        history.end()
        text = "ended"
        with suppress(SandboxError):
            ended = info(history.name, None, self.home)
            if ended.exit_code is not None:
                text += f" ({ended.exit_code})" + (f": {ended.reason}" if ended.reason else "")
        self._tell(history.name, "ended", text)
        if len(self.histories) > 4 * CROWD:  # a machine on which containers come and go for days
            gone = [name for name, each in self.histories.items() if each.state == "STOPPED"]
            for name in gone[: len(self.histories) - 4 * CROWD]:
                del self.histories[name]

    def _tell(self, name: str, kind: str, text: str) -> None:
        self.events.append(Event(time.monotonic(), name, kind, text))
        self.told += 1

    # --- as text -----------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        head = ("NAME", "STATE", "CPU", "THROTTLED", "MEMORY", "LIMIT", "PIDS", "LIMIT", "READ/S", "WRITTEN/S", "PRESSURE")
        lines = [columns([head, *map(_row, list(self.histories.values()))])]
        for event in list(self.events)[-10:]:
            moment = time.strftime("%H:%M:%S", time.localtime(self.epoch + event.at))
            lines.append(columns([(moment, event.name, event.text)]))
        return "\n".join(lines)

    def csv(self) -> str:
        """Everything that is kept, as lines of comma-separated values: seconds since the epoch, bytes, CPUs, shares of time.

        An event has a line of its own, with its words at the end.
        """
        lines: list[tuple[float, str]] = []
        for name, history in list(self.histories.items()):
            moments, kept = history.kept()
            for row, at in enumerate(moments):
                values = (kept[column][row] for column in COLUMNS)
                numbers = ",".join("" if math.isnan(value) else f"{value:.9g}" for value in values)
                lines.append((at, f"{self.epoch + at:.3f},{name},{numbers},"))
        empty = "," * len(COLUMNS)
        events = list(self.events)
        lines += [(e.at, f'{self.epoch + e.at:.3f},{e.name}{empty},"{e.text.replace(chr(34), "")}"') for e in events]
        return "\n".join([f"time,container,{','.join(COLUMNS)},event", *(line for _, line in sorted(lines))]) + "\n"


def _grown(before: dict[str, Any], after: dict[str, Any], name: str) -> int:
    return max((after.get(name) or 0) - (before.get(name) or 0), 0)


def _cpus(value: float | None) -> str:
    return "max" if value is None else f"{value:g} CPUs"


#: Each limit, and how it is written.
_LIMITS = {
    "memory_limit": size_text, "pids_limit": lambda value: "max" if value is None else str(value), "cpu_limit": _cpus,
}  # fmt: skip


def _row(history: History) -> tuple[str, ...]:
    now = {name: column[-1] if column else NONE for name, column in history.columns.items()}

    def share(name: str) -> str:
        return "–" if math.isnan(now[name]) else f"{min(now[name], 1):.0%}"  # noqa: RUF001

    pressure = "/".join(share(name) for name in _STALLED)
    cpu = "–" if math.isnan(now["cpu"]) else f"{now['cpu']:.2f}"  # noqa: RUF001
    limit, pids = amount(now["memory_limit"]), [_whole(now[name]) for name in ("pids", "pids_limit")]
    moved = [amount(now[name]) for name in ("io_read", "io_written")]
    return (history.name, history.state, cpu, share("throttled"), amount(now["memory"]), limit, *pids, *moved, pressure)


def _whole(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0f}"  # noqa: RUF001
