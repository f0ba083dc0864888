"""The terminal of %lxc_console in JupyterLab, in a real browser."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_ext.views import BUNDLE
from tests.kernel_ext.lab import Lab, lab
from tests.shell import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.needs_userns,
    pytest.mark.skipif(not BUNDLE.exists(), reason="needs the browser's part of the terminal: make terminal"),
]

CELLS = (
    "%load_ext kernel_ext\nimport sandbox, time\nbox, _ = sandbox.launch('busybox', ['sh'], tty=True, name='box')",
    "%lxc_console -n box -t 0",
    "%lxc_console -n box -t 0 --dialogue",
    "time.sleep(3)",
    "box.kill()",
)
SETUP, TERMINAL, DIALOGUE, BUSY, KILL = range(5)


@pytest.fixture
def book(home: Path, tmp_path: Path) -> Iterator[Lab]:
    """A notebook in which a container with a shell runs."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    with lab(tmp_path, CELLS, {"SANDBOX_HOME": str(home)}) as opened:
        opened.run(SETUP)
        try:
            yield opened
        finally:
            opened.run(KILL)


def screen(book: Lab) -> str:
    """What the terminal shows; lines as they are on the screen."""
    text: str = book.page.locator(".sandbox-terminal .xterm-rows").inner_text()
    return text.replace("\xa0", " ")


def shows(book: Lab, pattern: str) -> str:
    """The text that matches, once it does."""
    return str(until(lambda: re.search(pattern, screen(book)), f"{pattern!r} should be shown")[0])


def at_the_prompt(book: Lab) -> Any:
    """The keyboard, with the terminal open and a shell's prompt in it."""
    book.run(TERMINAL)
    shows(book, r"/ # *$")
    book.page.locator(".sandbox-terminal .xterm-screen").click()
    return book.page.keyboard


def test_keys_reach_the_shell_and_not_jupyterlab(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    before = book.cells
    keyboard.type("echo dd-aa-bb-xx-$((6 * 7))\n")
    shows(book, "\ndd-aa-bb-xx-42\n")
    for key in ("Escape", "d", "d", "x", "Backspace", "ArrowUp", "Shift+Enter", "Control+a", "Control+u"):
        keyboard.press(key)
    keyboard.type("echo still $((1 + 1)); sleep 100\n")
    shows(book, "\nstill 2\n")
    assert book.cells == before
    book.page.wait_for_timeout(200)  # until sleep is what runs
    keyboard.press("Control+c")
    keyboard.type("echo interrupted $((1 + 2))\n")
    shows(book, "\ninterrupted 3\n")


def test_it_has_colours_and_the_size_of_its_window(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    keyboard.type("ls --color=always /; stty size\n")
    rows, columns = map(int, shows(book, r"\n\d+ \d+\n").split())
    assert 20 <= rows <= 30
    assert columns > 60
    assert book.page.locator(".sandbox-terminal .xterm-rows [class*=xterm-fg-]").count() > 0
    book.page.set_viewport_size({"width": 800, "height": 900})
    keyboard.type("clear\n")

    def narrower() -> bool:
        keyboard.type("clear; stty size\n")
        found = re.search(r"(?m)^\d+ (\d+)\s*$", screen(book))
        return bool(found) and int(found[1]) < columns

    until(narrower, "the shell should hear of the new size")


def test_a_page_that_is_opened_again_shows_what_was_shown_and_types_nothing_by_itself(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    keyboard.type("printf 'where am I\\033[6n? '; MARK=$((40 + 2))\n")  # a question that a terminal answers
    shows(book, "where am I")
    book.save()
    book.open()
    book.page.wait_for_selector(".sandbox-terminal .xterm-rows")
    shows(book, "where am I")
    book.page.wait_for_timeout(1500)  # until JupyterLab has taken the focus for the notebook, as it does when it has loaded
    book.page.locator(".sandbox-terminal .xterm-screen").click()
    book.page.keyboard.press("Control+u")
    book.page.keyboard.type("echo $MARK\n")
    shows(book, "\n42\n")
    assert len(re.findall(r"\[\d+;\d+R", screen(book))) <= 1  # the answer of the first page


def test_the_screen_is_in_the_notebook_and_hidden_while_the_terminal_lives(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    keyboard.type("echo '<i>kept</i>' $((6 * 7))\n")
    shows(book, "</i> 42\n")

    def still() -> str:
        outputs = book.save()[TERMINAL]["outputs"]
        assert [sorted(output["data"])[-1] for output in outputs] == ["text/plain", "text/plain"]
        assert "application/vnd.jupyter.widget-view+json" in outputs[1]["data"]
        text = "".join(outputs[0]["data"]["text/html"])
        return text if "kept&lt;/i&gt; 42" in text else ""

    text = until(still, "the still should be what the screen shows")
    assert "sandbox lxc-console -n box -t 0" in html.unescape(text)
    still_there = book.output(TERMINAL).locator(".sandbox-terminal-still")
    assert still_there.count() == 1
    assert not still_there.is_visible()
    data = json.dumps(book.save()[TERMINAL])
    assert "xterm" not in data  # nothing of the widget's own is in the file


def test_it_answers_while_a_cell_runs_and_is_left_and_attached_again(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    book.begin(BUSY)
    book.page.locator(".sandbox-terminal .xterm-screen").click()
    keyboard.type("echo in $((3 + 4))\n")
    shows(book, "\nin 7\n")
    keyboard.press("Control+a")
    keyboard.press("q")
    bar = book.output(TERMINAL).locator(".sandbox-terminal-bar")
    until(lambda: "left" in bar.inner_text(), "it should be left")
    keyboard.type("echo nobody hears\n")
    bar.locator("button").click()
    until(lambda: bar.locator("button").inner_text() == "leave", "it should be attached")
    book.page.locator(".sandbox-terminal .xterm-screen").click()
    keyboard.type("echo back $((4 + 4))\n")
    shows(book, "\nback 8\n")
    assert "nobody hears" not in screen(book)


def test_a_flood_does_not_stop_it_and_control_c_does(book: Lab) -> None:
    keyboard = at_the_prompt(book)
    keyboard.type("yes flood\n")
    shows(book, "(?s)(flood\n){10}")
    book.page.wait_for_timeout(2000)
    keyboard.press("Control+c")
    keyboard.type("echo over $((5 + 4))\n")
    shows(book, "\nover 9\n")
    assert not book.output(TERMINAL).get_by_text("rate exceeded").count()


def test_the_end_of_the_container_is_told(book: Lab) -> None:
    at_the_prompt(book)
    book.run(KILL)
    bar = book.output(TERMINAL).locator(".sandbox-terminal-bar")
    until(lambda: "exit code 137" in bar.inner_text(), "the end should be told")
    bar.locator("button").click()
    until(lambda: "box" in bar.locator(".sandbox-terminal-state").inner_text(), "it should say that there is no container")


def test_in_a_dialogue_the_password_box_is_there_while_nothing_is_echoed(book: Lab) -> None:
    book.run(DIALOGUE)
    area = book.output(DIALOGUE)
    line, password = area.locator("input[type=text]"), area.locator("input[type=password]")
    until(line.is_visible, "there should be a box for a line")
    assert not password.is_visible()
    line.fill("stty -echo; read secret; stty echo; echo it was $secret")
    line.press("Enter")
    until(password.is_visible, "the password should not be shown")
    assert not line.is_visible()
    until(lambda: password.evaluate("box => box === document.activeElement"), "the password's box should have the keyboard")
    book.page.keyboard.type("sesame\n")
    until(line.is_visible, "lines should be shown again")
    until(lambda: "it was sesame" in area.inner_text(), "the answer should come")
    assert area.inner_text().count("sesame") == 1
    assert "sandbox lxc-console -n box -t 0\n" in area.inner_text()
    line.fill("~q")
    line.press("Enter")
    until(lambda: "it goes on" in area.inner_text(), "it should be left")
    assert not line.is_visible()
