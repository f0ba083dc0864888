"""lxc-info and lxc-ls: what LXC prints, and what can be asked for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.lxc.commands import Terminal, main
from tests.lxc.folders import make_lxc
from tests.lxc.test_copying import config

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root]


@pytest.fixture
def box(home: Path) -> Iterator[Container]:
    """One that runs, and beside it one that does not."""
    made = make_lxc("box", "lxc.start.auto = 1", "lxc.group = web", "lxc.group = onboot")
    make_lxc("idle")
    made.start()
    yield made
    if made.entry is not None:
        made.kill()


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines that a command prints. It must succeed."""
    assert main(words[0], words[1:], Terminal(interactive=False)) == 0
    return capsys.readouterr().out.splitlines()


def test_info_tells_all_or_what_is_asked_for(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    pid = box.running()["pid"]
    lines = told(capsys, "lxc-info", "-n", "box")
    assert lines[:3] == ["Name:           box", "State:          RUNNING", f"PID:            {pid}"]
    assert re.fullmatch(r"CPU use:        \d+\.\d\d seconds", lines[3])
    assert told(capsys, "lxc-info", "box", "-ps") == ["State:          RUNNING", f"PID:            {pid}"]
    assert told(capsys, "lxc-info", "box", "-pH") == [str(pid)]
    assert told(capsys, "lxc-info", "idle") == ["Name:           idle", "State:          STOPPED"]


def test_info_tells_keys_of_the_configuration(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["-c", "lxc.uts.name", "-c", "lxc.group", "-c", "lxc.hook.stop", "-c", "lxc.nonsense"]
    assert main("lxc-info", ["-n", "box", *asked]) == 0
    printed = capsys.readouterr()
    assert printed.out == "lxc.uts.name = box\nlxc.group = web\nonboot\nlxc.hook.stop = \n"
    assert printed.err == "lxc.nonsense invalid\n"
    assert told(capsys, "lxc-info", "box", "-H", "-c", "lxc.uts.name") == ["box"]
    assert told(capsys, "lxc-info", "box", "-s", "-c", "lxc.uts.name") == ["State:          RUNNING", "lxc.uts.name = box"]


def test_ls_lists_by_state_name_and_group(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "lxc-ls") == told(capsys, "lxc-ls", "-1") == told(capsys, "lxc-ls", "--defined") == ["box", "idle"]
    assert told(capsys, "lxc-ls", "--running") == told(capsys, "lxc-ls", "--active") == ["box"]
    assert told(capsys, "lxc-ls", "--stopped") == ["idle"]
    assert told(capsys, "lxc-ls", "--running", "--stopped") == ["box", "idle"]
    assert told(capsys, "lxc-ls", "--frozen") == []
    assert told(capsys, "lxc-ls", "--filter=^i") == told(capsys, "lxc-ls", "idle") == ["idle"]
    assert told(capsys, "lxc-ls", "-g", "onboot,web") == ["box"]
    assert told(capsys, "lxc-ls", "-g", "onboot,other") == []
    box.freeze()
    assert told(capsys, "lxc-ls", "--frozen") == told(capsys, "lxc-ls", "--active") == ["box"]


def test_the_fancy_table_has_the_columns_that_are_asked_for(box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "lxc-ls", "-f") == [
        "NAME STATE   AUTOSTART GROUPS      IPV4 IPV6 UNPRIVILEGED",
        "box  RUNNING 1         web, onboot -    -    true",
        "idle STOPPED 0         -           -    -    true",
    ]
    header, first, second = told(capsys, "lxc-ls", "-f", "-F", "pid, name,RAM")
    assert header.split() == ["PID", "NAME", "RAM"]
    assert re.fullmatch(rf"{box.running()['pid']} +box +\d+\.\d\dMB", first)
    assert second.split() == ["-", "idle", "-"]
    assert main("lxc-ls", ["-f", "-F", "NAME,COLOUR"]) == 1
    assert capsys.readouterr().err.startswith("lxc-ls: Invalid key: COLOUR")


def test_a_container_whose_config_is_broken_does_not_hide_the_others(
    box: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_lxc("broken").home.folder("broken")
    Path(folder, "config").write_text(f"{config('broken')}lxc.tty.max = many\n")
    assert [line.split()[0] for line in told(capsys, "lxc-ls", "-f")][:3] == ["NAME", "box", "broken"]


def test_nested_containers_are_seen_and_a_hostile_root_shows_nothing_of_ours(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("outer", "hostile"):
        make_lxc(name)
    root = home / "containers/outer/rootfs/var/lib/lxc"
    (root / "inner/rootfs/var/lib/lxc/deep").mkdir(parents=True)
    (root / "not a\tname").mkdir()
    hostile = home / "containers/hostile/rootfs/var/lib"
    hostile.mkdir(parents=True, exist_ok=True)
    (hostile / "lxc").symlink_to(home / "containers")
    assert told(capsys, "lxc-ls", "-1") == ["hostile", "outer"]
    assert told(capsys, "lxc-ls", "-1", "--nesting") == ["hostile", "outer", "inner", "deep"]
    assert told(capsys, "lxc-ls", "-1", "--nesting=1") == ["hostile", "outer", "inner"]
    assert told(capsys, "lxc-ls", "-f", "-F", "NAME,STATE", "--nesting") == [
        "NAME    STATE",
        "hostile STOPPED",
        "outer   STOPPED",
        "\\inner  STOPPED",
        " \\deep  STOPPED",
    ]
