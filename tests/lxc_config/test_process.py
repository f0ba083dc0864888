import os
import signal

import pytest

from sandbox.errors import InvalidOption
from sandbox.spec import Process
from tests.lxc_config.asking import noted, said


def test_init_its_folder_and_its_ids() -> None:
    lines = ["cmd = /lib/init --log 'a b'", "cwd = /srv//x/..", "uid = 5", "gid = 7"]
    process = said(*(f"lxc.init.{line}" for line in lines)).process
    assert (process.args, process.cwd, process.user) == (("/lib/init", "--log", "a b"), "/srv", "5:7")
    assert said().process.user == "0:0"
    assert noted("lxc.init.groups = 5,6") == ["2: lxc.init.groups: init has no supplementary groups"]


def test_the_environment_is_lxcs_own_and_what_is_added_and_nothing_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("MINE", "yes")
    env = said(*(f"lxc.environment = {word}" for word in ("A=1=2", "A=3", "MINE", "B="))).process.env
    assert env == (*Process.env, "container=lxc", "A=3", "MINE=yes", "B=")
    monkeypatch.delenv("MINE")
    assert noted("lxc.environment = MINE")[0].startswith("2: lxc.environment: there is no MINE")
    assert "MINE=yes" not in said("lxc.environment = MINE").process.env


def test_the_host_name() -> None:
    assert said("lxc.uts.name = web-1.example").hostname == "web-1.example"
    for wrong in ("a b", "a/b", "é", "x" * 65):
        with pytest.raises(InvalidOption, match="is no host name"):
            said(f"lxc.uts.name = {wrong}")


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGPWR", signal.SIGPWR), ("sigpwr", signal.SIGPWR), ("30", 30), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("SIGRTMIN", 34),
     ("SIGRTMAX-2", 62), ("37", 37)],
)  # fmt: skip
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    found = said(f"lxc.signal.halt = {text}", f"lxc.signal.reboot = {text}")
    assert (found.stop_signal, found.reboot_signal) == (number, number)
    assert said().stop_signal == 0


@pytest.mark.parametrize("text", ["PWR", "SIGNO", "99", "0", "-1", "SIGRTMIN+40", "SIGRTMAX+1", "SIGHUP+1", "SIGRTMIN-1", "²"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="is no signal"):
        said(f"lxc.signal.halt = {text}")


def test_a_signal_to_end_with_by_force_is_always_kill() -> None:
    assert noted("lxc.signal.stop = 9") == []
    assert "SIGKILL, which nothing can ignore" in noted("lxc.signal.stop = SIGTERM")[0]


def test_terminals_and_console() -> None:
    assert said("lxc.tty.max = 4").terminals == 4
    assert said("lxc.tty.max = 4", "lxc.tty.max =").terminals == 0
    assert not said("lxc.console.path = none").process.terminal
    assert said("lxc.console.path = /dev/tty8").process.terminal
    assert "lxc-console -t 0" in noted("lxc.console.path = /dev/tty8")[0]
    assert noted("lxc.console.path = none") == []
    assert len(noted("lxc.console.logfile = /x", "lxc.console.size = 1MB", "lxc.console.buffer.size = auto")) == 1


def test_another_architecture_is_named() -> None:
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    assert noted(f"lxc.arch = {own}") == []
    assert "programs see the machine as it is" in noted("lxc.arch = i686")[0]
