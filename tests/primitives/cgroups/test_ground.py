"""How controllers are made to reach our groups on v2: against a model of its rules, and for real where this machine is v2."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.linux import files
from sandbox.linux.syscalls import SyscallError
from sandbox.primitives import cgroups
from sandbox.primitives.cgroups import ground, knobs
from sandbox.primitives.cgroups.hierarchy import ROOM, SUPERVISOR, UNIFIED, Layout
from sandbox.step import World

Machine = Callable[..., Layout]
SESSION = "user.slice/user-1000.slice/session-3.scope"


class Model:
    """The rules of v2 that matter here: what is handed on shows below, and not with processes inside."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        monkeypatch.setattr(knobs, "mkdir", self.mkdir)
        monkeypatch.setattr(files, "write", self.write)
        monkeypatch.setattr(ground, "_here", None)

    def mkdir(self, path: str) -> None:
        if os.path.exists(path):
            raise SyscallError("mkdir", errno.EEXIST, path)
        group = Path(path)
        group.mkdir()
        offered = (group.parent / "cgroup.subtree_control").read_text()
        for name, text in {"controllers": offered, "subtree_control": "", "procs": "", "type": "domain"}.items():
            (group / f"cgroup.{name}").write_text(text)

    def write(self, path: str, text: str, dirfd: int | None = None) -> None:
        group, name = Path(path).parent, Path(path).name
        if name == "cgroup.subtree_control":
            if text[1:] not in (group / "cgroup.controllers").read_text().split():
                raise SyscallError("write", errno.ENOENT, path)
            if (group / "cgroup.type").exists() and (group / "cgroup.procs").read_text().strip():
                raise SyscallError("write", errno.EBUSY, path)
            Path(path).write_text(f"{Path(path).read_text()} {text[1:]}".strip())
            for below in group.glob("*/cgroup.controllers"):
                below.write_text(Path(path).read_text())
        else:
            assert name == "cgroup.procs"
            for other in self.root.rglob("cgroup.procs"):
                other.write_text("\n".join(pid for pid in other.read_text().split() if pid != text))
            Path(path).write_text(f"{Path(path).read_text()}\n{text}")


@pytest.fixture
def session(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Layout, Path]]:
    """A v2 machine whose session scope, our own group, holds these pids."""

    def build(pids: str) -> tuple[Layout, Path]:
        own = {
            "cgroup.controllers": "cpu memory pids",
            "cgroup.procs": pids,
            "cgroup.type": "domain",
            "cgroup.subtree_control": "",
        }
        layout = machine("v2", {"": {"cgroup.controllers": "cpu memory pids"}, SESSION: own})
        Model(tmp_path, monkeypatch)
        return layout, tmp_path / SESSION

    return build


def test_processes_of_ours_move_aside_and_the_controllers_reach_our_groups(session: Any) -> None:
    layout, own = session("7\n8")
    prepared = cgroups.prepare(layout, [7, 8, 9])
    assert not any(place.problem for place in prepared.places if place.controller in ("memory", "pids", "cpu", UNIFIED))
    assert (own / "cgroup.procs").read_text() == ""
    assert set((own / ROOM / SUPERVISOR / "cgroup.procs").read_text().split()) == {"7", "8"}
    for group in (own, own / ROOM):
        assert set((group / "cgroup.subtree_control").read_text().split()) == {"memory", "pids", "cpu"}
    assert cgroups.here() == prepared


def test_to_prepare_twice_changes_nothing(session: Any) -> None:
    layout, own = session("7")
    prepared = cgroups.prepare(layout, [7])
    files_before = {path: path.read_text() for path in own.rglob("cgroup.*")}
    assert cgroups.prepare(prepared, [7]) == prepared
    assert {path: path.read_text() for path in own.rglob("cgroup.*")} == files_before


def test_processes_of_others_stay_and_the_layout_says_who_and_what_to_do(session: Any) -> None:
    layout, own = session(f"7\n{os.getpid()}")
    prepared = cgroups.prepare(layout, [7])
    memory = prepared.at("memory")
    assert str(os.getpid()) in memory.problem
    assert "other processes" in memory.problem
    assert "Delegate=yes" in memory.cure
    assert (own / "cgroup.subtree_control").read_text() == ""
    assert (own / "cgroup.procs").read_text() == f"7\n{os.getpid()}"
    assert dict(cgroups.place("box", prepared)) == {UNIFIED: f"{own}/{ROOM}/box"}, "freeze and kill work without controllers"


def test_out_of_a_group_that_systemd_delegated_everybody_moves(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, own = session("7\n99")
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"1" if (path, name) == (str(own), "user.delegate") else b"")
    assert not cgroups.prepare(layout, [7]).at("memory").problem
    assert set((own / ROOM / SUPERVISOR / "cgroup.procs").read_text().split()) == {"7", "99"}


def test_a_process_that_our_pid_namespace_does_not_show_is_in_the_way(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, _ = session("0\n7")
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"1")
    assert "other processes" in cgroups.prepare(layout, [7]).at("memory").problem


def test_in_the_root_group_nobody_has_to_move(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = {"cgroup.controllers": "memory pids hugetlb", "cgroup.procs": "1\n2", "cgroup.subtree_control": "pids"}
    layout = machine("v2", {"": root}, "0::/")
    Model(tmp_path, monkeypatch)
    assert not cgroups.prepare(layout).at("memory").problem
    assert (tmp_path / "cgroup.procs").read_text() == "1\n2"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "pids memory", "only what is missing, and nothing we don't use"


def test_one_controller_that_is_refused_does_not_take_the_others_with_it(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, _ = session("7")
    write = files.write

    def refuse_cpu(path: str, text: str, dirfd: int | None = None) -> None:
        if text == "+cpu":
            raise SyscallError("write", errno.EINVAL, path)  # as with a real-time process in the group
        write(path, text)

    monkeypatch.setattr(files, "write", refuse_cpu)
    prepared = cgroups.prepare(layout, [7])
    assert "+cpu: Invalid argument" in prepared.at("cpu").problem
    assert set(dict(cgroups.place("box", prepared))) == {"memory", "pids", UNIFIED}


@pytest.mark.needs_root
def test_what_is_in_use_stays_and_what_is_empty_goes(private: Layout) -> None:
    step = cgroups.MakeCgroups("box", directories=cgroups.place("box", private))
    step.apply(World())
    cgroups.release(private)
    assert all(os.path.isdir(directory) for _, directory in step.directories)
    step.undo()
    cgroups.release(private)
    assert not any(os.path.exists(os.path.dirname(directory)) for _, directory in step.directories)


@pytest.mark.needs_root
@pytest.mark.parametrize("alone", [True, False])
def test_a_launcher_in_a_group_of_its_own_prepares_it_if_it_is_alone_there(
    make_group: Any, layout: Layout, alone: bool
) -> None:
    if layout.at("memory").version != 2 or layout.at("memory").problem:
        pytest.skip("needs memory as a v2 controller")
    group = make_group()
    if not alone:
        assert group.start("print('up', flush=True)\nimport time; time.sleep(60)").stdout.readline() == "up\n"
    repository = str(Path(cgroups.__file__).parents[3])
    status, output = group.run(
        f"import sys, json, os; sys.path.append({repository!r})\n"
        "from sandbox.primitives import cgroups\n"
        "print(json.dumps(cgroups.prepare(cgroups.read_layout(), [os.getpid()]).to_json()))\n"
        "print(json.dumps(cgroups.read_layout().at('cgroup2')))\n"
    )
    assert status == 0
    first, second = output.splitlines()
    prepared = Layout.from_json(json.loads(first))
    own = dict(group.directories)[UNIFIED]
    assert json.loads(second)[3] == prepared.at(UNIFIED).own == own, "moved aside, it still knows its own group"
    assert ("other processes" in prepared.at("memory").problem) is not alone
    assert os.path.isdir(f"{own}/{ROOM}/{SUPERVISOR}") is alone
