"""The maps in JupyterLab, in a real browser: walked by keyboard, live, with counters that move."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel_ext.lab import Lab, lab
from tests.own_network import in_own_network
from tests.primitives.network.steps import needs
from tests.shell import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs_userns]

CELLS = (
    "%load_ext kernel_ext\nimport sandbox, threading\n"
    "begin = lambda name, network='none': sandbox.launch('busybox', 'exec sleep 1000', name=name, network=network)[0]",
    "boxes = [begin('web', NETWORK), begin('side', 'container:web')]",
    "%namespaces",
    "boxes.append(begin('comes', NETWORK))",
    "%networks",
    "for box in boxes:\n    box.kill()\nassert sandbox.ledger() == []",
    "to = boxes[2].info().ips[0]\nthreading.Thread(target=lambda: boxes[0].exec(f'ping -c 30 -i 0.3 -s 1000 {to}')).start()",
)
SETUP, BEGIN, NAMESPACES, COMES, NETWORKS, END, PING = range(7)


def opened(folder: Path, network: str) -> Any:
    sources = [source.replace("NETWORK", repr(network)) for source in CELLS]
    return lab(folder, sources, {"SANDBOX_HOME": str(folder / "home")})


def watched(book: Lab) -> list[str]:
    """What goes wrong in the page from now on."""
    wrong: list[str] = []
    book.page.on("pageerror", lambda error: wrong.append(str(error)))
    book.page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    return wrong


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A notebook with two containers, one of which joined the other's network."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    with opened(tmp_path_factory.mktemp("maps"), "none") as made:
        wrong = watched(made)
        made.run(SETUP)
        made.run(BEGIN)
        made.run(NAMESPACES)
        yield made
        made.run(END)
        assert "Error" not in made.output(END).inner_text()
        assert wrong == []


def row(grid: Any, name: str) -> Any:
    return grid.locator("tr.sandbox-container", has=grid.page.locator("th", has_text=name))


def test_the_grid_shows_who_shares_and_arrow_keys_and_enter_tell_more(book: Lab) -> None:
    grid, keyboard = book.output(NAMESPACES).locator(".sandbox-namespaces"), book.page.keyboard
    grid.wait_for(timeout=30_000)
    marks = [row(grid, name).locator("td").nth(3).inner_text() for name in ("web", "side")]
    assert marks[0] == marks[1]
    assert marks[0].split()[0] not in ("host", "")
    grid.locator("td[tabindex='0']").focus()
    for _ in range(3):
        keyboard.press("ArrowRight")
    keyboard.press("ArrowDown")
    assert book.page.evaluate("document.activeElement.dataset.row + ',' + document.activeElement.dataset.column") == "1,3"
    keyboard.press("Enter")
    detail = grid.locator(".sandbox-detail")
    until(lambda: "members" in detail.inner_text(), "it should tell about the namespace")
    assert "net:[" in detail.inner_text()
    assert "lo: " in detail.inner_text()
    keyboard.press("Escape")
    until(lambda: not detail.is_visible(), "Escape should close it")
    assert book.page.evaluate("document.activeElement.dataset.column") == "3"
    grid.get_by_role("searchbox").fill("side")
    until(lambda: grid.locator("tbody tr").count() == 1, "the filter should leave one row")
    grid.get_by_role("searchbox").fill("")


def test_live_it_shows_who_was_started(book: Lab) -> None:
    grid = book.output(NAMESPACES).locator(".sandbox-namespaces")
    grid.get_by_role("button", name="live").click()
    book.run(COMES)
    until(lambda: row(grid, "comes").count() == 1, "the new container should be shown")
    grid.get_by_role("button", name="pause").click()


@pytest.mark.needs_root
@in_own_network
def test_counters_of_the_network_map_move(tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install '.[lab]'")
    needs("nft", "nftables")
    signal.alarm(180)  # JupyterLab takes its time
    with opened(tmp_path, "bridge") as book:
        wrong = watched(book)
        for number in (SETUP, BEGIN, COMES, NETWORKS):
            book.run(number)
        try:
            _counters_move(book)
        finally:
            book.run(END)
        assert "Error" not in book.output(END).inner_text()
        assert wrong == []


def _counters_move(book: Lab) -> None:
    plan = book.output(NETWORKS).locator(".sandbox-networks")
    plan.wait_for(timeout=30_000)
    assert plan.locator(".sandbox-container").count() == 2
    counter = plan.locator("[data-id='web eth0'] .sandbox-counter")
    book.run(PING)
    until(lambda: "kB/s" in counter.text_content(), "the counter should move")
    plan.locator(".sandbox-bridge").focus()
    book.page.keyboard.press("Enter")
    told = plan.locator(".sandbox-detail")
    until(lambda: "reaches the others on it" in told.inner_text(), "rules should be told in words")
    plan.get_by_role("button", name="pause").click()
