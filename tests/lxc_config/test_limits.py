import resource

import pytest

from sandbox.errors import InvalidOption
from sandbox.lxc_config.limits import DEFAULTS, RLIMITS
from sandbox.spec import MIB, Resources
from tests.lxc_config.asking import noted, said


def limited(*lines: str) -> Resources:
    return said(*(f"lxc.{line}" for line in lines)).resources


def test_both_versions_of_a_limit_fill_the_same_field_and_version_2_wins() -> None:
    assert limited("cgroup.memory.limit_in_bytes = 64M").memory == 64 * MIB
    assert limited("cgroup2.memory.max = 1g").memory == 1024 * MIB
    both = ["cgroup2.memory.max = 1M", "cgroup.memory.limit_in_bytes = 2M"]
    assert limited(*both).memory == limited(*reversed(both)).memory == MIB
    assert limited("cgroup.pids.max = 7").pids == 7
    assert limited("cgroup2.pids.max = 7", "cgroup2.pids.max = 8").pids == 8
    assert limited("cgroup.cpuset.cpus = 0,1").cpuset == "0,1"
    assert limited("cgroup2.cpuset.cpus = 0-3,7").cpuset == "0-3,7"


def test_cpu_time_is_a_quota_of_a_period() -> None:
    assert limited("cgroup2.cpu.max = 50000 100000").cpus == 0.5
    assert limited("cgroup2.cpu.max = 50000").cpus == 0.5
    assert limited("cgroup2.cpu.max = max").cpus is None
    assert limited("cgroup.cpu.cfs_quota_us = 150000").cpus == 1.5
    assert limited("cgroup.cpu.cfs_quota_us = 5000", "cgroup.cpu.cfs_period_us = 10000").cpus == 0.5
    assert limited("cgroup.cpu.cfs_quota_us = -1").cpus is None


@pytest.mark.parametrize(("shares", "weight"), [("1024", 100), ("512", 50), ("2", 1), ("262144", 10_000), ("1234", 121)])
def test_shares_are_weights_on_another_scale(shares: str, weight: int) -> None:
    assert limited(f"cgroup.cpu.shares = {shares}").cpu_weight == weight
    assert limited(f"cgroup2.cpu.weight = {weight}").cpu_weight == weight


def test_swap_is_counted_on_top() -> None:
    assert limited("cgroup.memory.limit_in_bytes = 1M", "cgroup.memory.memsw.limit_in_bytes = 3M").swap == 2 * MIB
    assert limited("cgroup2.memory.max = 1M", "cgroup2.memory.swap.max = 5M").swap == 5 * MIB
    assert limited("cgroup2.memory.swap.max = max").files == (("memory.swap.max", "max"),)


def test_max_takes_a_default_limit_off_and_without_a_word_it_holds() -> None:
    assert limited() == DEFAULTS
    assert limited("cgroup2.memory.max = max", "cgroup2.pids.max = max") == Resources()
    assert limited("cgroup.memory.limit_in_bytes = -1").memory is None
    assert limited("cgroup2.memory.max = max", "cgroup2.memory.max =") == DEFAULTS


def test_what_has_no_field_is_written_to_its_file_in_order() -> None:
    lines = ["cgroup2.memory.high = 1G", "cgroup.blkio.weight = 500", "cgroup2.io.max = 8:0 rbps=1"]
    lines.append("cgroup2.io.max = 8:16 rbps=2")
    assert limited(*lines).files == (
        ("memory.high", "1G"), ("blkio.weight", "500"), ("io.max", "8:0 rbps=1"), ("io.max", "8:16 rbps=2"),
    )  # fmt: skip
    assert limited(*lines, "cgroup2 =").files == (("blkio.weight", "500"),)


def test_a_limit_that_was_asked_for_is_marked_as_such() -> None:
    found = said("lxc.cgroup.pids.max = 7", "lxc.cgroup2.cpu.max = 5000", "lxc.cgroup2.memory.max = max")
    assert dict(found.annotations)["explicit"].split(",") == ["pids", "cpus"]
    assert said().annotations == ()


@pytest.mark.parametrize(
    "line",
    ["memory.max = lots", "memory.max = 1e9", "memory.max = 99999999999G", "pids.max = -1", "cpu.weight = 0", "cpu.max = 1",
     "cpu.max = a", "cpu.max = 5000 b", "cpu.max = 5000 5000 5",
     "cpuset.cpus = 0..3", "cpu.shares = 1", "../x = 1", "a/b = 1", "cpu = 1"],
)  # fmt: skip
def test_a_limit_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc.cgroup2\."):
        said(f"lxc.cgroup2.{line}")


def test_devices_are_no_limit_and_that_is_said_once() -> None:
    lines = ["lxc.cgroup.devices.deny = a", "lxc.cgroup2.devices.deny = a"]
    assert said(*lines).resources == DEFAULTS
    assert len(noted(*lines)) == 1


def test_the_place_of_the_group_is_ours_to_choose() -> None:
    (note,) = noted("lxc.cgroup.dir = a/b", "lxc.cgroup.dir.container = c")
    assert note.startswith("2: lxc.cgroup.dir (and 1 more line): its group")
    assert said("lxc.cgroup.dir = a/b").resources == DEFAULTS


def test_limits_of_processes_are_soft_and_hard() -> None:
    lines = ["nofile = 10:20", "core = unlimited", "nproc = 5 : unlimited", "as = 3", "as = 4"]
    assert said(*(f"lxc.prlimit.{line}" for line in lines)).process.rlimits == (
        ("RLIMIT_NOFILE", 10, 20), ("RLIMIT_CORE", -1, -1), ("RLIMIT_NPROC", 5, -1), ("RLIMIT_AS", 4, 4),
    )  # fmt: skip


@pytest.mark.parametrize("line", ["nofile = 20:10", "nofile = unlimited:10", "nofile = x", "nonsense = 1", "nofile = -1"])
def test_a_limit_of_processes_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc.prlimit\."):
        said(f"lxc.prlimit.{line}")


def test_every_limit_of_processes_is_one_that_python_knows() -> None:
    known = {name for name in dir(resource) if name.startswith("RLIMIT_")}
    assert {f"RLIMIT_{name.upper()}" for name in RLIMITS} == known - {"RLIMIT_OFILE"}


def test_kernel_settings_have_their_own_names() -> None:
    lines = ["lxc.sysctl.net.ipv4.ip_forward = 0", "lxc.sysctl.kernel.msgmax = 65536", "lxc.sysctl.net.ipv4.ip_forward = 1"]
    assert said(*lines).sysctls == (("net.ipv4.ip_forward", "1"), ("kernel.msgmax", "65536"))
    assert said(*lines, "lxc.sysctl =").sysctls == ()
