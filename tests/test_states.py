"""Who waits for news of containers hears of every change, in the order of life, and of what it missed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.errors import KernelRefused
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.launcher.ledger import Ledger
from sandbox.states import _NEXT, STATES, Watcher, state, way
from tests.shell import PATIENCE, until

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]


def heard(watcher: Watcher, last: str) -> list[str]:
    """The states that are told of until `last`."""
    states: list[str] = []
    while last not in states:
        changes = watcher.poll(PATIENCE)
        assert changes, f"waited in vain for {last} after {states}"
        states += [change.state for change in changes]
    return states


@pytest.fixture
def watcher(home: Path) -> Iterator[Watcher]:
    with Watcher(open_home(), lambda name: True) as made:
        yield made


@pytest.fixture
def box(home: Path) -> Iterator[Container]:
    made, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    yield made
    if made.entry is not None:
        made.kill()


@pytest.mark.needs_cgroup("freezer")
def test_a_whole_life_is_told_as_lxc_tells_it(watcher: Watcher) -> None:
    box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    assert heard(watcher, "RUNNING") == ["STARTING", "RUNNING"]
    box.freeze()
    assert heard(watcher, "FROZEN") == ["FREEZING", "FROZEN"]
    box.unfreeze()
    assert heard(watcher, "RUNNING") == ["THAWED", "RUNNING"]
    box.kill()
    assert heard(watcher, "STOPPED") == ["STOPPING", "STOPPED"]
    assert watcher.states == {}


def test_how_it_ended_comes_with_the_word_that_it_stops(watcher: Watcher) -> None:
    sandbox.run("busybox", "exit 3")
    changes = []
    while not changes or changes[-1].state != "STOPPED":
        changes += watcher.poll(PATIENCE)
    assert [(change.state, change.exit_code) for change in changes] == [
        ("STARTING", None), ("RUNNING", None), ("STOPPING", 3), ("STOPPED", None),
    ]  # fmt: skip


def test_a_start_that_fails_never_runs(watcher: Watcher) -> None:
    with pytest.raises(KernelRefused):
        sandbox.run("busybox", ["nosuch"])
    assert heard(watcher, "STOPPED") == ["STARTING", "ABORTING", "STOPPING", "STOPPED"]


@pytest.mark.needs_cgroup("freezer")
def test_what_comes_and_goes_between_two_looks_is_told_all_the_same(watcher: Watcher) -> None:
    box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    box.freeze()
    box.kill()
    sandbox.ledger()  # it is put away by then; nobody has looked
    assert heard(watcher, "STOPPED") == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_the_next_one_of_that_name_is_no_news_of_the_one_before(watcher: Watcher, box: Container) -> None:
    heard(watcher, "RUNNING")
    ledger = Ledger(box.home.ledger)
    ledger.add("box", {})  # a change that is heard of when another one stands there already
    box.kill()
    sandbox.ledger()
    ledger.intend("box", {}, [])
    assert heard(watcher, "STARTING") == ["STOPPING", "STOPPED", "STARTING"]
    ledger.close("box")


def test_a_process_of_exec_is_no_container(watcher: Watcher, box: Container) -> None:
    heard(watcher, "RUNNING")
    box.exec("true")
    sandbox.ledger()
    assert watcher.poll(0.3) == []


def test_who_comes_later_knows_what_runs_and_hears_only_of_what_it_wants(box: Container) -> None:
    box.freeze()
    with Watcher(box.home, "box".__eq__) as one, Watcher(box.home, "other".__eq__) as other:
        assert one.states == {"box": "FROZEN"}
        assert other.states == {}
        box.kill()
        assert heard(one, "STOPPED") == ["STOPPING", "STOPPED"]
        assert other.poll(0) == []


def test_a_container_with_an_init_of_ours_runs_as_well(watcher: Watcher) -> None:
    box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box", init=True)
    assert heard(watcher, "RUNNING") == ["STARTING", "RUNNING"]
    assert state(box.entry) == "RUNNING"  # although its first process is still what it was born as
    box.kill()
    heard(watcher, "STOPPED")


def test_before_its_program_begins_a_container_is_starting(box: Container) -> None:
    entry = {**(box.entry or {}), "running": False}
    assert state(entry) == "RUNNING"  # by the name of its process
    (keeper, _) = entry["keeper"]
    newborn = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == keeper and is_cradle(pid))
    assert state({**entry, "pid": newborn}) == "STARTING"
    assert state({"boot": entry["boot"]}) == "STARTING"
    assert state(None) == "STOPPED"


def parent_of(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def is_cradle(pid: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == "sandbox-cradle\n"


def test_when_launcher_and_keeper_are_killed_the_end_is_still_told(watcher: Watcher, box: Container) -> None:
    heard(watcher, "RUNNING")
    entry = box.entry or {}
    hello, _ = client.ask(box.home, {"do": "hello"})
    os.kill(hello["pid"], signal.SIGKILL)
    os.kill(hello["keeper"], signal.SIGKILL)
    os.kill(entry["pid"], signal.SIGKILL)
    assert heard(watcher, "STOPPED") == ["STOPPING", "STOPPED"]
    assert Ledger(box.home.ledger).entry("box") is None


def test_what_a_dead_launcher_left_does_not_run(box: Container) -> None:
    entry = box.entry or {}
    hello, _ = client.ask(box.home, {"do": "hello"})
    for pid in (hello["pid"], hello["keeper"], entry["pid"]):
        os.kill(pid, signal.SIGKILL)
    until(lambda: box.entry is None, "it was killed")
    with Watcher(box.home, lambda name: True) as watcher:
        assert watcher.states == {}
    until(lambda: not sandbox.ledger(), "another launcher clears it, once the host's init has reaped it")


def test_the_way_between_any_two_states_is_one_that_exists() -> None:
    for seen in STATES:
        for now in STATES:
            passed = way(seen, now)
            assert passed[-1:] == ([now] if seen != now else [])
            for before, after in zip([seen, *passed], passed, strict=False):
                assert after in _NEXT[before]
