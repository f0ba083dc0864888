"""The timeline: what is worked out from a trace, and what it says of real runs."""

import json
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.lanes import Plan
from sandbox.primitives.barrier import Go, WaitForGo
from sandbox.primitives.mounts import MountFilesystem
from sandbox.primitives.namespaces import Clone, SetHostname
from sandbox.primitives.process import Exec
from sandbox.trace import Trace

PLAN = Plan((Clone(("uts",)), Go()), (WaitForGo(), SetHostname("box"), Exec(("true",)))).to_json()
ROWS = [
    ["outside", 0, 1_000, 101_000, "pid 7", []],
    ["inside", 0, 151_000, 301_000, "", []],
    ["outside", 1, 201_000, 251_000, "", []],
    ["inside", 1, 301_000, 401_000, "", [["sethostname", "'box'", -1, 311_000, 321_000]]],
    ["inside", 2, 401_000, 501_000, "", []],
]
TRACE = Trace(ROWS, PLAN)


def test_times_are_microseconds_since_the_first_step() -> None:
    (track,) = sandbox.timeline(TRACE).tracks
    assert [(bar.name, bar.at, bar.took) for bar in track.bars][:2] == [("Clone", 0, 100), ("WaitForGo", 150, 150)]
    assert track.length == 500
    assert track.exec == track.bars[-1]


def test_a_call_lies_inside_its_step_and_a_failure_has_its_name() -> None:
    bar = next(bar for bar in sandbox.timeline(TRACE).tracks[0].bars if bar.name == "SetHostname")
    assert [(call.at, call.took, call.result) for call in bar.calls] == [(310, 10, "-1 EPERM")]
    assert bar.at <= bar.calls[0].at
    assert (bar.man, bar.topic) == ("sethostname(2)", "namespaces")
    assert bar.purpose


def test_it_says_who_waited_for_whom() -> None:
    (track,) = sandbox.timeline(TRACE).tracks
    waits = [(wait.lane, wait.at, wait.took) for wait in track.waits]
    assert waits == [("inside", 100, 50), ("inside", 150, 100), ("outside", 250, 250)]
    assert [(each.what, each.at, each.arrives) for each in track.signals] == [("birth", 100, 150), ("Go", 250, 300)]


def test_where_go_came_first_nobody_waited() -> None:
    early = [["outside", 1, 101_000, 121_000, "", []] if row[:2] == ["outside", 1] else row for row in ROWS]
    (track,) = sandbox.timeline(Trace(early, PLAN)).tracks
    assert [(wait.took, wait.why) for wait in track.waits][1] == (0, "Go had come already: nobody waits")


def test_a_step_that_one_of_two_runs_did_not_make_stands_at_its_place() -> None:
    fewer = Plan((Clone(("uts",)), Go()), (WaitForGo(), MountFilesystem("proc", "/proc"), Exec(("true",)))).to_json()
    rows = sandbox.timeline(TRACE, Trace(ROWS, fewer)).differences
    assert [row.name for row in rows] == ["Clone", "Go", "WaitForGo", "SetHostname", "MountFilesystem /proc", "Exec"]
    assert [(row.first, row.second, row.more) for row in rows[3:5]] == [(100, None, -100), (None, 100, 100)]


def test_a_child_born_ahead_of_time_is_compared_with_one_that_was_not() -> None:
    three = Plan((Go(), Clone(("uts",))), (Exec(("true",)),)).to_json()
    cold = [["outside", 0, 0, 10_000, "", []], ["outside", 1, 10_000, 90_000, "", []]]
    warm = [["outside", 1, 0, 5_000, "pid 7, born ahead of time", []], ["outside", 0, 5_000, 15_000, "", []]]
    rows = sandbox.timeline(Trace(cold, three), Trace(warm, three)).differences
    assert sorted((row.name, row.more) for row in rows) == [("Clone", -75), ("Go", 0)]


def test_the_text_draws_each_step_at_its_place() -> None:
    lines = str(sandbox.timeline(TRACE)).splitlines()
    drawn = {line.split()[3]: line[59:] for line in lines if line[:8].strip().isdigit()}
    assert drawn["Clone"].index("█") == 0
    assert drawn["Exec"].index("▓") == int(56 * 400 / 500)
    assert "░" in drawn["WaitForGo"]
    assert any("sethostname('box') = -1 EPERM" in line for line in lines)
    assert str(sandbox.timeline(Trace())) == "(nothing was traced)"


@pytest.mark.parametrize(("second", "labels", "why"), [("x", ("one", "two"), "not str"), (TRACE, ("one",), "as many labels")])
def test_what_is_no_run_and_a_run_without_a_label_are_refused(second: Any, labels: tuple[str, ...], why: str) -> None:
    with pytest.raises(sandbox.InvalidOption, match=why):
        sandbox.timeline(TRACE, second, labels)


def test_it_is_plain_data() -> None:
    data = sandbox.timeline(TRACE, TRACE).to_json()
    assert [track["label"] for track in data["tracks"]] == ["first run", "second run"]
    assert json.loads(json.dumps(data)) == data
    assert [len(bar["calls"]) for bar in data["tracks"][0]["bars"]] == [0, 0, 0, 1, 0]
    assert all(row["more"] == 0 for row in data["differences"])


@pytest.mark.needs_userns
def test_a_real_run_has_all_its_steps_and_without_a_namespace_it_lacks_some(home: Path) -> None:
    result = sandbox.run("busybox", "true", calls=True)
    other = sandbox.run("busybox", "true", share=("uts",))
    line = sandbox.timeline(result, other)
    assert len(line.tracks[0].bars) == len(result.trace)
    assert sum(len(bar.calls) for bar in line.tracks[0].bars) > 50
    assert [row.name for row in line.differences if row.second is None] == ["SetHostname"]
    assert "the program runs" in str(line)
