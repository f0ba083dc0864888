"""Steps whose time it is not, steps that do not come back, and what may be done to a container that is half made."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import sandbox
from sandbox import SandboxError, Stepper
from sandbox.errors import LauncherLost, WrongState
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.stages import PENDING
from tests.shell import until

pytestmark = pytest.mark.needs_userns


def test_an_inside_step_before_there_is_a_child_is_refused_and_may_be_made_later(home: Path) -> None:
    with Stepper("busybox", "hostname", hostname="box") as stepper:
        stepper.move("SetHostname", "Clone")
        refused = stepper.next(30)
        assert refused.name == "SetHostname"
        assert "nobody is there yet" in str(refused.error)
        assert stepper.upcoming is refused
        assert "nobody is there yet" in str(stepper.next().error)
        stepper.move("SetHostname", "PivotRoot")
        assert stepper.run().text == "box\n"
        assert stepper.stage("SetHostname").error is None


def test_a_step_that_does_not_come_back_is_given_up_by_a_reset_from_elsewhere(home: Path) -> None:
    with Stepper("busybox", "echo again") as stepper:
        stepper.to("PivotRoot")
        pid, told = stepper.pid, list[Exception]()
        os.kill(pid, signal.SIGSTOP)

        def step() -> None:
            try:
                stepper.next()
            except SandboxError as error:
                told.append(error)

        waiting = threading.Thread(target=step, daemon=True)
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
        resetting = threading.Thread(target=stepper.reset, daemon=True)
        resetting.start()
        until(lambda: not resetting.is_alive() and not waiting.is_alive(), "both should come back")
        assert "reset" in str(told[0])
        assert sandbox.ledger() == []
        assert not os.path.exists(f"/proc/{pid}")
        assert stepper.run().text == "again\n"


def test_who_steps_on_after_a_reset_from_elsewhere_is_told(home: Path) -> None:
    with Stepper("busybox", "true") as stepper:
        stepper.followers.append(lambda: stepper.upcoming and stepper.upcoming.number == 4 and stepper.reset())
        with pytest.raises(WrongState, match="reset meanwhile"):
            stepper.to("PivotRoot")
        stepper.followers.clear()
        assert {stage.state for stage in stepper.stages} == {PENDING}
        assert sandbox.ledger() == []


def test_the_reset_of_one_that_was_refused_its_name_does_not_end_the_other(home: Path) -> None:
    with Stepper("busybox", "echo mine", name="same") as first, Stepper("busybox", "true", name="same") as second:
        first.to("PivotRoot")
        with pytest.raises(SandboxError, match="same"):
            second.next()
        second.reset()
        assert first.run().text == "mine\n"


@pytest.mark.needs_cgroup("memory")
@pytest.mark.needs_cgroup("freezer")
def test_a_container_that_is_half_made_is_neither_frozen_nor_updated(home: Path) -> None:
    with Stepper("busybox", "sleep 60", name="half", memory="64m") as stepper:
        stepper.to("PivotRoot")
        box = sandbox.Container("half")
        for change in (box.freeze, lambda: box.update(memory="32m")):
            with pytest.raises(WrongState, match="not whole yet"):
                change()
        assert stepper.to("Exec").error is None
        assert stepper.next().error is None
        box.update(memory="32m")
        box.freeze()
        box.unfreeze()


def test_the_last_step_shows_the_call_that_becomes_the_program(home: Path) -> None:
    with Stepper("busybox", ["echo", "hi"]) as stepper:
        stepper.run()
        assert "execve('echo' in PATH, ['echo', 'hi'], …) = 0" in str(stepper.stage("Exec"))
        assert "execve" in str(stepper.run().trace)


@pytest.mark.parametrize("where", ["MakeCgroups", "MapIds", "PivotRoot"])
def test_a_launcher_that_is_killed_ends_it_and_reset_begins_again(home: Path, where: str) -> None:
    with Stepper("busybox", "echo new") as stepper:
        stepper.to(where)
        pid = stepper.pid
        os.kill(int(client.ask(open_home(), {"do": "hello"})[0]["pid"]), signal.SIGKILL)
        with pytest.raises(LauncherLost) as caught:
            stepper.next()
        assert caught.value.cure == "reset, to begin again"
        if pid:
            until(lambda: not os.path.exists(f"/proc/{pid}"), "the child should end")
        stepper.reset()
        assert stepper.run().text == "new\n"


def test_stepping_asks_for_a_run_that_was_begun_for_it(home: Path) -> None:
    box, _ = sandbox.launch("busybox", "sleep 60", name="whole")
    with pytest.raises(WrongState, match="was not started to be stepped"):
        client.ask(open_home(), {"do": "step", "name": "whole", "lane": "outside", "number": 0})
    box.kill()
