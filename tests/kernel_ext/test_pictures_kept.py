"""A picture lives in the browser, and survives there: saved, opened again without its kernel, exported, in the dark."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel_ext.lab import Lab, lab
from tests.shell import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs_userns]

#: A picture that moves ten times a second and counts how often a button was pressed.
MOVING = """
from IPython.display import display
from matplotlib.figure import Figure
from kernel_ext.pictures.picture import JS, Picture
from kernel_ext.pictures.ticker import ticker

class Moving(Picture):
    _css = (JS / "shared.css").read_text()
    _esm = (JS / "shared.js").read_text() + '''
      function render({ model, el }) {
        const { bar, body, act, frames, ends } = begin(model, el, "moving");
        const count = h("output");
        body.append(count);
        bar.append(h("button", { onclick: () => act({ do: "press" }) }, "press"));
        frames((frame) => (count.textContent = frame.count));
        return ending(ends);
      }
      export default { render };'''
    count = pressed = 0

    def text(self):
        return "it moves"

    def summary(self):
        return "A number that grows."

    def figure(self):
        return Figure((2, 1))

    def heard(self, message):
        self.pressed += 1

    def tick(self):
        self.count += 1
        self.frame({"count": self.count})
        return self.count < 1000

moving = Moving(title="moving")
display(moving)
ticker.every(0.1, moving.tick)
"""
CELLS = (
    "%load_ext kernel_ext\nimport sandbox, time",
    "%%container --out run\ntrue",
    "%timeline run run",
    MOVING,
    "time.sleep(4)",
    "print('pressed', moving.pressed)",
)
SETUP, RUN, PICTURE, MOVES, BUSY, PRESSED = range(6)
QUEUED = "queued: applies when the running cell ends"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A notebook with a picture in it. Its page complains of nothing."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("kept")
    with lab(folder, CELLS, {"SANDBOX_HOME": str(folder / "home")}) as opened:
        for cell in (SETUP, RUN, PICTURE):
            opened.run(cell)
        opened.output(PICTURE).locator(".sandbox-timeline [data-item]").first.wait_for(timeout=20_000)
        yield opened


def seen(area: Any) -> str:
    """What is to be seen of a picture: "alive", "still", both, or nothing. A still counts if its PNG was drawn."""
    found = []
    if area.locator(".sandbox-picture").count() and area.locator(".sandbox-picture").is_visible():
        found.append("alive")
    image = area.locator("figure img")
    if image.count() and image.is_visible() and image.evaluate("image => image.complete && image.naturalWidth > 100"):
        found.append("still")
    return " and ".join(found)


def test_alive_the_still_is_in_the_file_and_out_of_sight(book: Lab) -> None:
    assert seen(book.output(PICTURE)) == "alive"
    outputs = until(lambda: book.save()[PICTURE]["outputs"], "it should be saved")
    assert ["text/html" in output["data"] for output in outputs] == [True, False]
    assert "application/vnd.jupyter.widget-view+json" in outputs[1]["data"]
    assert "data:image/png;base64," in "".join(outputs[0]["data"]["text/html"])
    assert "widgets" not in book.notebook()["metadata"]  # their state would be shown instead, and want a CDN


def test_in_the_dark_and_for_who_wants_no_motion_it_looks_otherwise(book: Lab) -> None:
    picture = book.output(PICTURE).locator(".sandbox-picture")
    light = picture.evaluate("it => getComputedStyle(it).backgroundColor")
    bar = picture.locator("[data-item] rect").first
    colour = bar.evaluate("it => getComputedStyle(it).fill")
    moves = "it => getComputedStyle(it).transitionProperty"
    assert picture.locator("button").first.evaluate(moves) == "all"
    book.page.emulate_media(reduced_motion="reduce")
    assert picture.locator("button").first.evaluate(moves) == "none"
    book.page.emulate_media(reduced_motion="no-preference")
    book.theme("JupyterLab Dark")
    until(lambda: picture.evaluate("it => getComputedStyle(it).backgroundColor") != light, "its paper should be dark")
    assert bar.evaluate("it => getComputedStyle(it).fill") != colour
    book.theme("JupyterLab Light")


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_opened_without_its_kernel_the_still_is_there(book: Lab, trusted: bool) -> None:
    book.save()
    page = book.copy("trusted" if trusted else "downloaded", trusted=trusted)
    area = page.locator(".jp-Notebook .jp-CodeCell").nth(PICTURE).locator(".jp-Cell-outputArea")
    area.evaluate("area => area.scrollIntoView()")  # what is far away is not drawn at all
    until(lambda: seen(area) == "still", "the still should be seen")
    until(lambda: "until the program ran" in area.inner_text(), "its description should be there")
    page.close()


def test_an_export_shows_the_still_without_a_network(book: Lab, tmp_path: Path) -> None:
    pytest.importorskip("nbconvert", reason="needs nbconvert: pip install '.[test]'")
    book.save()
    done = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), "--output", "x", str(book.path)]
    exported = subprocess.run(done, check=False, capture_output=True, text=True)
    assert exported.returncode == 0, exported.stderr
    page = book.browser.new_page()
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(f"file://{tmp_path}/x.html", wait_until="domcontentloaded")
    area = page.locator(".jp-CodeCell").nth(PICTURE)
    assert seen(area) == "still"
    assert area.locator("figure img").get_attribute("alt").startswith("Timeline of run and run: ")
    assert "model not found" not in area.inner_text()
    page.close()


def test_notebook_7_shows_it_too(book: Lab, tmp_path: Path) -> None:
    pytest.importorskip("notebook", reason="needs Notebook 7: pip install '.[browser]'")
    with lab(tmp_path, CELLS, {"SANDBOX_HOME": str(tmp_path / "home")}, app="notebook", beside=book) as opened:
        for cell in (SETUP, RUN, PICTURE):
            opened.run(cell)
        until(lambda: seen(opened.output(PICTURE)) == "alive", "it should live")


@pytest.fixture(params=["the newest", "7.3.0", "6.31.0"])
def kernel_of(request: pytest.FixtureRequest, book: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A notebook whose kernel is this ipykernel. Older ones are fetched once, into pytest's cache."""
    if request.param == "the newest":
        yield book
        return
    folder = request.config.cache.mkdir(f"ipykernel-{request.param}")
    if not (folder / "ipykernel").exists():
        fetch = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
        done = subprocess.run([*fetch, f"ipykernel=={request.param}"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip has no ipykernel {request.param}: {done.stderr.strip().splitlines()[-1:]}")
    with lab(tmp_path, CELLS, {"SANDBOX_HOME": str(tmp_path / "home")}, packages=str(folder), beside=book) as opened:
        opened.run(SETUP)
        yield opened


def test_while_a_cell_runs_it_moves_and_a_button_acts_or_says_that_it_waits(kernel_of: Lab) -> None:
    book = kernel_of
    book.run(MOVES)
    picture = book.output(MOVES).locator(".sandbox-moving")
    count = picture.locator("output")
    until(lambda: count.inner_text() != "", "it should move")
    book.begin(BUSY)
    book.page.wait_for_timeout(500)
    begun = int(count.inner_text())
    picture.get_by_role("button", name="press").click()
    book.page.wait_for_timeout(1500)
    assert int(count.inner_text()) >= begun + 8
    waits = picture.locator(".sandbox-waits").inner_text()
    assert waits in ("", QUEUED)
    book.run(PRESSED)  # which waits for the cell that runs
    assert waits or book.output(PRESSED).inner_text().strip() == "pressed 1"
    until(lambda: picture.locator(".sandbox-waits").inner_text() == "", "nothing should wait any more")
    book.run(PRESSED)
    assert book.output(PRESSED).inner_text().strip() == "pressed 1"
