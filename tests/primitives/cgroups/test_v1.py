"""The files of version 1, in a recorded group."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.primitives.cgroups import pids, v1
from sandbox.primitives.cgroups.hierarchy import Directories

Recorded = Callable[[str], Directories]
Writes = list[tuple[str, str]]


def test_everything_that_is_counted_is_read(recorded: Recorded) -> None:
    where = dict(recorded("hybrid"))
    assert v1.read_cpuacct(where["cpuacct"])["cpu_seconds"] == pytest.approx(0.56823, abs=1e-5)
    assert v1.read_cpu(where["cpu"]) == {"throttled": 10, "throttled_seconds": pytest.approx(0.492822846)}
    assert v1.read_cpu_limit(where["cpu"])["cpu_limit"] == 0.5
    assert pids.read(where["pids"]) == {"pids": 2, "pids_limit": 20, "forks_refused": 0}
    assert v1.read_io(where["blkio"]) == {"io_read": 2_101_248, "io_written": 3_002_368, "io_operations": 7}
    memory = v1.read_memory(where["memory"])
    assert memory["memory_peak"] == memory["memory_limit"] == 40 << 20
    assert memory["oom_kills"] == 1
    assert memory["anon"] == 61_440


def test_the_largest_number_is_shown_as_no_limit(recorded: Recorded) -> None:
    where = dict(recorded("hybrid"))
    Path(where["memory"], "memory.limit_in_bytes").write_text("9223372036854771712\n")
    Path(where["pids"], "pids.max").write_text("max\n")
    assert v1.read_memory(where["memory"])["memory_limit"] is None
    assert pids.read(where["pids"])["pids_limit"] is None


def test_processes_killed_in_groups_made_inside_are_counted_too(recorded: Recorded) -> None:
    memory = Path(dict(recorded("hybrid"))["memory"])
    (memory / "init.scope").mkdir()
    (memory / "init.scope" / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert v1.oom_kills(str(memory)) == 3


def test_what_the_kernel_does_not_count_is_none_and_not_zero(tmp_path: Path) -> None:
    assert set(v1.read_cpu(str(tmp_path)).values()) == {None}
    assert set(v1.read_cpuacct(str(tmp_path)).values()) == {None}
    assert v1.read_io(str(tmp_path)) == {}
    assert v1.glance_memory(str(tmp_path)) == {"memory": None}


def test_memory_and_swap_are_limited_together(recorded: Recorded, writes: Writes) -> None:
    assert v1.limit_memory(dict(recorded("hybrid"))["memory"], 64 << 20, 16 << 20) == ""
    assert writes == [("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "83886080")]


def test_a_kernel_that_does_not_count_swap_is_named(recorded: Recorded) -> None:
    memory = Path(dict(recorded("hybrid"))["memory"])
    (memory / "memory.memsw.limit_in_bytes").unlink()
    assert "swap is not limited" in v1.limit_memory(str(memory), 64 << 20, 0)


@pytest.mark.parametrize(("weight", "shares"), [(1, 10), (100, 1024), (10_000, 102_400)])
def test_a_weight_becomes_shares_as_the_kernel_converts_it(
    recorded: Recorded, writes: Writes, weight: int, shares: int
) -> None:
    v1.weigh_cpu(dict(recorded("hybrid"))["cpu"], weight)
    assert writes == [("cpu.shares", str(shares))]


def test_half_a_cpu_is_half_of_each_period(recorded: Recorded, writes: Writes) -> None:
    v1.limit_cpu(dict(recorded("hybrid"))["cpu"], 0.5)
    assert writes == [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")]
