"""Limits that are turned while the container runs, or while it rests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import loads
from sandbox.errors import InvalidOption, KernelRefused, NotFound, WrongState
from sandbox.launcher.ledger import directories
from sandbox.primitives import cgroups
from tests.shell import until

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup("memory"), pytest.mark.needs_cgroup("pids")]


@pytest.fixture
def box(home: Path) -> Iterator[sandbox.Container]:
    box, _ = sandbox.launch("busybox", ["sleep", "600"], name="box", memory="64m", pids=30, cpus=1)
    yield box
    if box.entry:
        box.kill()


def usage(box: sandbox.Container) -> cgroups.Usage:
    assert box.entry
    return cgroups.usage(directories(box.entry))


def test_a_new_limit_is_in_the_kernel_at_once_and_in_all_that_tells_of_it(box: sandbox.Container) -> None:
    resources = box.update(memory="32m", pids=20, cpus="0.5")
    found = usage(box)
    assert (found.memory_limit, found.pids_limit, found.cpu_limit) == (32 << 20, 20, 0.5)
    assert (resources.memory, resources.pids, resources.cpus) == (32 << 20, 20, 0.5)
    assert box.spec.resources == resources
    box.kill()
    assert sandbox.ledger() == []  # the record is written by then
    assert box.home.last_record("box")["spec"]["resources"]["memory"] == 32 << 20  # type: ignore[index]


def test_max_takes_a_limit_away_and_a_higher_one_can_be_set_again(box: sandbox.Container) -> None:
    box.update(memory="max", pids="max")
    assert usage(box).memory_limit is None
    assert usage(box).pids_limit is None
    box.update(memory="128m")
    assert usage(box).memory_limit == 128 << 20


def test_less_memory_than_is_used_is_refused_with_numbers_and_nothing_is_changed(box: sandbox.Container) -> None:
    if cgroups.read_layout().at("memory").version != 1:
        pytest.skip("v2 takes every limit, and kills until it is kept")
    load = loads.load(box, "memory", 30)
    until(lambda: (usage(box).memory or 0) > 30 << 20, "it should hold 30 MiB")
    with pytest.raises(KernelRefused, match="EBUSY") as refused:
        box.update(pids=10, memory="16m")
    assert "16m are asked for" in refused.value.condition
    assert "of processes" in refused.value.condition
    assert (usage(box).memory_limit, usage(box).pids_limit) == (64 << 20, 30)
    assert box.spec.resources.pids == 30
    load.stop()


def test_what_makes_no_sense_is_refused(box: sandbox.Container) -> None:
    for limits in ({}, {"hostname": "x"}, {"memory": "lots"}, {"pids": 0}, {"cpus": None}):
        with pytest.raises(InvalidOption):
            box.update(**limits)
    with pytest.raises(NotFound):
        sandbox.Container("nobody").update(pids=5)
    box.kill()
    with pytest.raises((NotFound, WrongState)):
        box.update(pids=5)


def test_a_container_on_the_shelf_keeps_its_new_limits(home: Path) -> None:
    made = sandbox.Container.create("kept", command=["sleep", "60"], memory="64m")
    made.update(memory="48m")
    assert made.spec.resources.memory == 48 << 20
    made.start()
    assert usage(made).memory_limit == 48 << 20
    made.update(pids=7)
    made.kill()
    assert sandbox.Container.get("kept").spec.resources.pids == 7
    made.destroy()


def test_a_killed_launcher_has_forgotten_nothing_of_it(box: sandbox.Container) -> None:
    import os
    import signal

    from sandbox.launcher import client

    box.update(memory="40m")
    os.kill(client.ask(box.home, {"do": "hello"})[0]["pid"], signal.SIGKILL)
    box.update(pids=9)
    assert (box.spec.resources.memory, box.spec.resources.pids) == (40 << 20, 9)


def test_a_load_ends_with_its_container(box: sandbox.Container) -> None:
    load = loads.load(box, "cpu")
    assert load.running
    assert str(load) == "burns CPU time for 10 s"
    with pytest.raises(InvalidOption, match="no load"):
        loads.load(box, "heat")
    with pytest.raises(InvalidOption, match="0 MiB"):
        loads.load(box, "memory", 0)
    box.kill()
    until(lambda: not load.running, "the load should end")
    load.stop()


def test_what_a_load_writes_is_written_and_removed(box: sandbox.Container) -> None:
    load = loads.load(box, "write", 4)
    until(lambda: not load.running, "it should end")
    assert not box.exec(["ls", "/tmp/load"])
