"""Where each controller is, found on recorded machines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption
from sandbox.primitives.cgroups.hierarchy import ROOM, SUPERVISOR, UNIFIED, Layout, is_ours, place, read_layout

Machine = Callable[..., Layout]

HYBRID: dict[str, dict[str, str]] = {
    f"{name}/": {} for name in ("cpu", "cpuacct", "cpuset", "memory/jobs/7", "freezer", "blkio", "pids", "systemd")
}
DOCKER: dict[str, dict[str, str]] = {"cpu,cpuacct": {}, "memory": {}, "pids": {}, "freezer": {}}
UNIFIED_ROOT = {"unified": {"cgroup.controllers": "hugetlb\n"}}
SESSION = "user.slice/user-1000.slice/session-3.scope"
V2 = {
    "": {"cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n"},
    SESSION: {"cgroup.controllers": "memory pids\n", "cgroup.type": "domain\n"},
}


def test_each_controller_of_a_hybrid_machine_is_found_in_its_own_tree(machine: Machine, tmp_path: Path) -> None:
    layout = machine("hybrid", HYBRID | UNIFIED_ROOT)
    assert layout.kind == "hybrid"
    found = {p.controller: (p.version, p.own.removeprefix(str(tmp_path)), p.problem) for p in layout.places}
    assert found == {
        "cpu": (1, "/cpu", ""), "cpuacct": (1, "/cpuacct", ""), "cpuset": (1, "/cpuset", ""), "blkio": (1, "/blkio", ""),
        "memory": (1, "/memory/jobs/7", ""), "freezer": (1, "/freezer", ""), "pids": (1, "/pids", ""),
        "name=systemd": (1, "/systemd", ""), "cgroup2": (2, "/unified", ""), "hugetlb": (2, "/unified", ""),
    }  # fmt: skip


def test_a_group_is_placed_below_our_own_in_every_tree_and_last_in_v2(machine: Machine, tmp_path: Path) -> None:
    directories = place("box", machine("hybrid", HYBRID | UNIFIED_ROOT))
    assert [controller for controller, _ in directories] == ["memory", "pids", "cpu", "blkio", UNIFIED]
    assert dict(directories)["memory"] == f"{tmp_path}/memory/jobs/7/{ROOM}/box"
    assert all(is_ours(directory) for _, directory in directories)


def test_cpuacct_is_joined_only_where_no_v2_tree_tells_the_same(machine: Machine) -> None:
    assert "cpuacct" in dict(place("box", machine("docker_v1", DOCKER)))
    assert "cpuacct" not in dict(place("box", machine("hybrid", HYBRID | UNIFIED_ROOT)))


def test_cpuset_is_joined_only_when_asked_for(machine: Machine) -> None:
    layout = machine("hybrid", HYBRID | UNIFIED_ROOT)
    assert "cpuset" in dict(place("box", layout, ("cpuset",)))
    assert "cpuset" not in dict(place("box", layout))


def test_the_freezer_of_v1_is_joined_only_where_there_is_no_v2_tree(machine: Machine) -> None:
    assert "freezer" in dict(place("box", machine("docker_v1", DOCKER)))
    assert "freezer" not in dict(place("box", machine("hybrid", HYBRID | UNIFIED_ROOT)))


def test_on_a_pure_v2_machine_all_controllers_share_one_directory(machine: Machine, tmp_path: Path) -> None:
    layout = machine("v2", V2)
    assert layout.kind == "v2"
    assert set(place("box", layout)) == {(name, f"{tmp_path}/{SESSION}/{ROOM}/box") for name in ("memory", "pids", UNIFIED)}


def test_a_controller_that_the_groups_above_keep_is_named_with_the_cure(machine: Machine) -> None:
    missing = machine("v2", V2).at("cpu")
    assert missing.version == 0
    assert "do not hand the cpu controller down" in missing.problem
    assert "Delegate=yes" in missing.cure


def test_a_controller_switched_off_at_boot_is_named_with_the_cure(machine: Machine) -> None:
    off = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n"
    groups = V2 | {"": {"cgroup.controllers": "pids\n"}, SESSION: {"cgroup.controllers": "pids\n"}}
    missing = machine("v2", groups, known=off).at("memory")
    assert "switched off" in missing.problem
    assert missing.cure == "boot with cgroup_enable=memory"
    assert machine("v2", groups).at("cpu").problem == "this kernel has no cpu controller"


def test_without_any_tree_every_limit_says_so() -> None:
    layout = read_layout([], "", "")
    assert layout.kind == "none"
    for name in ("memory", "pids", "cpu", "cpuset"):
        assert layout.at(name).problem == f"no cgroup tree that is mounted has the {name} controller"
    assert place("box", layout) == ()


def test_our_own_group_is_found_where_only_its_own_part_is_mounted(machine: Machine, tmp_path: Path) -> None:
    layout = machine("docker_v1", DOCKER)
    assert layout.kind == "v1"
    assert layout.at("pids").own == f"{tmp_path}/pids"
    assert layout.at("cpu").own == layout.at("cpuacct").own == f"{tmp_path}/cpu,cpuacct"


def test_a_read_only_tree_is_of_no_use_and_says_so(machine: Machine) -> None:
    layout = machine("docker_v1", DOCKER)
    assert "mounted read-only" in layout.at("memory").problem
    assert "memory" not in dict(place("box", layout))


def test_a_hierarchy_that_is_mounted_nowhere_says_so(machine: Machine) -> None:
    missing = machine("docker_v1", DOCKER).at("cpuset")
    assert missing.problem == "the cpuset hierarchy is mounted nowhere"


@pytest.mark.parametrize("own", ["0::/../other", "0::/"])
def test_a_group_outside_of_what_is_mounted_is_refused_and_not_guessed(machine: Machine, own: str) -> None:
    layout = machine("outside", {"": {}}, own=own)
    assert "is not below what is mounted" in layout.at(UNIFIED).problem
    assert place("box", layout) == ()


def test_a_tree_covered_by_another_mount_is_refused(machine: Machine) -> None:
    assert "mounted over it" in machine("v2", {}).at(UNIFIED).problem


def test_a_launcher_that_was_moved_aside_still_knows_its_own_group(machine: Machine, tmp_path: Path) -> None:
    own = f"0::/{SESSION}/{ROOM}/{SUPERVISOR}\n"
    assert machine("v2", V2, own=own).at("memory").own == f"{tmp_path}/{SESSION}"


def test_a_layout_survives_json(machine: Machine) -> None:
    layout = machine("hybrid", HYBRID | UNIFIED_ROOT)
    assert Layout.from_json(layout.to_json()) == layout


@pytest.mark.parametrize("name", ["", "../box", "a/b", ".", SUPERVISOR, "a b", "memory.max"])
def test_a_name_that_could_leave_our_directory_is_refused(machine: Machine, name: str) -> None:
    with pytest.raises(InvalidOption):
        place(name, machine("v2", V2))


@pytest.mark.parametrize("path", ["/sys/fs/cgroup", f"/sys/fs/cgroup/{ROOM}", f"/a/{ROOM}/..", f"/a/{ROOM}/", f"a/{ROOM}/b"])
def test_only_directories_below_our_own_are_ours(path: str) -> None:
    assert not is_ours(path)
