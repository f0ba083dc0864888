"""The steps as the launcher makes them, and as a later process takes them back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import NotPossibleHere
from sandbox.primitives import cgroups
from sandbox.primitives.cgroups import ground
from sandbox.primitives.cgroups.hierarchy import ROOM, UNIFIED, Layout
from sandbox.step import Step, World

Machine = Callable[..., Layout]
HYBRID: dict[str, dict[str, str]] = {
    f"{name}/": {} for name in ("cpu", "cpuacct", "cpuset", "memory/jobs/7", "freezer", "blkio", "pids", "unified")
}


@pytest.fixture
def hybrid(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A recorded machine, in the place of this one."""
    layout = machine("hybrid", HYBRID)
    monkeypatch.setattr(ground, "_here", layout)
    return layout


@pytest.fixture
def name(layout: Layout) -> str:
    """The name of a group in this machine's own layout."""
    return f"steps-{os.getpid()}"


def test_a_plan_names_the_group_and_the_launcher_its_directories(hybrid: Layout) -> None:
    step = cgroups.MakeCgroups("box")
    assert str(step) == "MakeCgroups(group='box')"
    assert step.choose(World()).directories == cgroups.place("box", hybrid)
    limits = cgroups.SetLimits("box", cpuset="0", extra=("cpuset",)).choose(World())
    assert "cpuset" in dict(limits.directories)


def test_a_process_joins_the_running_container_s_own_directories(hybrid: Layout) -> None:
    """Which another launcher, started from another group, may have chosen."""
    directories = (("memory", f"/elsewhere/{ROOM}/box"),)
    assert cgroups.JoinCgroups("box", directories=directories).choose(World()).directories == directories


def test_a_chosen_step_survives_json(hybrid: Layout) -> None:
    for step in (cgroups.MakeCgroups("box"), cgroups.SetLimits("box", memory=1 << 20), cgroups.JoinCgroups("box")):
        chosen = step.choose(World())
        assert Step.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


@pytest.mark.parametrize("kind", [cgroups.MakeCgroups, cgroups.SetLimits, cgroups.JoinCgroups])
def test_no_edited_plan_reaches_a_group_that_is_not_ours(kind: type[Step]) -> None:
    with pytest.raises(ValueError, match="not a control group of ours"):
        kind("box", directories=(("memory", "/sys/fs/cgroup/memory"),))  # type: ignore[call-arg]


def test_a_limit_asked_for_that_cannot_be_had_is_refused_with_condition_and_cure(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "_here", machine("v2", {"": {"cgroup.controllers": "cpu io\n"}}, "0::/"))
    with pytest.raises(NotPossibleHere) as refusal:
        cgroups.SetLimits("box", memory=1 << 20, explicit=("memory",)).choose(World()).apply(World())
    assert refusal.value.condition == "this kernel has no memory controller"
    assert refusal.value.cure


def test_a_default_limit_that_cannot_be_had_is_reported(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "_here", machine("v2", {"": {"cgroup.controllers": "cpu io\n"}}, "0::/"))
    result = cgroups.SetLimits("box", memory=1 << 20, pids=9).choose(World()).apply(World())
    assert result == (
        "memory is not limited: this kernel has no memory controller; pids is not limited: this kernel has no pids controller"
    )


def test_without_any_usable_tree_nothing_is_made_and_the_trace_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "_here", cgroups.read_layout([], "", ""))
    step = cgroups.MakeCgroups("box").choose(World())
    assert step.apply(World()) == "no groups: there is no cgroup2 controller here"
    cgroups.JoinCgroups("box").choose(World()).apply(World())
    step.undo()


@pytest.mark.needs_root
def test_a_group_is_made_joined_and_taken_back_by_another_process(name: str, layout: Layout) -> None:
    world = World()
    make = cgroups.MakeCgroups(name).choose(world)
    make.apply(world)
    child = subprocess.Popen(["sleep", "60"])
    try:
        world.pid = child.pid
        cgroups.JoinCgroups(name).choose(world).apply(world)
        groups = {line.split(":", 2)[2] for line in Path(f"/proc/{child.pid}/cgroup").read_text().splitlines()}
        assert sum(path.endswith(f"/{ROOM}/{name}") for path in groups) >= 1
        repository = str(Path(cgroups.__file__).parents[3])
        code = "import sys, json; sys.path.append(sys.argv[1]); from sandbox.primitives import cgroups\n"
        code += "from sandbox.step import Step; Step.from_json(json.loads(sys.argv[2])).undo()"
        command = [sys.executable, "-I", "-S", "-c", code, repository, json.dumps(make.to_json())]
        subprocess.run(command, check=True, timeout=30)
    finally:
        child.kill()
        child.wait()
    assert not any(os.path.exists(directory) for _, directory in make.directories)
    make.undo()


@pytest.mark.needs_root
def test_a_group_is_made_also_after_another_launcher_tidied_up(private: Layout) -> None:
    step = cgroups.MakeCgroups("box", directories=cgroups.place("box", private))
    for _ in range(2):
        step.apply(World())
        assert all(os.path.isdir(directory) for _, directory in step.directories)
        step.undo()
        cgroups.release(private)
        assert not any(os.path.exists(os.path.dirname(directory)) for _, directory in step.directories)


@pytest.mark.needs_root
def test_a_second_group_of_the_same_name_is_refused_and_explained(name: str, layout: Layout) -> None:
    step = cgroups.MakeCgroups(name).choose(World())
    step.apply(World())
    with pytest.raises(OSError) as refusal:  # noqa: PT011 (an errno has no type here)
        step.apply(World())
    condition, _ = step.explain(refusal.value, World())
    step.undo()
    assert condition.endswith("is left from an earlier run")


@pytest.mark.needs_root
def test_a_limit_or_a_join_without_the_group_is_explained(name: str, layout: Layout) -> None:
    world = World()
    world.pid = os.getpid()
    join = cgroups.JoinCgroups(name).choose(world)
    limits = cgroups.SetLimits(name, memory=1 << 24, pids=9).choose(world)
    for step in (join, replace(limits, memory=None) if layout.at("memory").problem else limits):
        if step is limits and layout.at("pids").problem:
            pytest.skip("no controller is usable here")
        with pytest.raises(OSError) as refusal:  # noqa: PT011
            step.apply(world)
        condition, cure = step.explain(refusal.value, world)
        assert condition.endswith("does not exist")
        assert cure == "MakeCgroups must come first"


@pytest.mark.needs_root
def test_a_cpuset_has_the_cpus_of_the_one_above(name: str, layout: Layout) -> None:
    if layout.at("cpuset").version != 1:
        pytest.skip("needs a v1 cpuset, which is born without any: on v2 an empty one takes the CPUs of the group above")
    make = cgroups.MakeCgroups(name, ("cpuset",)).choose(World())
    make.apply(World())
    try:
        directory = Path(dict(make.directories)["cpuset"])
        for file in ("cpuset.cpus", "cpuset.mems"):
            assert (directory / file).read_text() == (directory.parent / file).read_text() != "\n"
    finally:
        make.undo()


@pytest.mark.needs_root
def test_cpus_that_do_not_exist_are_explained(name: str, layout: Layout) -> None:
    if layout.at("cpuset").problem:
        pytest.skip(f"needs the cpuset controller: {layout.at('cpuset').problem}")
    world = World()
    make = cgroups.MakeCgroups(name, ("cpuset",)).choose(world)
    make.apply(world)
    step = cgroups.SetLimits(name, cpuset="5000", extra=("cpuset",)).choose(world)
    try:
        with pytest.raises(OSError) as refusal:  # noqa: PT011
            step.apply(world)
        condition, _ = step.explain(refusal.value, world)
    finally:
        make.undo()
    assert "CPUs 0" in condition or "does not take this value" in condition


@pytest.mark.needs_root
def test_joining_with_a_process_that_is_gone_is_explained(name: str, layout: Layout) -> None:
    world = World()
    child = subprocess.Popen(["true"])
    child.wait()
    world.pid = child.pid
    make = cgroups.MakeCgroups(name).choose(world)
    make.apply(world)
    join = cgroups.JoinCgroups(name).choose(world)
    try:
        with pytest.raises(OSError) as refusal:  # noqa: PT011
            join.apply(world)
        assert join.explain(refusal.value, world)[0] == "the process that was to join has ended"
    finally:
        make.undo()


def test_the_v2_tree_is_joined_last(hybrid: Layout) -> None:
    """There the move of a process that is still busy waits for it."""
    assert cgroups.JoinCgroups("box").choose(World()).directories[-1][0] == UNIFIED
