"""JupyterLab in a real browser, with everything of its own: settings, workspaces, kernels."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.shell import until

TOKEN = "of-this-test"


class Lab:
    """One notebook in JupyterLab. `page` is Playwright's."""

    def __init__(self, browser: Any, address: str, path: Path) -> None:
        self.path, self._browser = path, browser
        self._url = f"{address}/lab/tree/{path.name}?reset&token={TOKEN}"
        self.page: Any = None
        self.open()

    def open(self) -> None:
        """Open the notebook, as a new page."""
        if self.page:
            self.page.close()
        self.page = self._browser.new_page(viewport={"width": 1100, "height": 900})
        self.page.goto(self._url)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.info")

    @property
    def cells(self) -> int:
        return int(self.page.locator(".jp-Notebook .jp-Cell").count())

    def output(self, number: int) -> Any:
        """The output area of a cell."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-Cell-outputArea")

    def run(self, number: int) -> None:
        """Run a cell, and wait until it has ended."""
        self.begin(number, "await ")

    def begin(self, number: int, how: str = "") -> None:
        """Run a cell, and do not wait."""
        self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputArea .cm-content").click()
        self.page.evaluate(f"async () => {{ {how}jupyterapp.commands.execute('notebook:run-cell') }}")

    def save(self) -> list[dict[str, Any]]:
        """The cells of the notebook, saved."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        cells: list[dict[str, Any]] = json.loads(self.path.read_text())["cells"]
        return cells


@contextmanager
def lab(folder: Path, sources: Sequence[str], environment: dict[str, str]) -> Iterator[Lab]:
    """A notebook with these cells, opened."""
    from playwright.sync_api import sync_playwright

    path = folder / "lesson.ipynb"
    cells = [{"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "execution_count": None, "outputs": [],
              "source": source} for number, source in enumerate(sources)]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(REPOSITORY), "JUPYTER_TOKEN": TOKEN, **environment}
    words = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--expose-app-in-browser",
        f"--notebook-dir={folder}",
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *words], env=os.environ | own, cwd=folder, stdout=log, stderr=log
        )
    try:
        until(lambda: _listens(port), "the server should listen")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            yield Lab(browser, f"http://127.0.0.1:{port}", path)
            browser.close()
    finally:
        server.terminate()  # which ends its kernels, too
        server.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
