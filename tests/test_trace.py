"""The trace: rows as the launcher sends them, put into words when somebody looks."""

import pytest

from sandbox.lanes import Plan
from sandbox.primitives.barrier import Go, WaitForGo
from sandbox.primitives.namespaces import SetHostname
from sandbox.trace import Call, Entry, Trace

PLAN = Plan((Go(),), (WaitForGo(), SetHostname("box"))).to_json()
ROWS = [
    ["outside", 0, 2_000, 3_000, "", []],
    ["inside", 0, 1_000, 4_000, "", []],
    ["inside", 1, 4_000, 9_000, "done", [["sethostname", "'box'", -1, 5_000, 6_000]]],
]


def test_entries_come_in_the_order_of_time_whatever_lane_they_are_of() -> None:
    first, second, third = Trace(ROWS, PLAN)
    assert (first.lane, second.lane) == ("inside", "outside")
    assert third == Entry(
        "inside", "SetHostname(hostname='box')", 4_000, 9_000, "done", (Call("sethostname", "'box'", -1, 5_000, 6_000),)
    )


def test_it_prints_times_in_microseconds_and_calls_below_their_step() -> None:
    lines = str(Trace(ROWS, PLAN)).splitlines()
    assert lines[1].split() == ["0", "3", "inside", "WaitForGo()"]
    assert lines[3].split()[:4] == ["3", "5", "inside", "SetHostname(hostname='box')"]
    assert lines[4].split()[:1] == ["sethostname('box')"]
    assert lines[4].endswith("1 µs")


def test_results_are_those_of_the_steps_asked_for() -> None:
    assert list(Trace(ROWS, PLAN).results("SetHostname")) == ["done"]
    assert not list(Trace(ROWS, PLAN).results("Go"))


def test_a_trace_of_nothing_says_so() -> None:
    assert str(Trace()) == "(empty trace)"
    assert not Trace().entries


def test_a_row_of_a_step_that_the_plan_does_not_have_is_no_trace() -> None:
    with pytest.raises(IndexError):
        _ = Trace([["inside", 7, 0, 1, "", []]], PLAN).entries
