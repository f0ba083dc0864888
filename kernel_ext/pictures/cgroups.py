"""`%cgroups`: what containers use, live: CPU, memory, processes, bytes and pressure against their limits, which can be turned.

A Sampler looks ten times a second. The page is sent what is new; what it could not take is left out, and nothing piles up.
"""

import math
import os
import time
from typing import TYPE_CHECKING, Any

from sandbox import Container, InvalidOption, NotFound, Sampler, columns, loads, sampling

from ..untrusted import visible
from .picture import Picture
from .ticker import ticker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Seconds between two looks, and the rounds after which states and loads are looked at, too.
TICK, SLOW = 0.1, 5
#: Rounds without a page that takes a frame, after which one round in ten is enough.
UNSEEN = 100
#: At most so many moments of each container a page is sent at once: in a frame that comes late, and of all that was before.
LATE, BACKLOG = 50, 600
#: Events that are so frequent that no still picture is made for them.
OFTEN = ("throttled", "unthrottled")
#: Seconds after which the still picture is made anew although nothing has happened: when a cell ends, and in any case.
DUE, OLD = 10.0, 60.0
LIMITS = ("memory", "cpus", "pids")


class CgroupsView(Picture):
    """A Sampler in the page, with what turns limits, freezes, and makes load."""

    script, parts = "cgroups", ("panel",)

    def __init__(self, sampler: Sampler) -> None:
        super().__init__(title="What the containers use")
        self.sampler = sampler
        self.paused = self._going = False
        self._loads: dict[str, list[loads.Load]] = {}
        self._round = self._unseen = self._told = 0
        self._late = 0  # rounds that the page has not been sent
        self.sampler.sample()
        self._told = sampler.told
        self.data = self._state()
        self._go_on()

    def _go_on(self) -> None:
        self._going = True
        ticker.every(TICK, self._tick)

    def _tick(self) -> bool:
        """One round."""
        if self.paused or self.closed:
            self._going = False
            return False
        self._round += 1
        if self._unseen <= UNSEEN or self._round % 10 == 0:
            self._look()
        return True

    def _look(self, *, whole: bool = False) -> None:
        """Look, and tell the page."""
        before = self.sampler.told
        self.sampler.sample(whole=whole)
        self._late += 1
        if self._round % SLOW == 0 or self.sampler.told != before:
            self._look_around()
        if self.frame({"series": self._rows(self._late, LATE), "events": self._events(self.sampler.told - self._told)}):
            self._late, self._told, self._unseen = 0, self.sampler.told, 0
        else:
            self._unseen += 1
        happened = any(event.kind not in OFTEN for event in self._newest(self.sampler.told - before))
        if happened or time.monotonic() - self.drawn > OLD:
            self.refresh()

    def catch_up(self) -> None:
        if not self.paused:
            self._look(whole=True)
            if time.monotonic() - self.drawn > DUE:
                self.refresh()

    def close(self) -> None:
        if not self.closed:
            ticker.post(self.sampler.close)  # not here: a round may be under way
        super().close()

    def _look_around(self) -> None:
        for name, running in self._loads.items():
            self._loads[name] = [load for load in running if load.running]
        state = self._state()
        if state != self.data:
            self.data = state

    # --- what it shows -----------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        histories = list(self.sampler.histories.values())
        return {
            "columns": ["at", *sampling.COLUMNS],
            "names": [history.name for history in histories],
            "states": {history.name: history.state for history in histories},
            "loads": {name: [str(load) for load in running] for name, running in self._loads.items() if running},
            "kinds": {name: [kind.usual, kind.most, kind.unit] for name, kind in loads.KINDS.items()},
            "paused": self.paused,
            "cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
        }

    def _rows(self, count: int, most: int) -> dict[str, Any]:
        """The last `count` moments of each container that runs, but `most` of them: lists of the time and all columns."""
        found = {}
        for history in self.sampler.running:
            there, kept = len(history.at), history.columns.values()
            begin = max(0, there - count)
            found[history.name] = [
                [round(history.at[i] + self.sampler.epoch, 2), *[_plain(column[i]) for column in kept]]
                for i in range(begin, there, max(1, (there - begin) // most))
            ]
        return found

    def _newest(self, count: int) -> list[Any]:
        return list(self.sampler.events)[-count:] if count > 0 else []

    def _events(self, count: int) -> list[list[Any]]:
        return [[round(e.at + self.sampler.epoch, 2), e.name, e.kind, visible(e.text)] for e in self._newest(count)]

    def text(self) -> str:
        return str(self.sampler)

    def summary(self) -> str:
        words = []
        for history in list(self.sampler.histories.values())[:12]:
            now = {name: column[-1] for name, column in history.columns.items() if column}
            if history.state == "STOPPED" or not now:
                words.append(f"{history.name} has ended")
                continue
            limit = "" if math.isnan(now["memory_limit"]) else f" of {columns.amount(now['memory_limit'])}"
            words.append(f"{history.name} uses {max(now['cpu'], 0):.2f} CPUs and {columns.amount(now['memory'])}{limit}")
        return ("; ".join(words) or "no container runs") + "."

    def figure(self) -> "Figure":
        from .cgroups_still import figure

        return figure(self.sampler)

    # --- what it does ------------------------------------------------------------------------------------------------

    def heard(self, message: dict[str, Any]) -> object:
        match message:
            case {"do": "history"}:
                return {"series": self._rows(1 << 20, BACKLOG), "events": self._events(200)}
            case {"do": "csv"}:
                return self.sampler.csv()
            case {"do": "pause", "on": bool(on)}:
                self._pause(on)
            case {"do": "detail", "name": str(name)}:
                self.sampler.detail = {name} if name else set()
            case {"do": "limit", "name": str(name), "limit": str(limit), "value": int() | float() | str() as value}:
                if limit not in LIMITS:
                    raise InvalidOption(f"{limit!r} can't be turned here", cure=f"there are: {', '.join(LIMITS)}")
                self._container(name).update(**{limit: value})
            case {"do": "freeze", "name": str(name), "on": bool(on)}:
                container = self._container(name)
                (container.freeze if on else container.unfreeze)()
            case {"do": "load", "name": str(name), "kind": str(kind), "amount": int(much)}:
                self._loads.setdefault(name, []).append(loads.load(self._container(name), kind, much))
            case {"do": "unload", "name": str(name)}:
                for load in self._loads.pop(name, []):
                    load.stop()
            case _:
                raise InvalidOption(f"the plots do not know {str(message)[:80]!r}")
        self.data = self._state()
        return None

    def _container(self, name: str) -> Container:
        """One of those that are shown."""
        if name not in self.sampler.histories:
            raise NotFound(f"{name!r} is not shown here")
        return Container(name, self.sampler.home)

    def _pause(self, on: bool) -> None:
        self.paused = on
        if on:
            self.refresh()
        elif not self._going:  # else it was so short that no round has noticed
            self._go_on()


def _plain(value: float) -> float | None:
    """A number as JSON has it, which knows no NaN."""
    return (round(value, 3) if value else 0) if value == value else None
