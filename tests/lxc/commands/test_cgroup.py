"""lxc-cgroup: control files by their names alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.launcher.ledger import directories
from sandbox.lxc.commands import main
from sandbox.primitives import cgroups

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup("pids"), pytest.mark.usefixtures("home")]


@pytest.fixture
def box(home: Path) -> Iterator[Container]:
    made, _ = sandbox.launch("busybox", ["sleep", "100"], name="box", pids=33)
    yield made
    made.kill()


def test_a_limit_is_read_and_set_while_it_runs(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-cgroup", ["-n", "box", "pids.max"]) == 0
    assert capsys.readouterr().out == "33\n"
    assert main("lxc-cgroup", ["box", "pids.max", "44"]) == 0
    assert cgroups.usage(directories(box.entry or {})).pids_limit == 44
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["nosuch", "pids.nosuch", "../pids/pids.max", "../../pids.max", "memory.", ""])
def test_a_file_that_there_is_not_is_lxcs_error(box: Container, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-cgroup", ["-n", "box", "--", name]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"lxc-cgroup: box: Failed to retrieve value of '{name}' for '{box.home.containers}:box' (")
    assert main("lxc-cgroup", ["-n", "box", "--", name, "1"]) == 1
    assert capsys.readouterr().err.startswith(f"lxc-cgroup: box: Failed to assign '1' value to '{name}' for 'box' (")


@pytest.mark.needs_cgroup("memory")
def test_who_asks_for_the_file_of_the_other_version_is_told_its_name_here(
    box: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {1: "memory.limit_in_bytes", 2: "memory.max"}
    version = cgroups.read_layout().at("memory").version
    assert main("lxc-cgroup", ["-n", "box", names[version]]) == 0
    assert main("lxc-cgroup", ["-n", "box", names[3 - version]]) == 1
    assert f"here it is {names[version]}" in capsys.readouterr().err


def test_what_the_kernel_refuses_is_told_with_the_file_and_the_reason(
    box: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("lxc-cgroup", ["-n", "box", "pids.max", "many"]) == 1
    told = capsys.readouterr().err
    assert "Failed to assign 'many' value to 'pids.max' for 'box'" in told
    assert "pids.max: Invalid argument" in told


def test_no_process_of_the_host_is_moved_in(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-cgroup", ["-n", "box", "cgroup.procs"]) == 0
    assert capsys.readouterr().out == f"{(box.entry or {})['pid']}\n"
    assert main("lxc-cgroup", ["-n", "box", "cgroup.procs", "1"]) == 1
    assert "a process of the host does not belong in there" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "told"), [(["-n", "no", "pids.max"], "is not running"), (["-n", "no"], "Missing state")])
def test_what_can_not_be_asked_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-cgroup", words) == 1
    assert told in capsys.readouterr().err
