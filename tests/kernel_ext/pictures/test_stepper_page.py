"""The step debugger in JupyterLab, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel_ext.lab import Lab, lab
from tests.shell import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs_userns]

CELLS = (
    "%load_ext kernel_ext\nimport sandbox, time",
    "%%container busybox --hostname box --step --out s\nhostname; sleep 0.5; echo second",
    "s.to('PivotRoot')",
    "s.reset()\nassert sandbox.ledger() == []",
    "import os, signal\ns.to('PivotRoot')\nos.kill(s.pid, signal.SIGSTOP)",
)
SETUP, STEP, TO, RESET, STOP = range(5)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A notebook with the step debugger; and the errors of its page must be none."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("stepper")
    with lab(folder, CELLS, {"SANDBOX_HOME": str(folder / "home")}) as opened:
        wrong: list[str] = []
        opened.page.on("pageerror", lambda error: wrong.append(str(error)))
        opened.page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        opened.run(SETUP)
        yield opened
        opened.run(RESET)
        assert "Error" not in opened.output(RESET).inner_text()
        assert wrong == []


@pytest.fixture
def picture(book: Lab) -> Any:
    """A step debugger that has not begun."""
    book.run(STEP)
    found = book.output(STEP).locator(".sandbox-stepper")
    found.wait_for(timeout=30_000)
    return found


def marked(picture: Any, state: str) -> int:
    return int(picture.locator(f".sandbox-step.sandbox-is-{state}").count())


def test_buttons_make_steps_and_each_shows_what_it_changed(picture: Any) -> None:
    for made in range(1, 5):
        picture.get_by_role("button", name="▸ next").click()
        until(lambda made=made: marked(picture, "done") == made, "one more step should be made")
    assert "user namespace" in picture.locator(".sandbox-changes").inner_text()
    assert "clone3" in picture.locator(".sandbox-calls").inner_text()
    assert "to undo" in picture.locator(".sandbox-ledger").inner_text()
    picture.get_by_role("button", name="reset").click()
    until(lambda: "nothing is left" in picture.locator(".sandbox-ledger").inner_text(), "the ledger should be empty")
    assert marked(picture, "done") == 0


def test_the_keyboard_reaches_everything_and_jupyterlab_hears_nothing_of_it(book: Lab, picture: Any) -> None:
    cells, keyboard = book.cells, book.page.keyboard
    picture.locator("[role=listbox]").focus()
    keyboard.press("n")
    until(lambda: marked(picture, "done") == 1, "n should make a step")
    for _ in range(6):
        keyboard.press("ArrowDown")
    chosen = picture.locator("[aria-selected=true] .sandbox-name")
    name = chosen.inner_text()
    keyboard.press("Alt+ArrowDown")
    until(lambda: marked(picture, "pending") + marked(picture, "done") == picture.locator(".sandbox-step").count(), "drawn")
    assert chosen.inner_text() == name
    keyboard.press("s")
    until(lambda: marked(picture, "skipped") == 1, "s should leave the step out")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    until(lambda: marked(picture, "done") > 3, "Enter should make all steps before it")
    keyboard.press("d")
    keyboard.press("d")
    keyboard.press("0")
    until(lambda: marked(picture, "done") == 0, "0 should undo all")
    assert book.cells == cells


def test_to_run_to_a_step_that_is_done_does_nothing(book: Lab, picture: Any) -> None:
    keyboard = book.page.keyboard
    picture.locator("[role=listbox]").focus()
    for made in range(1, 5):
        keyboard.press("n")
        until(lambda made=made: marked(picture, "done") == made, "n should make a step")
    rows = picture.locator(".sandbox-step").evaluate_all("steps => steps.map(step => step.offsetTop)")
    assert rows == sorted(set(rows))  # each has a row of its own
    mounts = picture.locator(".sandbox-step", has_text="MountFilesystem")
    book.page.set_viewport_size({"width": 800, "height": 800})  # narrow: names are cut, and each still shows where it mounts
    assert all("/" in title for title in mounts.evaluate_all("steps => steps.map(step => step.title)"))
    assert min(mounts.locator(".sandbox-about").evaluate_all("about => about.map(each => each.clientWidth)")) > 0
    book.page.set_viewport_size({"width": 1100, "height": 900})
    keyboard.press("ArrowUp")
    assert picture.get_by_role("button", name="run to here").is_disabled()
    keyboard.press("Enter")
    keyboard.press("n")
    until(lambda: marked(picture, "done") >= 5, "n should make one more step")
    assert marked(picture, "done") == 5


def test_output_comes_in_pieces_and_what_waits_is_said_as_it_is(book: Lab, picture: Any) -> None:
    picture.get_by_role("button", name="reset").click()
    book.run(STOP)
    picture.get_by_role("button", name="▸ next").click()
    until(lambda: picture.locator(".sandbox-waits").inner_text() == "waiting …", "no cell runs, and so none is spoken of")
    picture.get_by_role("button", name="reset").click()
    until(lambda: marked(picture, "done") == 0 and not picture.locator(".sandbox-waits").inner_text(), "a reset should help")
    picture.get_by_role("button", name="run all").click()
    until(lambda: "box\nsecond\n" in picture.locator(".sandbox-output").inner_text(), "all output should be shown")
    until(lambda: "exit code 0" in picture.locator(".sandbox-output").inner_text(), "the program should end")


def test_what_a_cell_does_is_shown_and_run_all_shows_the_output(book: Lab, picture: Any) -> None:
    book.run(TO)
    until(lambda: marked(picture, "done") > 20, "the steps of the cell should be shown")
    picture.get_by_role("button", name="run all").click()
    until(lambda: "exit code 0" in picture.locator(".sandbox-output").inner_text(), "the program should end")
    assert picture.locator(".sandbox-output").inner_text().startswith("box\n")


def test_the_still_is_in_the_notebook_and_hidden_while_the_picture_lives(book: Lab, picture: Any) -> None:
    still = book.output(STEP).locator("figure.sandbox-still")
    assert still.count() == 1
    assert not still.is_visible()
    outputs = book.save()[STEP]["outputs"]
    assert any("data:image/png" in str(output["data"].get("text/html", "")) for output in outputs)
