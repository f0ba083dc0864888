"""What the picture of the step debugger does while a program writes, and while a step does not come back."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")

from kernel_ext.pictures.stepper import OUTPUT, StepperView
from kernel_ext.pictures.ticker import ticker
from tests.shell import until

pytestmark = pytest.mark.needs_userns


class Watched(StepperView):
    """One that notes what goes to the page."""

    def __init__(self, stepper: sandbox.Stepper) -> None:
        self.told: list[dict[str, Any]] = []
        self.steps_told = 0
        super().__init__(stepper)
        self.observe(self._count, "data")

    def _count(self, change: object) -> None:
        self.steps_told += 1

    def send(self, content: Any, buffers: Any = None) -> None:
        self.told.append(content)

    def frames(self) -> list[dict[str, Any]]:
        return [message for message in self.told if message["do"] == "frame"]


@pytest.fixture
def stepper(home: Path) -> Iterator[sandbox.Stepper]:
    with sandbox.Stepper("busybox", "echo first; read line; i=0; while :; do i=$((i+1)); echo line $i; done") as made:
        yield made


def is_waited_for(stepper: sandbox.Stepper) -> bool:
    if free := stepper._lock.acquire(blocking=False):
        stepper._lock.release()
    return not free


def test_output_of_a_program_that_a_cell_waits_for_is_shown_too(home: Path) -> None:
    with sandbox.Stepper("busybox", "echo from a cell") as stepper:
        view = StepperView(stepper)
        stepper.run()
        assert "from a cell" in str(view)
        until(lambda: view.data["end"] != "", "the picture should show the end")
        assert view.data["output"] == "from a cell\n"
        assert StepperView(stepper).data["output"] == "from a cell\n"


def test_a_program_that_never_stops_writing_is_told_in_a_few_frames_without_the_steps(stepper: sandbox.Stepper) -> None:
    view = Watched(stepper)
    stepper.next(len(stepper.stages))
    until(lambda: len(view.frames()) >= 3, "what it writes should be sent")
    before, read = view.steps_told, view._read
    until(lambda: view._read > read + 5 * OUTPUT, "it should write on")
    assert view.steps_told == before
    assert len(view.frames()) <= 4  # nobody answers: three on their way, and one to see whether somebody is back
    assert set(view.frames()[0]) == {"do", "number", "output", "from", "to"}
    view._heard(view, {"do": "seen"}, [])
    seen = len(view.frames())
    until(lambda: len(view.frames()) > seen, "who answers is told more")
    assert len(view.frames()[-1]["output"]) <= OUTPUT
    stepper.kill()


def test_a_step_that_does_not_come_back_stops_no_other_picture_and_reset_ends_it(stepper: sandbox.Stepper) -> None:
    view = Watched(stepper)
    stepper.to("PivotRoot")
    pid = stepper.pid
    os.kill(pid, signal.SIGSTOP)
    for number, order in enumerate(("next", "next")):
        view._heard(view, {"do": order, "number": number}, [])
    others = threading.Event()
    until(lambda: is_waited_for(stepper), "somebody should wait for the step")
    ticker.post(others.set)
    assert others.wait(20)
    assert {"do": "taken", "number": 0} in view.told
    assert not any(message["do"] == "done" for message in view.told)
    view._heard(view, {"do": "reset", "number": 2}, [])
    until(lambda: sum(message["do"] == "done" for message in view.told) == 3, "all that was asked for should be answered")
    assert view.notice == ""
    until(lambda: view.data["next"] == 1 and view.data["held"] == [], "all should be undone")
    assert not os.path.exists(f"/proc/{pid}")
    assert sandbox.ledger() == []
