"""Conditions and cures, as read from recorded and real groups."""

import errno
import os
from pathlib import Path

import pytest

from sandbox.linux.syscalls import SyscallError
from sandbox.primitives.cgroups import refusals
from sandbox.primitives.cgroups.hierarchy import ROOM


@pytest.fixture
def group(tmp_path: Path) -> Path:
    folder = tmp_path / ROOM / "box"
    folder.mkdir(parents=True)
    return folder


def why(number: int, path: Path) -> tuple[str, str]:
    return refusals.explain(SyscallError("write", number, str(path)))


def test_who_may_not_write_reads_who_may(group: Path) -> None:
    (group / "memory.max").touch(0o644)
    condition, cure = why(errno.EACCES, group / "memory.max")
    assert f"belongs to uid {os.getuid()}, mode 0644" in condition
    assert "Delegate=yes" in cure


def test_a_file_that_this_kernel_lacks_is_told_from_a_group_that_was_not_made(group: Path) -> None:
    assert why(errno.ENOENT, group / "cpu.max")[0] == "this kernel's groups have no file cpu.max"
    assert why(errno.ENOENT, group.parent / "other" / "cpu.max")[1] == "MakeCgroups must come first"


def test_a_limit_below_what_is_in_use_names_the_bytes(group: Path) -> None:
    (group / "memory.usage_in_bytes").write_text("7340032\n")
    assert why(errno.EBUSY, group / "memory.limit_in_bytes")[0] == "7340032 bytes are in use already and can't be reclaimed"


def test_a_group_that_hands_controllers_on_holds_no_processes(group: Path) -> None:
    (group / "cgroup.subtree_control").write_text("memory pids\n")
    assert why(errno.EBUSY, group / "cgroup.procs")[0].endswith("hands on 'memory pids', so it may hold no processes itself")


def test_an_empty_cpuset_is_told_from_a_full_tree(group: Path) -> None:
    (group / "cpuset.mems").write_text("\n")
    assert "cpuset.mems of" in why(errno.ENOSPC, group / "cgroup.procs")[0]
    assert "no more groups" in why(errno.ENOSPC, group)[0]


def test_a_quota_above_that_of_the_group_above_names_both(group: Path) -> None:
    (group.parent / "cpu.cfs_quota_us").write_text("50000\n")
    (group.parent / "cpu.cfs_period_us").write_text("100000\n")
    assert "a quota of 50000 µs in 100000 µs" in why(errno.EINVAL, group / "cpu.cfs_quota_us")[0]


def test_cpus_that_cannot_be_had_name_those_that_can(group: Path) -> None:
    (group.parent / "cpuset.cpus.effective").write_text("0-1\n")
    assert why(errno.EINVAL, group / "cpuset.cpus")[0] == "only the CPUs 0-1 can be had here"


def test_a_tree_with_no_room_for_groups_names_its_limits(group: Path) -> None:
    (group.parent / "cgroup.max.descendants").write_text("3\n")
    assert "cgroup.max.descendants 3" in why(errno.EAGAIN, group)[0]


@pytest.mark.parametrize("number", refusals._REASONS)
def test_every_refusal_that_is_known_has_a_condition_and_a_cure(group: Path, number: int) -> None:
    (group / "cgroup.procs").touch()
    assert all(why(number, group / "cgroup.procs"))


def test_a_refusal_that_is_not_known_is_not_explained_by_guessing(group: Path) -> None:
    assert why(errno.EIO, group / "cgroup.procs") == ("", "")
