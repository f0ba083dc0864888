"""The steps as the launcher makes them, and as a later process takes them back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import NotPossibleHere
from sandbox.linux import files, syscalls
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
    assert cgroups.OpenCgroups("box", directories=directories).choose(World()).directories == directories


def test_of_a_child_that_was_born_ahead_of_time_the_v2_group_is_its_own(hybrid: Layout) -> None:
    """There it can't be moved without a wait; the groups in other trees are called as the container is."""
    world, named = World(), cgroups.place("box", hybrid)
    world.birthplace = f"{dict(named)[UNIFIED]}-spare"
    for kind in (cgroups.MakeCgroups, cgroups.SetLimits, cgroups.DelegateCgroups, cgroups.OpenCgroups):
        assert kind("box").choose(world).directories == (*named[:-1], (UNIFIED, world.birthplace))


def test_a_chosen_step_survives_json(hybrid: Layout) -> None:
    for step in (cgroups.MakeCgroups("box"), cgroups.SetLimits("box", memory=1 << 20), cgroups.OpenCgroups("box")):
        chosen = step.choose(World())
        assert Step.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


@pytest.mark.parametrize("kind", [cgroups.MakeCgroups, cgroups.SetLimits, cgroups.OpenCgroups])
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
    assert cgroups.OpenCgroups("box").choose(World()).apply(World()) == ""
    assert cgroups.JoinCgroups().apply(World()) == ""
    step.undo()


@contextmanager
def born(world: World) -> Iterator[str]:
    """A child that is born as the world says, and joins; what it says of that."""
    answer, tell = os.pipe()
    world.pid, pidfd = syscalls.clone3(0, cgroup=world.birthplace)
    if world.pid == 0:
        join = cgroups.JoinCgroups()
        try:
            os.write(tell, f"{join.apply(world)}\n".encode())
        except OSError as error:
            os.write(tell, f"{error}: {join.explain(error, world)[0]}".encode())
        signal.pause()
    try:
        yield os.read(answer, 4096).decode().strip()
    finally:
        os.kill(world.pid, signal.SIGKILL)
        os.waitpid(world.pid, 0)
        for fd in (answer, tell, pidfd, *world.trees.values()):
            os.close(fd)


@pytest.mark.needs_root
def test_a_child_is_born_in_its_group_or_joins_it_and_another_process_takes_that_back(name: str, layout: Layout) -> None:
    world = World()
    make = cgroups.MakeCgroups(name).choose(world)
    make.apply(world)
    unified = not layout.at(UNIFIED).problem
    assert cgroups.OpenCgroups(name).choose(world).apply(world) == ("v2: it was born there" if unified else "")
    trees = len({directory for _, directory in make.directories})
    with born(world) as said:
        assert said == (f"{trees - unified} v1 trees" if trees > unified else "")
        lines = files.read(f"/proc/{world.pid}/cgroup").splitlines()
        assert sum(line.endswith(f"/{ROOM}/{name}") for line in lines) == trees
        repository = str(Path(cgroups.__file__).parents[3])
        code = "import sys, json; sys.path.append(sys.argv[1]); from sandbox.primitives import cgroups\n"
        code += "from sandbox.step import Step; Step.from_json(json.loads(sys.argv[2])).undo()"
        command = [sys.executable, "-I", "-S", "-c", code, repository, json.dumps(make.to_json())]
        subprocess.run(command, check=True, timeout=30)
    assert not any(os.path.exists(directory) for _, directory in make.directories)
    make.undo()


@pytest.mark.needs_root
@pytest.mark.needs_cgroup(UNIFIED)
def test_who_was_born_elsewhere_is_moved_in_the_v2_tree(name: str, layout: Layout) -> None:
    world = World()
    with subprocess.Popen(["sleep", "60"]) as child:
        world.pid = child.pid
        make = cgroups.MakeCgroups(name).choose(world)
        make.apply(world)
        try:
            assert cgroups.OpenCgroups(name).choose(world).apply(world) == "v2: it was moved there"
            assert f"/{ROOM}/{name}" in files.read(f"/proc/{child.pid}/cgroup").splitlines()[-1]
        finally:
            make.undo()
            for door in world.trees.values():
                os.close(door)
        assert child.wait() == -signal.SIGKILL


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
def test_a_limit_or_a_way_in_without_the_group_is_explained(name: str, layout: Layout) -> None:
    world = World()
    world.pid = os.getpid()
    way = cgroups.OpenCgroups(name).choose(world)
    limits = cgroups.SetLimits(name, memory=1 << 24, pids=9).choose(world)
    for step in (way, replace(limits, memory=None) if layout.at("memory").problem else limits):
        if step is limits and layout.at("pids").problem:
            pytest.skip("no controller is usable here")
        with pytest.raises(OSError) as refusal:  # noqa: PT011
            step.apply(world)
        condition, cure = step.explain(refusal.value, world)
        assert condition.endswith("does not exist")
        assert cure == "MakeCgroups must come first"


@pytest.mark.needs_root
def test_a_cpuset_has_the_cpus_of_the_one_above_and_without_any_nobody_can_join(name: str, layout: Layout) -> None:
    if layout.at("cpuset").version != 1:
        pytest.skip("needs a v1 cpuset, which is born without any: on v2 an empty one takes the CPUs of the group above")
    world = World()
    directories = tuple(pair for pair in cgroups.place(name, layout, ("cpuset",)) if pair[0] == "cpuset")
    make = cgroups.MakeCgroups(name, ("cpuset",), directories)
    make.apply(world)
    try:
        directory = Path(directories[0][1])
        for file in ("cpuset.cpus", "cpuset.mems"):
            assert (directory / file).read_text() == (directory.parent / file).read_text() != "\n"
        files.write(f"{directory}/cpuset.cpus", "\n")
        cgroups.OpenCgroups(name, directories=directories).apply(world)
        with born(world) as said:
            assert said.startswith("[Errno 28]")
            assert said.endswith("is empty, so nothing can run in it")
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
@pytest.mark.needs_cgroup(UNIFIED)
def test_moving_a_process_that_is_gone_is_explained(name: str, layout: Layout) -> None:
    world = World()
    child = subprocess.Popen(["true"])
    child.wait()
    world.pid = child.pid
    make = cgroups.MakeCgroups(name).choose(world)
    make.apply(world)
    way = cgroups.OpenCgroups(name).choose(world)
    try:
        with pytest.raises(OSError) as refusal:  # noqa: PT011
            way.apply(world)
        assert way.explain(refusal.value, world)[0] == "the process that was to join has ended"
    finally:
        make.undo()
        for door in world.trees.values():
            os.close(door)


def test_the_v2_tree_comes_last(hybrid: Layout) -> None:
    """There the move of a process that is still busy waits for it."""
    assert cgroups.OpenCgroups("box").choose(World()).directories[-1][0] == UNIFIED
