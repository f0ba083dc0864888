"""The plots in JupyterLab, in a real browser: what is seen there is so in the kernel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.launcher.ledger import directories
from sandbox.primitives import cgroups
from tests.kernel_ext.lab import Lab, lab
from tests.shell import until

pytestmark = [
    pytest.mark.browser, pytest.mark.slow, pytest.mark.needs_userns,
    pytest.mark.needs_cgroup("memory"), pytest.mark.needs_cgroup("cpu"),
]  # fmt: skip

CELLS = (
    "%load_ext kernel_ext\nimport sandbox, time\n"
    "box, _ = sandbox.launch('busybox', ['sleep', '600'], name='box', memory='64m', pids=30, cpus=1)",
    "%cgroups box",
    "%lxc_top -d 0.2",
    "time.sleep(2)",
    "box.kill()\nassert sandbox.ledger() == []",
)
SETUP, PLOTS, TOP, BUSY, KILL = range(5)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A notebook in which a container runs and its plots are shown; the errors of its page must be none."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("plots")
    with pytest.MonkeyPatch.context() as patch, lab(folder, CELLS, {"SANDBOX_HOME": str(folder / "home")}) as opened:
        patch.setenv("SANDBOX_HOME", str(folder / "home"))
        wrong: list[str] = []
        opened.page.on("pageerror", lambda error: wrong.append(str(error)))
        opened.page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        opened.run(SETUP)
        opened.run(PLOTS)
        yield opened
        opened.run(KILL)
        assert "Error" not in opened.output(KILL).inner_text()
        assert wrong == []


@pytest.fixture
def plots(book: Lab) -> Any:
    found = book.output(PLOTS).locator(".sandbox-cgroups")
    found.locator(".sandbox-open canvas").wait_for(timeout=30_000)
    return found


def usage() -> cgroups.Usage:
    entry = sandbox.Container("box", open_home()).entry
    assert entry
    return cgroups.usage(directories(entry))


def said(plots: Any) -> str:
    """What the plots say of themselves: the description of the canvas."""
    return str(plots.locator("canvas").get_attribute("aria-label"))


def drawn(plots: Any) -> str:
    return str(plots.locator("canvas").evaluate("(canvas) => canvas.toDataURL()"))


def test_the_plot_appears_and_moves(plots: Any) -> None:
    until(lambda: "CPU 0 of 1 CPUs" in said(plots), "it should say what the container uses")
    assert "of 64.0 MiB" in said(plots)
    before = drawn(plots)
    until(lambda: drawn(plots) != before, "it should move")


def test_a_slider_and_its_number_turn_the_limit_in_the_kernel(plots: Any) -> None:
    field = plots.locator("[data-limit=memory] input[type=number]")
    field.fill("48")
    field.press("Enter")
    until(lambda: usage().memory_limit == 48 << 20, "the number should be the kernel's limit")
    slider = plots.locator("[data-limit=cpus] input[type=range]")
    slider.focus()
    slider.press("Home")
    until(lambda: usage().cpu_limit == 0.05, "the slider should turn the kernel's limit")
    until(lambda: "cpu limit 1 CPUs → 0.05 CPUs" in plots.locator(".sandbox-events").inner_text(), "it should be told")
    field.fill("1")
    field.press("Enter")
    until(lambda: "6m" in plots.locator(".sandbox-notice").inner_text(), "too little should be refused in the picture")
    assert usage().memory_limit == 48 << 20
    field.fill("-5")
    field.press("Enter")
    until(lambda: "'-5m'" in plots.locator(".sandbox-notice").inner_text(), "the notice should say what was typed")
    field.fill("64")
    field.press("Enter")
    until(lambda: usage().memory_limit == 64 << 20, "the number should be the kernel's limit")


def test_each_press_of_an_arrow_key_turns_a_limit_a_little(plots: Any) -> None:
    for limit, begin, column in (("memory", 48, "memory_limit"), ("pids", 20, "pids_limit"), ("cpus", 0.5, "cpu_limit")):

        def now(column: str = column) -> float:
            return float(getattr(usage(), column))

        field, slider = (plots.locator(f"[data-limit={limit}] input[type={kind}]") for kind in ("number", "range"))
        before = now()
        field.fill(str(begin))
        field.press("Enter")
        until(lambda before=before, now=now: now() != before, "the number should be the kernel's limit")
        before = now()
        slider.press("ArrowRight")
        until(lambda before=before, now=now: now() > before, "it should be more")
        before = now()
        slider.press("ArrowLeft")
        until(lambda before=before, now=now: now() < before, "it should be less")


def test_a_load_button_makes_the_cpu_busy_and_its_stop_ends_that(plots: Any) -> None:
    field = plots.locator("[data-limit=cpus] input[type=number]")
    field.fill("0.1")  # as much as it gets on the busiest machine
    field.press("Enter")
    until(lambda: usage().cpu_limit == 0.1, "the limit should be turned")
    before = usage().cpu_seconds or 0
    plots.locator("[data-load=cpu]").click()
    until(lambda: (usage().cpu_seconds or 0) > before + 0.1, "the CPU should be busy")
    until(lambda: "throttled" in said(plots), "it should be shown as throttled")
    plots.get_by_role("button", name="stop load").click()
    until(lambda: "CPU 0 " in said(plots) and usage().pids == 1, "the load should be gone")


def test_pause_stops_it_and_freeze_freezes(plots: Any) -> None:
    plots.get_by_role("button", name="freeze").click()
    until(lambda: usage().frozen, "it should be frozen")
    plots.get_by_role("button", name="unfreeze").click()
    until(lambda: not usage().frozen, "it should be thawed")
    plots.get_by_role("button", name="Pause").click()
    plots.get_by_role("button", name="Go on").wait_for()
    plots.page.wait_for_timeout(300)
    before = drawn(plots)
    plots.page.wait_for_timeout(500)
    assert drawn(plots) == before
    plots.get_by_role("button", name="Go on").click()
    until(lambda: drawn(plots) != before, "it should go on")


def test_it_moves_while_a_cell_runs(book: Lab, plots: Any) -> None:
    book.begin(BUSY)
    before = drawn(plots)
    until(lambda: drawn(plots) != before, "it should move")


def test_csv_and_png_are_saved(plots: Any, tmp_path: Path) -> None:
    for name, begins in (("CSV", b"time,container,cpu"), ("PNG", b"\x89PNG")):
        with plots.page.expect_download() as saved:
            plots.get_by_role("button", name=name).click()
        saved.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_lxc_top_is_a_table_that_lives(book: Lab) -> None:
    book.run(TOP)
    table = book.output(TOP).locator(".sandbox-top")
    table.wait_for(timeout=30_000)
    assert "box" in table.inner_text()
    table.locator("[data-order=c]").click()
    until(lambda: table.locator("[data-order=c]").get_attribute("aria-pressed") == "true", "it should be sorted by CPU")
    table.get_by_role("button", name="Pause").click()


def test_the_still_is_in_the_notebook_and_hidden_while_the_plots_live(book: Lab, plots: Any) -> None:
    still = book.output(PLOTS).locator("figure.sandbox-still")
    assert still.count() == 1
    assert not still.is_visible()
    assert any("data:image/png" in str(output["data"].get("text/html", "")) for output in book.save()[PLOTS]["outputs"])
