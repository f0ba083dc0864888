"""JupyterLab, or Notebook 7, in a real browser, with everything of its own: settings, workspaces, kernels."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.shell import until

TOKEN = "of-this-test"
#: Where each application has a notebook.
PLACES = {"jupyterlab": "lab/tree", "notebook": "notebooks"}


class Lab:
    """One notebook in JupyterLab. `page` is Playwright's, `wrong` what the page's scripts complained of."""

    def __init__(self, browser: Any, address: str, path: Path, app: str) -> None:
        self.path, self.browser = path, browser
        self._address = f"{address}/{PLACES[app]}"
        self.page: Any = None
        self.wrong: list[str] = []
        self.open()

    def open(self) -> None:
        """Open the notebook, as a new page."""
        if self.page:
            self.page.close()
        self.page = self.browser.new_page(viewport={"width": 1100, "height": 900})
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        self.page.goto(self._url(self.path.name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.info")

    def _url(self, name: str) -> str:
        return f"{self._address}/{name}?reset&token={TOKEN}"

    def theme(self, name: str) -> None:
        """Change the theme of the page."""
        self.page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)

    def notebook(self) -> dict[str, Any]:
        """The file, as it was saved last."""
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def copy(self, name: str, *, trusted: bool) -> Any:
        """A page with a copy of the notebook, whose kernel is another one: as one that was downloaded, or from yesterday."""
        from nbformat import from_dict
        from nbformat.sign import NotebookNotary

        notebook = self.notebook()
        (self.path.parent / f"{name}.ipynb").write_text(json.dumps(notebook))
        notary = NotebookNotary(data_dir=str(self.path.parent / "data"))
        (notary.sign if trusted else notary.unsign)(from_dict(notebook))
        notary.store.close()
        page = self.browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(self._url(f"{name}.ipynb"))
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return page

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
        cells: list[dict[str, Any]] = self.notebook()["cells"]
        return cells


@contextmanager
def lab(folder: Path, sources: Sequence[str], environment: dict[str, str], *, app: str = "jupyterlab",
        packages: str = "", beside: Lab | None = None) -> Iterator[Lab]:  # fmt: skip
    """A notebook with these cells, opened; in the browser of another one, for Playwright drives one at a time.

    `packages` is a folder that the kernel's Python looks into first.
    """
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
    own |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_TOKEN": TOKEN, **environment}
    search = f"{packages}:{REPOSITORY}" if packages else str(REPOSITORY)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": launch, "display_name": "Python 3", "language": "python", "env": {"PYTHONPATH": search}}
    _put(folder / "data/kernels/python3/kernel.json", spec)
    # Or it asks whether it may fetch news, in front of what the tests look at.
    _put(folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings", {"fetchNews": "false"})
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
            [sys.executable, "-m", app, *words], env=os.environ | own, cwd=folder, stdout=log, stderr=log
        )
    try:
        until(lambda: _listens(port), "the server should listen")
        with nullcontext(beside.browser) if beside else _chromium() as browser:
            yield (opened := Lab(browser, f"http://127.0.0.1:{port}", path, app))
            opened.page.close()
    finally:
        server.terminate()  # which ends its kernels, too
        server.wait(30)


@contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def _put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
