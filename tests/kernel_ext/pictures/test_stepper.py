"""The picture of the step debugger, without a browser: what the page is told, what it asks for, the still and the text."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")

from kernel_ext.pictures.stepper import StepperView
from tests.shell import until

pytestmark = pytest.mark.needs_userns


@pytest.fixture
def view(home: Path) -> Iterator[StepperView]:
    with sandbox.Stepper("busybox", "hostname; echo '<b>not HTML</b>'", hostname="box") as stepper:
        yield StepperView(stepper)


def ask(view: StepperView, **message: object) -> None:
    """As a page does it, without waiting."""
    view._heard(view, message, [])


def stage(view: StepperView, name: str) -> dict[str, object]:
    return next(each for each in view.data["stages"] if each["name"] == name)


def test_what_the_page_is_told_is_the_plan_as_json(view: StepperView) -> None:
    assert [each["text"] for each in view.data["stages"]] == [str(each.step) for each in view.stepper.stages]
    assert json.loads(json.dumps(view.data)) == view.data
    assert view.data["next"] == 1
    assert stage(view, "SetHostname")["about"] == "box"


def test_a_step_that_the_page_asks_for_is_made_and_shown(view: StepperView) -> None:
    ask(view, do="next")
    until(lambda: view.data["stages"][0]["state"] == "done", "the first step should be shown as made")
    assert view.data["next"] == 2
    assert view.data["held"]


def test_what_a_cell_does_with_the_stepper_is_shown_too(view: StepperView) -> None:
    view.stepper.to("SetHostname")
    view.stepper.next()
    until(lambda: stage(view, "SetHostname")["state"] == "done", "the step should be shown as made")
    assert ["hostname", "box"] in [[change[0], change[2]] for change in stage(view, "SetHostname")["changed"]]  # type: ignore[attr-defined]
    assert stage(view, "SetHostname")["calls"] == ["sethostname('box') = 0"]


def test_run_makes_all_and_shows_output_and_end_as_text(view: StepperView) -> None:
    ask(view, do="run")
    until(lambda: view.data["end"], "the program should end")
    assert view.data["output"] == "box\n<b>not HTML</b>\n"
    assert view.data["end"] == "exit code 0"
    assert "exit code 0" in str(view)
    ask(view, do="reset")
    until(lambda: not view.data["held"] and view.data["next"] == 1, "all should be undone")
    assert view.data["output"] == ""


def test_to_skip_and_move_do_what_they_say(view: StepperView) -> None:
    number = {each.name: each.number for each in view.stepper.stages}
    ask(view, do="skip", stage=number["Mask"])
    ask(view, do="move", stage=number["SetHostname"], before=number["PivotRoot"])
    ask(view, do="to", stage=number["SetHostname"])
    until(lambda: view.data["next"] == number["SetHostname"], "all before it should be made")
    assert stage(view, "Mask")["state"] == "skipped"
    assert stage(view, "MountOverlay")["state"] == "done"
    assert stage(view, "PivotRoot")["state"] == "pending"


def test_a_refusal_is_shown_in_its_step_and_what_we_refuse_as_a_notice(view: StepperView) -> None:
    number = {each.name: each.number for each in view.stepper.stages}
    ask(view, do="move", stage=number["PivotRoot"], before=number["MountOverlay"])
    ask(view, do="run")
    until(lambda: stage(view, "PivotRoot")["error"], "the refusal should be shown")
    assert "there is no new root yet" in str(stage(view, "PivotRoot")["error"])
    assert "1 refused; next is PivotRoot" in view.summary()
    ask(view, do="skip", stage=number["Exec"])
    until(lambda: "nothing left to run" in view.notice, "the notice should say why")
    ask(view, do="next")
    until(lambda: view.notice == "", "and go with the next thing that is done")


@pytest.mark.parametrize(
    "message", [{}, {"do": "fly"}, {"do": "skip", "stage": "x"}, {"do": "to"}, {"do": "move", "stage": 1}]
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(view: StepperView, message: dict[str, object]) -> None:
    ask(view, **message)
    until(lambda: "does not know" in view.notice, "it should be refused")
    assert view.data["next"] == 1


def test_the_still_and_the_text_say_the_same(view: StepperView) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[lab]'")
    view.stepper.to("SetHostname")
    still = view._still()
    assert 'alt="The start of' in still["text/html"]
    assert "next is SetHostname" in still["text/html"]
    assert "data:image/png;base64," in still["text/html"]
    assert still["text/plain"] == str(view)
    labels = [text.get_text() for text in view.figure().axes[0].texts]
    assert sum("✓" in label for label in labels) == sum(each.state == "done" for each in view.stepper.stages)
    assert all(any(each.name in label for label in labels) for each in view.stepper.stages)
