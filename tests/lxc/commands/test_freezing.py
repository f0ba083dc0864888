"""lxc-freeze, lxc-unfreeze, lxc-wait, lxc-monitor: states, and their changes."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.lxc.commands import main
from tests.shell import Shell, until

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]


@pytest.fixture
def box(home: Path) -> Iterator[Container]:
    made, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    yield made
    if made.entry is not None:
        made.kill()


@pytest.mark.needs_cgroup("freezer")
def test_frozen_and_thawed_twice_is_no_mistake(box: Container) -> None:
    assert main("lxc-freeze", ["-n", "box"]) == main("lxc-freeze", ["box"]) == 0
    assert box.state == "FROZEN"
    assert main("lxc-unfreeze", ["-n", "box"]) == main("lxc-unfreeze", ["box"]) == 0
    assert box.state == "RUNNING"


@pytest.mark.parametrize("command", ["lxc-freeze", "lxc-unfreeze"])
def test_what_does_not_run_can_not_be_frozen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command, ["-n", "nope"]) == 1
    assert capsys.readouterr().err.startswith(f"{command}: nope: ")
    assert main(command, []) == 1
    assert capsys.readouterr().err.startswith(f"{command}: No container name specified")


def test_a_state_that_is_there_is_not_waited_for(box: Container) -> None:
    assert main("lxc-wait", ["-n", "box", "-s", "RUNNING"]) == 0
    assert main("lxc-wait", ["-n", "box", "--state=STOPPED|RUNNING", "-t", "0"]) == 0
    assert main("lxc-wait", ["-n", "box", "-s", "STOPPED", "-t", "0"]) == 1
    box.freeze()
    assert main("lxc-wait", ["-n", "box", "-s", "FROZEN", "-t", "0"]) == 0
    box.unfreeze()


def test_a_container_that_there_is_not_is_stopped(home: Path) -> None:
    assert main("lxc-wait", ["-n", "nope", "-s", "STOPPED"]) == 0
    assert main("lxc-wait", ["-n", "nope", "-s", "RUNNING", "-t", "0"]) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "missing state option to wait for"),
        (["-s", "RUNNING|FOO"], "invalid state 'FOO'"),
        (["-s", "running"], "invalid state 'running'"),
        (["-s", "RUNNING", "-t", "soon"], "invalid value 'soon'"),
    ],
)
def test_a_state_that_there_is_not_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-wait", ["-n", "box", *words]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.needs_cgroup("freezer")
@pytest.mark.parametrize(("states", "act"), [("STOPPED", "kill"), ("FREEZING", "freeze"), ("ABORTING|FROZEN", "freeze")])
def test_a_shell_goes_on_as_soon_as_the_state_is_reached(home: Path, box: Container, states: str, act: str) -> None:
    waiting = Shell(str(home)).begin("lxc-wait", "-n", "box", "-s", states)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    getattr(box, act)()
    _, told = waiting.communicate(timeout=60)
    assert (waiting.returncode, told) == (0, b"")


@pytest.mark.needs_cgroup("freezer")
def test_the_monitor_tells_every_change_in_lxcs_words_until_it_is_interrupted(home: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with told.open("ab") as out:
        monitor = Shell(str(home)).begin("lxc-monitor", "-n", "b.x|other", stdout=out)

    def lines(count: int) -> list[str]:
        return until(lambda: len(text := told.read_text().splitlines()) >= count and text, f"{count} lines of the monitor")

    def is_there(name: str) -> bool:
        """A container comes and goes until the monitor, which takes a moment to begin, has told of it."""
        sandbox.run("busybox", "exit 7", name=name)
        return name in told.read_text()

    until(lambda: is_there("other"), "the monitor hears")
    sandbox.run("busybox", "true", name="unheard-of")
    told.write_text("")
    box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    lines(2)
    box.freeze()
    lines(4)
    box.unfreeze()
    lines(6)
    box.kill()
    states = ("STARTING", "RUNNING", "FREEZING", "FROZEN", "THAWED", "RUNNING", "STOPPING", "STOPPED")
    expected = [f"'box' changed state to [{each}]" for each in states]
    expected.insert(6, "'box' exited with status [137]")
    assert lines(9) == expected
    monitor.send_signal(signal.SIGINT)
    _, error = monitor.communicate(timeout=60)
    assert (monitor.returncode, error) == (130, b"")


def test_the_monitor_takes_several_paths(home: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with told.open("ab") as out:
        folder = str(tmp_path / "elsewhere")
        monitor = Shell(str(home)).begin("lxc-monitor", "-P", folder, "-P", str(home / "containers"), stdout=out)

    def is_there() -> bool:
        assert monitor.poll() is None, monitor.communicate()
        sandbox.run("busybox", "true", name="here")
        return "here" in told.read_text()

    until(is_there, "the monitor hears")
    monitor.terminate()
    monitor.communicate(timeout=60)


def test_a_name_that_is_no_expression_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-monitor", ["-n", "("]) == 1
    assert "Failed to compile the regex '('" in capsys.readouterr().err
    assert main("lxc-monitor", ["-Q"]) == 0
