"""The states of containers in LXC's words, and the news of their changes. lxc(7), lxc-wait(1), lxc-monitor(1).

Nobody is asked, and nothing is looked at again and again: the ledger's folder and the files of the freezer tell of changes by
themselves (inotify(7)). Between two looks a state may have come and gone; what must have happened is told all the same.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from .errors import SandboxError
from .launcher import client
from .launcher.ledger import Ledger, directories, has_begun, is_alive
from .linux import constants as c
from .linux import inotify
from .primitives import cgroups
from .store import Home

STATES = ("STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED")
#: What can follow each of them.
_NEXT = {
    "STOPPED": ("STARTING",), "STARTING": ("RUNNING", "ABORTING"), "RUNNING": ("STOPPING", "FREEZING"),
    "ABORTING": ("STOPPING",), "STOPPING": ("STOPPED",), "FREEZING": ("FROZEN",), "FROZEN": ("STOPPING", "THAWED"),
    "THAWED": ("RUNNING",),
}  # fmt: skip
#: Seconds after which something is looked at again that does not tell of itself: v1's freezer, and a dead launcher's starts.
AGAIN = 0.2


def state(entry: dict[str, Any] | None) -> str:
    """The state of a container, from its entry in the ledger; never one of those that pass by themselves."""
    if entry is None:
        return "STOPPED"
    with contextlib.suppress(OSError):  # it ended just now
        if not entry.get("pid") or not has_begun(entry):
            return "STARTING"
        if is_alive(entry):
            return "FROZEN" if cgroups.frozen(directories(entry)) else "RUNNING"
    return "STOPPING"


def way(seen: str, now: str) -> list[str]:
    """The states from one to another: the shortest way, without the first."""
    ways = [[seen]]
    while ways:
        if (far := ways.pop(0))[-1] == now:
            return far[1:]
        ways += [[*far, following] for following in _NEXT[far[-1]] if following not in far]
    return [now]


class Change(NamedTuple):
    """A container's next state; of one that stops, also its exit code (None: it failed to start, or nobody knows)."""

    name: str
    state: str
    exit_code: int | None = None


class Watcher:
    """Hears of the changes of the containers whose names are `wanted`."""

    def __init__(self, home: Home, wanted: Callable[[str], bool]) -> None:
        self.home, self.wanted = home, wanted
        self.states: dict[str, str] = {}  # of those that are not STOPPED
        self._begun = time.time()
        self._ledger = Ledger(home.ledger)
        self._notify = inotify.init()
        self._poll = select.poll()
        self._poll.register(self._notify, select.POLLIN)
        self._pids: dict[str, int] = {}
        self._freezers: dict[int, str] = {}  # watch → name
        self._others: set[str] = set()  # entries of processes that `exec` started: no containers
        self._pidfds: set[int] = set()
        news = c.IN_CREATE | c.IN_MODIFY | c.IN_DELETE | c.IN_MOVED_FROM
        self._folder = inotify.add_watch(self._notify, home.ledger, news)
        if any(not is_alive(entry) for entry in self._ledger.entries()):
            client.ask(home, {"do": "hello"})  # what a dead launcher left is cleared before this is answered
        self._look_at_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for fd in (self._notify, *self._pidfds):
            os.close(fd)

    def poll(self, seconds: float | None = None) -> list[Change]:
        """What has changed, as soon as something has, or nothing after `seconds`."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            if changes := self._wait(left):
                return changes
            if end is not None and time.monotonic() >= end:
                return []

    def _wait(self, seconds: float | None) -> list[Change]:
        silent = [name for name, state in self.states.items() if state == "STARTING" or name not in self._freezers.values()]
        if silent:
            seconds = AGAIN if seconds is None else min(seconds, AGAIN)
        ready = [fd for fd, _ in self._poll.poll(None if seconds is None else seconds * 1000)]
        changes = [] if ready else [change for name in silent for change in self._look(name)]
        for fd in ready:
            changes += self._hear() if fd == self._notify else self._settle(fd)
        return changes

    def _hear(self) -> list[Change]:
        changes: list[Change] = []
        for event in inotify.read(self._notify):
            if event.mask & c.IN_Q_OVERFLOW:
                changes += self._look_at_all()
            elif event.mask & c.IN_IGNORED:  # the group is gone, and its watch with it
                self._freezers.pop(event.watch, None)
            elif event.watch != self._folder:
                changes += self._look(self._freezers.get(event.watch, ""))
            elif event.mask & (c.IN_DELETE | c.IN_MOVED_FROM):
                changes += self._end(event.name)
            else:
                changes += self._look(event.name)
        return changes

    def _look_at_all(self) -> list[Change]:
        there = set(os.listdir(self.home.ledger))
        others = {name for name, pid in self._pids.items() if (self._ledger.entry(name) or {}).get("pid") != pid}
        changes = [change for name in (self.states.keys() - there) | others for change in self._end(name)]
        return changes + [change for name in sorted(there) for change in self._look(name)]

    def _look(self, name: str) -> list[Change]:
        """What has changed since the last look at this one."""
        if not name or name[0] == "." or name in self._others or not self.wanted(name):
            return []
        entry = self._ledger.entry(name)
        if entry is None:  # the news of its end is on its way
            return []
        if "in" in entry:
            self._others.add(name)
            return []
        pid, known = entry.get("pid", 0), self._pids.get(name, 0)
        if known and pid != known:  # the next one of that name is there already: the news of this one's end comes first
            return []
        if pid != known:
            self._follow(name, entry)
        now = state(entry)
        if now == "STOPPING":
            return []  # told with its end, which tells how it ended
        passed = way(self.states.get(name, "STOPPED"), now)
        self.states[name] = now
        return [Change(name, each) for each in passed]

    def _follow(self, name: str, entry: dict[str, Any]) -> None:
        """Hear of its freezer, and of its end."""
        self._pids[name] = entry["pid"]
        with contextlib.suppress(OSError):  # it ended just now
            pidfd = os.pidfd_open(entry["pid"])
            self._pidfds.add(pidfd)
            self._poll.register(pidfd, select.POLLIN)
            if path := cgroups.events_file(directories(entry)):
                self._freezers[inotify.add_watch(self._notify, path, c.IN_MODIFY)] = name

    def _settle(self, pidfd: int) -> list[Change]:
        """It ended. Its entry goes when its launcher has cleaned up; where there is none any more, another one does."""
        self._poll.unregister(pidfd)
        self._pidfds.discard(pidfd)
        os.close(pidfd)
        with contextlib.suppress(SandboxError):
            client.ask(self.home, {"do": "hello"})
        return []

    def _end(self, name: str) -> list[Change]:
        """The entry of a container is gone."""
        if name in self._others:
            self._others.discard(name)
            return []
        if name[0] == "." or not self.wanted(name):
            return []
        record = self.home.last_record(name) or {}
        self._pids.pop(name, None)
        seen = self.states.pop(name, "STOPPED")
        if seen == "STOPPED" and record.get("begun", 0.0) < self._begun:
            return []  # some process of `exec`, which was never seen
        failed = record.get("event") == "failed"
        passed = way(seen, "ABORTING" if failed else "RUNNING") if seen in ("STOPPED", "STARTING") else []
        passed += way(passed[-1] if passed else seen, "STOPPED")
        code = None if failed or record.get("exit_code") == -1 else record.get("exit_code")
        return [Change(name, each, code if each == "STOPPING" else None) for each in passed]
