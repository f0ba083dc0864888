"""The child that is born ahead of time, and its control group in the v2 tree: whose it is, and when it goes."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import KernelRefused
from sandbox.launcher.ledger import SPARE
from sandbox.primitives.cgroups import UNIFIED
from sandbox.trace import Trace
from tests.conftest import waiting_groups
from tests.launcher.conftest import Shelf, until

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup(UNIFIED)]


@pytest.fixture
def spare(shelf: Shelf) -> str:
    """The group of a child that waits for the next start."""
    sandbox.run("busybox", ["true"], name=shelf.name())
    until(lambda: waiting(shelf), "a spare child should be on its way")
    (group,) = waiting(shelf)
    until(lambda: members(group), "the spare child should be born")
    return group


def waiting(shelf: Shelf) -> set[str]:
    return {group for group in waiting_groups() if os.path.basename(shelf.home.runtime) in group}


def members(group: str) -> list[int]:
    return [int(line) for line in Path(group, "cgroup.procs").read_text().split()]


def births(trace: Trace) -> list[str]:
    return list(trace.results("Clone"))


def test_a_start_takes_the_child_and_its_group(shelf: Shelf, spare: str) -> None:
    (pid,) = members(spare)
    box, trace = sandbox.launch("busybox", ["sleep", "100"], name=shelf.name())
    assert births(trace) == [f"pid {pid}, born ahead of time"]
    assert list(trace.results("OpenCgroups")) == ["v2: it was born there"]
    groups = dict(box.running()["cgroups"])
    assert groups.pop(UNIFIED) == spare
    assert all(group.endswith(f"_{box.name}") for group in groups.values() if group != spare)
    for group in (spare, *groups.values()):
        assert members(group) == [pid]
    assert spare not in waiting(shelf)
    box.kill()
    shelf.assert_clean()


def test_who_wants_to_see_every_call_sees_a_birth_in_a_group_of_the_container_s_name(shelf: Shelf, spare: str) -> None:
    done = sandbox.run("busybox", ["true"], name=shelf.name(), calls=True)
    (clone,) = (entry for entry in done.trace if entry.step.startswith("Clone("))
    assert "ahead" not in clone.result
    (call,) = (call for call in clone.calls if call.name == "clone3")
    assert call.arguments.endswith(f"_{shelf.named[-1]}'")


def test_a_plan_that_makes_no_groups_does_not_take_it(shelf: Shelf, spare: str) -> None:
    done = sandbox.run("busybox", ["true"], name=shelf.name(), without=("MakeCgroups", "SetLimits", "OpenCgroups"))
    assert done.exit_code == 0
    assert "ahead" not in births(done.trace)[0]
    assert waiting(shelf) == {spare}


def test_one_that_is_killed_while_it_waits_is_not_missed(shelf: Shelf, spare: str) -> None:
    (pid,) = members(spare)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not members(spare), "the spare child should be gone")
    done = sandbox.run("busybox", ["true"], name=shelf.name())
    assert done.exit_code == 0
    assert "ahead" not in births(done.trace)[0]
    until(lambda: not os.path.exists(spare), "its group should go with it")


def test_a_start_that_is_refused_before_it_would_be_born_takes_it_along(shelf: Shelf, spare: str) -> None:
    (pid,) = members(spare)
    spec = sandbox.spec_for("busybox", ["true"], name=shelf.name())
    with pytest.raises(KernelRefused, match="SetLimits"):
        sandbox.run(replace(spec, resources=replace(spec.resources, files=(("pids.max", "many"),))))
    shelf.assert_clean()
    assert not os.path.exists(spare)
    assert not os.path.exists(f"/proc/{pid}")
    assert sandbox.run("busybox", ["true"], name=shelf.name()).exit_code == 0


def test_it_goes_when_nothing_needs_the_launcher_any_more(shelf: Shelf, spare: str) -> None:
    until(shelf.ended, "launcher and keeper should end")
    assert not os.path.exists(spare)
    assert not os.path.exists(f"{shelf.home.ledger}/{SPARE}")


@pytest.mark.parametrize("victims", [("sandbox-launch",), ("sandbox-cradle",), ("sandbox-keeper", "sandbox-launch")])
def test_whoever_is_killed_the_next_question_finds_nothing_of_it(shelf: Shelf, spare: str, victims: tuple[str, ...]) -> None:
    (waiting,) = members(spare)
    shelf.kill(*(pid for name in victims for pid in shelf.of(name) if pid != waiting))
    assert sandbox.ledger() == []
    until(lambda: not os.path.exists(spare), "another launcher, or another cradle, should have removed the group")
    assert sandbox.run("busybox", ["true"], name=shelf.name()).exit_code == 0
