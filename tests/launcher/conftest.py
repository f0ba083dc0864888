"""A shelf with its keeper and launcher, whose processes can be found, killed, and searched for what they left."""

import itertools
import os
import signal
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import LauncherLost
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.linux import files
from sandbox.primitives.users import CONTAINER_IDS, LOCKS
from sandbox.store import Home
from tests.conftest import OWN_GROUPS, waiting_groups

PATIENCE = 60.0


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is so. The test fails where it does not come about."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s in vain: {what}"
        time.sleep(0.002)


def processes(word: str) -> dict[int, str]:
    """Every living process with `word` in its command line: pid → name."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and not files.is_zombie(pid):
                found[int(pid)] = files.read(f"/proc/{pid}/comm").strip()
    found.pop(os.getpid(), None)
    return found


@dataclass
class Shelf:
    """One SANDBOX_HOME. `name` makes names of containers that occur nowhere else."""

    home: Home
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    numbers: Iterator[int] = field(default_factory=itertools.count)
    named: list[str] = field(default_factory=list)
    locked: set[str] = field(default_factory=lambda: set(os.listdir(LOCKS)) if os.path.isdir(LOCKS) else set())

    def name(self) -> str:
        name = f"{self.token}-{next(self.numbers)}"
        self.named.append(name)
        return name

    def script(self, text: str) -> str:
        """A script whose processes can be found: its first one bears our token."""
        return f": {self.token}\n{text}"

    def of(self, comm: str) -> list[int]:
        return [pid for pid, name in processes(self.home.runtime).items() if name == comm]

    @property
    def launcher(self) -> int:
        """The launcher, started if there is none."""
        return self._hello("pid")

    @property
    def keeper(self) -> int:
        return self._hello("keeper")

    def _hello(self, who: str) -> int:
        for _ in range(5):  # it may just be dying
            with suppress(LauncherLost):
                return int(client.ask(self.home, {"do": "hello"})[0][who])
        raise AssertionError("no launcher answers")

    def kill(self, *pids: int) -> None:
        """Kill launcher or keeper, and wait until they are gone."""
        ours = processes(self.home.runtime)
        for pid in pids:
            assert pid in ours, f"{pid} is no process of this shelf: {ours}"
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(pids) & set(processes(self.home.runtime)), f"{pids} should be dead")

    def ended(self) -> bool:
        """Let launcher and keeper end; whether they have."""
        with suppress(LauncherLost):
            client.end(self.home)
        return not processes(self.home.runtime)

    def left(self) -> list[str]:
        """What the kernel still holds of containers of this shelf, after the next call had its chance to repair."""
        entries = [entry["name"] for entry in sandbox.ledger()]
        mark = os.path.basename(self.home.runtime)
        groups = {folder for own in OWN_GROUPS for folder, _, _ in os.walk(own) if mark in os.path.basename(folder)}
        bases = [CONTAINER_IDS[zlib.crc32(name.encode()) % len(CONTAINER_IDS)] for name in self.named]
        locks = [path for base in bases if os.path.exists(path := f"{LOCKS}/{base}") and str(base) not in self.locked]
        running = [f"{pid} {name}" for pid, name in processes(self.token).items()]
        return [*entries, *(groups - waiting_groups()), *locks, *running]

    def assert_clean(self) -> None:
        """Nothing is left, now or in a moment."""
        end = time.monotonic() + PATIENCE
        left = ["nobody looked"]
        while left and time.monotonic() < end:
            with suppress(LauncherLost):
                left = self.left()
        assert left == []


@pytest.fixture
def shelf(home: Path) -> Iterator[Shelf]:
    """A private shelf; at the end nothing is left of its containers, and its keeper and launcher end."""
    made = Shelf(open_home())
    yield made
    for pid in made.of("sandbox-launch"):
        os.kill(pid, signal.SIGCONT)
    for info in sandbox.containers(all=False):
        sandbox.Container(info.name).kill()
    made.assert_clean()
    until(made.ended, "launcher and keeper should end")
    assert not os.path.exists(f"{made.home.runtime}/socket")
