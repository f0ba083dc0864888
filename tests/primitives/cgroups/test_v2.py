"""The files of version 2, in a recorded group."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.primitives.cgroups import pids, v2
from sandbox.primitives.cgroups.hierarchy import UNIFIED, Directories

Recorded = Callable[[str], Directories]
Writes = list[tuple[str, str]]


@pytest.fixture
def group(recorded: Recorded) -> Path:
    return Path(dict(recorded("v2"))[UNIFIED])


def test_everything_that_is_counted_is_read(group: Path) -> None:
    tree = v2.read_tree(str(group))
    assert (tree["cpu_seconds"], tree["cpu_user"], tree["cpu_system"]) == (0.720526, 0.496784, 0.223742)
    assert tree["cpu_stalled"] == 0.423539
    assert tree["frozen"] is False
    assert v2.read_cpu(str(group)) == {"throttled": 13, "throttled_seconds": 0.646439}
    assert v2.read_cpu_limit(str(group))["cpu_limit"] == 0.5
    assert pids.read(str(group)) == {"pids": 1, "pids_limit": 20, "forks_refused": 0}
    assert v2.read_io(str(group)) == {"io_read": 2_101_248, "io_written": 3_002_368, "io_operations": 7}
    memory = v2.read_memory(str(group))
    assert memory["memory"] == 3_354_624
    assert memory["memory_peak"] == memory["memory_limit"] == 40 << 20
    assert memory["oom_kills"] == 1
    assert memory["file"] == 3_149_824


def test_max_is_shown_as_no_limit(group: Path) -> None:
    (group / "memory.max").write_text("max\n")
    assert v2.read_memory(str(group))["memory_limit"] is None


def test_what_the_kernel_does_not_count_is_none_and_not_zero(group: Path) -> None:
    (group / "memory.peak").unlink()  # before Linux 5.19
    (group / "cpu.pressure").unlink()  # booted with psi=0
    assert v2.read_memory(str(group))["memory_peak"] is None
    assert v2.read_tree(str(group))["cpu_stalled"] is None


def test_memory_and_swap_are_limited_each(group: Path, writes: Writes) -> None:
    assert v2.limit_memory(str(group), 64 << 20, 0) == ""
    assert writes == [("memory.max", "67108864"), ("memory.swap.max", "0")]


def test_a_kernel_that_does_not_count_swap_is_named(group: Path) -> None:
    (group / "memory.swap.max").unlink()
    assert "swap is not limited" in v2.limit_memory(str(group), 64 << 20, 0)


def test_a_quota_is_written_with_its_period(group: Path, writes: Writes) -> None:
    v2.limit_cpu(str(group), 0.25)
    assert writes == [("cpu.max", "25000 100000")]


def test_events_tell_how_often_a_limit_was_hit(group: Path) -> None:
    assert v2.events(str(group)) == {"populated": 0, "frozen": 0, "memory_max": 37, "oom_kill": 1, "pids_max": 0}


def test_without_cgroup_kill_the_caller_is_told(group: Path) -> None:
    assert v2.kill(str(group)) is False
