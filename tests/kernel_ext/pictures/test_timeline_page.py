"""The timeline in JupyterLab, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel_ext.lab import Lab, lab
from tests.shell import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs_userns]

CELLS = (
    "%load_ext kernel_ext\nimport sandbox",
    "one = sandbox.run('busybox', 'true', calls=True)\ntwo = sandbox.run('busybox', 'true', share=('uts',))",
    "%timeline one two",
)
SETUP, RUN, SHOW = range(3)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A notebook with two runs in a timeline; its page complains of nothing."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("timeline")
    with lab(folder, CELLS, {"SANDBOX_HOME": str(folder / "home")}) as opened:
        for cell in (SETUP, RUN, SHOW):
            opened.run(cell)
        yield opened
        assert opened.wrong == []


@pytest.fixture
def picture(book: Lab) -> Any:
    """The timeline, all of it in view."""
    found = book.output(SHOW).locator(".sandbox-timeline")
    found.locator("[data-item]").first.wait_for(timeout=20_000)
    found.get_by_role("button", name="see all (0)").click()
    return found


def step(picture: Any, name: str) -> Any:
    """A step of the first run."""
    return picture.locator("svg").first.get_by_role("img", name=f": {name}, at ")


def width(shape: Any) -> float:
    return float(shape.locator("rect").first.get_attribute("width"))


def test_two_runs_have_the_same_scale(picture: Any) -> None:
    charts = picture.locator("svg[role=group]")
    assert charts.count() == 2
    assert [step(picture, name).count() for name in ("SetHostname", "Exec")] == [1, 1]
    assert charts.nth(1).get_by_role("img", name=": SetHostname, at ").count() == 0
    ticks = [charts.nth(i).locator("text.faint").all_text_contents() for i in (0, 1)]
    assert [text for text in ticks[0] if text.endswith("s")] == [text for text in ticks[1] if text.endswith("s")]
    row = picture.locator(".sandbox-timeline-difference tr", has_text="SetHostname")
    assert "not made" in row.inner_text()


def test_pointing_at_a_step_tells_its_calls_and_what_it_is_for(picture: Any) -> None:
    details = picture.locator(".sandbox-timeline-details")
    step(picture, "MountOverlay").locator("rect").first.hover(force=True)
    until(lambda: "MountOverlay" in details.inner_text(), "it should be told")
    assert "mount('overlay'" in details.inner_text()
    assert "in the other run" in details.inner_text()
    assert "what for" in details.inner_text()


def test_the_keys_go_from_step_to_step_zoom_and_see_all(picture: Any, book: Lab) -> None:
    details, keyboard, cells = picture.locator(".sandbox-timeline-details strong"), book.page.keyboard, book.cells
    step(picture, "MakeDev").focus()
    assert details.inner_text() == "MakeDev"
    keyboard.press("ArrowRight")
    assert details.inner_text() == "MountFilesystem /dev/pts"
    keyboard.press("Home")
    assert details.inner_text() in ("waits", "MakePrivate")
    keyboard.press("ArrowUp")
    assert picture.locator("[data-item]:focus").get_attribute("aria-label").startswith("outside")
    keyboard.press("End")
    before = width(step(picture, "Exec"))
    step(picture, "Exec").focus()
    for _ in range(3):
        keyboard.press("+")
    assert width(step(picture, "Exec")) > 3 * before
    assert details.inner_text() == "Exec"  # it has kept the keyboard
    keyboard.press("0")
    assert abs(width(step(picture, "Exec")) - before) < 1
    keyboard.press("d")
    keyboard.press("d")
    assert book.cells == cells


def test_only_with_a_key_held_the_wheel_zooms(picture: Any, book: Lab) -> None:
    bar = step(picture, "Exec")
    before = width(bar)
    bar.locator("rect").first.hover(force=True)
    book.page.mouse.wheel(0, -100)
    assert width(step(picture, "Exec")) == before
    step(picture, "Exec").locator("rect").first.hover(force=True)
    book.page.keyboard.down("Shift")
    book.page.mouse.wheel(0, -100)
    book.page.keyboard.up("Shift")
    until(lambda: width(step(picture, "Exec")) > before, "it should be larger")
