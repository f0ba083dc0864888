"""Lessons, their source, and a way to run them."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sandbox import host
from sandbox.home import home as open_home
from sandbox.primitives.network.state import STATE
from sandbox.spec import DEFAULT_NETWORK
from tests.conftest import REPOSITORY
from tests.primitives.network.steps import needs

EXECUTE = Path(__file__).parent / "execute.py"

Cells = list[dict[str, Any]]


def load_generator() -> ModuleType:
    """notebooks/generate.py, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "notebooks" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


generate = load_generator()
NOTEBOOKS = sorted(generate.generated())


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


def run(text: str, folder: Path, environment: dict[str, str], *command: str) -> Run:
    """Run the notebook `text` in `folder`, by `command` (an interpreter)."""
    source, target = folder / "lesson.ipynb", folder / "result.ipynb"
    source.write_text(text)
    words = [*command, str(folder / "execute.py"), str(source), str(target)]
    (folder / "execute.py").write_text(EXECUTE.read_text())
    settings = {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=os.environ | settings | environment)
    assert done.returncode == 0, done.stderr
    return Run(json.loads(target.read_text())["cells"])


#: A lesson that makes networks makes them in a network namespace of its own, as tests.own_network does. Only root makes any.
_OWN_NETWORK = f'ip link set lo up && mkdir -p {STATE} && mount -t tmpfs tmpfs {STATE} && exec "$@"'
ALONE = () if os.geteuid() else ("unshare", "--net", "--mount", "sh", "-c", _OWN_NETWORK, "sh")


@pytest.fixture
def play(home: Path, tmp_path: Path) -> Callable[[str], Run]:
    """A function that runs the text of a notebook, as we are, with a shelf of its own, and no way to the internet."""
    pytest.importorskip("nbclient", reason="needs nbclient and a kernel: pip install '.[lab,test]'")
    pytest.importorskip("ipykernel", reason="needs a kernel: pip install '.[lab]'")
    environment = {"PYTHONPATH": str(REPOSITORY), "SANDBOX_HOME": str(home), "SANDBOX_NETWORK": DEFAULT_NETWORK}
    return lambda text: run(text, tmp_path, environment, *ALONE, sys.executable)


@pytest.fixture
def layer(request: pytest.FixtureRequest) -> Path | None:
    """The files of a Debian, for the lesson that installs one; None where they can't be had."""
    with contextlib.suppress(pytest.skip.Exception):
        if "14_system-containers" in request.node.name:
            return Path(request.getfixturevalue("debian_layer"))
    return None


@pytest.fixture
def tools(request: pytest.FixtureRequest) -> None:
    """Skips a lesson that can't do without what is missing here: its first cell says so, and the others are void."""
    if any(words in request.node.name for words in ("12_network", "lesson_12")):
        needs("ip", "iproute2")
        needs("nft", "nftables")
        report = host.report()
        for what in ("network.veth", "network.bridge", "network.nft"):
            if not report.can(what):
                pytest.skip(f"needs {what}: {report.why_not(what)}")


@pytest.fixture
def played(layer: Path | None, tools: None, play: Callable[[str], Run]) -> Callable[[str], Run]:
    """Like `play`, where a Debian need not be fetched: from a network namespace of its own it could not be."""
    if layer:
        subprocess.run(["cp", "-a", "--reflink=auto", str(layer), open_home().layers], check=True)
    return play
