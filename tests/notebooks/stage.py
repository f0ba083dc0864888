"""Notebooks that are played in the background, each with a folder and a SANDBOX_HOME of its own, while other tests run.

They mostly wait: for a boot, a prompt, a second to go by. All that will be asked for is begun before the first test.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.primitives.network.state import STATE
from sandbox.spec import DEFAULT_NETWORK
from tests.conftest import NOBODY, REPOSITORY, as_nobody

EXECUTE = Path(__file__).parent / "execute.py"
#: So many at a time: each has a kernel, and two processors have other tests to run.
TOGETHER = 2

Cells = list[dict[str, Any]]
#: Waits for the files of a Debian.
Layer = Callable[[], Path | None]

#: A lesson that makes networks makes them in a network namespace of its own, as tests.own_network does. Only root makes any.
_OWN_NETWORK = f'ip link set lo up && mkdir -p {STATE} && mount -t tmpfs tmpfs {STATE} && exec "$@"'
ALONE = () if os.geteuid() else ("unshare", "--net", "--mount", "sh", "-c", _OWN_NETWORK, "sh")


@dataclass
class Run:
    """A notebook that was run: its cells."""

    cells: Cells

    def outputs(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """(cell id, output) of this type: "stream", "display_data", "error" …"""
        return [(cell["id"], out) for cell in self.cells for out in cell.get("outputs", ()) if out["output_type"] == kind]

    def text(self, cell: str) -> str:
        """What a cell wrote."""
        return "".join("".join(out["text"]) for id, out in self.outputs("stream") if id == cell)

    @property
    def errors(self) -> dict[str, str]:
        """The message of every cell that failed, by its id."""
        return {id: f"{out['ename']}: {out['evalue']}" for id, out in self.outputs("error")}


@dataclass
class Stage:
    """Where notebooks are played, a few at a time."""

    pool: ThreadPoolExecutor
    playing: set[subprocess.Popen[str]] = field(default_factory=set)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, text: Callable[[], str], folder: Path, *, as_user: bool, layer: Layer) -> "Future[Run]":
        """Have the notebook of this text played in `folder`, where its SANDBOX_HOME is, too, as soon as there is room.

        `as_user` means as an ordinary user. Otherwise it is as we are, with no way to the internet: so what `layer` waits for,
        the files of a Debian, comes from outside, if there can be one.
        """
        return self.pool.submit(self._play, text, folder, as_user, layer)

    def _play(self, text: Callable[[], str], folder: Path, as_user: bool, layer: Layer) -> Run:
        source, target = folder / "lesson.ipynb", folder / "result.ipynb"
        source.write_text(text())
        shutil.copy(EXECUTE, folder)
        if found := layer():
            for part in ("containers", "layers"):  # what a folder must have to be taken for a shelf
                (folder / "home" / part).mkdir(parents=True)
            subprocess.run(["cp", "-a", "--reflink=auto", str(found), str(folder / "home" / "layers")], check=True)
        python = as_nobody(sys.executable) if as_user else [*ALONE, sys.executable]
        settings = {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
        settings |= {"SANDBOX_HOME": str(folder / "home"), "SANDBOX_NETWORK": DEFAULT_NETWORK}
        settings["PYTHONPATH"] = str(folder / "source" if as_user else REPOSITORY)
        if as_user:
            for package in ("sandbox", "kernel_ext"):
                shutil.copytree(REPOSITORY / package, folder / "source" / package)
            if os.geteuid() == 0:
                os.chown(folder, NOBODY, NOBODY)
        with self._process([*python, "execute.py", source.name, target.name], folder, os.environ | settings) as process:
            _, said = process.communicate()
        assert process.returncode == 0, said
        return Run(json.loads(target.read_text())["cells"])

    @contextmanager
    def _process(self, command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        """A process that ends, at the latest, with the stage."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with self.lock:
            assert not self.closed, "the tests are over"
            process = subprocess.Popen(command, cwd=folder, env=environment, text=True, start_new_session=True, **pipes)
            self.playing.add(process)
        try:
            yield process
        finally:
            self.playing.discard(process)

    def close(self) -> None:
        """End what is still played: the tests were interrupted."""
        with self.lock:
            self.closed = True
        for process in list(self.playing):
            os.killpg(process.pid, signal.SIGKILL)
        self.pool.shutdown(cancel_futures=True)


@contextmanager
def stage() -> Iterator[Stage]:
    opened = Stage(ThreadPoolExecutor(TOGETHER))
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user can be given: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="sandbox-lesson-") as name:
        yield Path(name)
