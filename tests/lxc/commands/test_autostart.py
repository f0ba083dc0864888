"""lxc-autostart: which containers, in which order, and what becomes of them."""

from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.home import home as open_home
from sandbox.lxc.commands import main
from tests.lxc.folders import make_lxc

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, pytest.mark.usefixtures("home")]

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shelf(home: Path) -> None:
    """Five containers, as a machine may have them."""
    auto = "lxc.start.auto = 1"
    make_lxc("early", auto, "lxc.start.order = 1")
    make_lxc("late", auto, "lxc.start.order = 5", "lxc.start.delay = 1")
    make_lxc("db", auto, "lxc.start.order = 3", "lxc.group = web", "lxc.group = onboot")
    make_lxc("front", auto, "lxc.start.order = 4", "lxc.group = web")
    make_lxc("manual")
    Container.create("docker-like")


def listed(capsys: Capture, *words: str) -> list[str]:
    assert main("lxc-autostart", ["-L", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("shelf")
def test_groups_and_orders_choose(capsys: Capture) -> None:
    for words, names in (
        ("", "early late"),
        ("-g web", "db front"),
        ("-g onboot", "db"),
        ("-g web,", "db front early late"),
        ("-g ,web", "early late db front"),
        ("-g onboot,web", "db front"),
        ("-g onboot -g web", "db front"),
        ("-g nosuch", ""),
        ("-a", "early db front late"),
        ("-a -g web", "early db front late"),
        ("-A", "docker-like manual early late"),
        ("-a -A", "docker-like manual early db front late"),
        ("-k", ""),
        ("-s -a", ""),
    ):
        assert [line.split()[0] for line in listed(capsys, *words.split())] == names.split(), words


@pytest.mark.usefixtures("shelf")
def test_they_start_and_end_in_opposite_orders(capsys: Capture) -> None:
    assert listed(capsys) == ["early 0", "late 1"]
    assert main("lxc-autostart", []) == 0
    assert [Container(name).state for name in ("early", "late", "db")] == ["RUNNING", "RUNNING", "STOPPED"]
    assert listed(capsys) == []
    assert listed(capsys, "-r") == ["early 0", "late 1"]
    assert listed(capsys, "-s") == listed(capsys, "-k") == ["late", "early"]
    assert main("lxc-autostart", ["-s", "-t", "20"]) == 0
    assert [Container(name).state for name in ("early", "late")] == ["STOPPED", "STOPPED"]
    sandbox.ledger()  # by then the records are written
    assert [(open_home().last_record(name) or {})["exit_code"] for name in ("early", "late")] == [0, 0]


@pytest.mark.usefixtures("shelf")
def test_killed_they_have_no_time_to_say_goodbye() -> None:
    assert main("lxc-autostart", ["-g", "onboot"]) == 0
    assert main("lxc-autostart", ["-g", "onboot", "-k"]) == 0
    sandbox.ledger()
    assert (open_home().last_record("db") or {})["exit_code"] == 137


def test_one_that_fails_does_not_keep_the_others_from_starting(capsys: Capture) -> None:
    make_lxc("a-bad-one", "lxc.start.auto = 1", "lxc.init.cmd = /no/such/program")
    make_lxc("good", "lxc.start.auto = 1")
    assert main("lxc-autostart", []) == 2
    assert capsys.readouterr().err.startswith("lxc-autostart: a-bad-one: Exec: execve /no/such/program: ENOENT")
    assert Container("good").state == "RUNNING"
    assert main("lxc-autostart", ["-k"]) == 0


def test_when_all_fail_or_there_are_none_the_exit_code_is_lxcs(home: Path) -> None:
    assert main("lxc-autostart", []) == 1
    make_lxc("bad", "lxc.start.auto = 1", "lxc.init.cmd = /no/such/program")
    assert main("lxc-autostart", ["-q"]) == 1


def test_a_config_that_makes_no_sense_is_told_and_passed_over(capsys: Capture) -> None:
    make_lxc("bad", "lxc.start.auto = perhaps")
    make_lxc("good", "lxc.start.auto = 1")
    assert listed(capsys) == ["good 0"]
