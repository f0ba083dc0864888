"""%load_ext kernel_ext: cheap, and clear about what is in the way. And notebooks that nobody looks at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.kernel_ext.conftest import native_only

SHELL = "from IPython.core.interactiveshell import InteractiveShell; import sys; shell = InteractiveShell.instance()\n"


def python(code: str, folder: Path) -> str:
    """What a Python with an IPython shell, started in that folder, prints."""
    env = os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}", "IPYTHONDIR": str(folder / "ipython"), "NO_COLOR": "1"}
    env.pop("VIRTUAL_ENV", None)  # of it, if it is another one, IPython would speak
    done = subprocess.run([sys.executable, "-c", SHELL + code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_loading_brings_nothing_heavy_and_not_even_the_engine(tmp_path):
    code = "before = set(sys.modules); shell.run_line_magic('load_ext', 'kernel_ext'); print(*(set(sys.modules) - before))"
    loaded = set(python(code, tmp_path).split())
    assert {"kernel_ext", "sandbox", "sandbox.errors"} <= loaded
    heavy = {"ipywidgets", "anywidget", "matplotlib", "numpy", "pandas", "nbformat", "sandbox.container", "sandbox.launcher"}
    assert not loaded & heavy
    assert len(loaded) <= 25


def test_what_was_loaded_can_be_unloaded(tmp_path):
    code = """
for name in ("load_ext", "unload_ext"):
    shell.run_line_magic(name, "kernel_ext")
    magics = shell.find_cell_magic("container"), shell.find_line_magic("lxc_info")
    print(*(magic is not None for magic in magics), shell.custom_exceptions)
"""
    assert python(code, tmp_path).splitlines()[-2:] == [
        "True True (<class 'sandbox.errors.SandboxError'>,)",
        "False False ()",
    ]


@pytest.mark.parametrize("imported", [False, True], ids=["beside the notebook", "imported already"])
def test_a_foreign_sandbox_is_named_and_not_run(tmp_path, imported):
    (tmp_path / "sandbox.py").write_text("print('the stranger ran')\n")
    before = "import sandbox\n" if imported else ""
    told = python(f"{before}shell.run_cell('%load_ext kernel_ext')", tmp_path)
    assert f"UsageError: {tmp_path}/sandbox.py hides the package `sandbox`" in told
    assert "rename that file" in told
    assert "Traceback" not in told
    assert told.count("the stranger ran") == imported


@pytest.mark.needs_userns
def test_in_a_terminal_an_error_is_told_once(tmp_path):
    code = "shell.run_line_magic('load_ext', 'kernel_ext'); shell.run_cell('%%container --memroy 1\\ntrue')"
    told = python(code, tmp_path)
    assert told.count("%%container has no option --memroy") == 1
    assert "did you mean --memory?" in told


@pytest.mark.needs_cgroup("memory")
@pytest.mark.needs_userns
def test_a_notebook_runs_without_a_browser_and_stops_at_an_error(home, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    from jupyter_client.manager import KernelManager

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    sources = (
        "%load_ext kernel_ext",
        "%%container\necho hello; exit 3",
        "%%container --memroy 64m\ntrue",
        "print('not reached')",
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    manager = KernelManager(kernel_name="python3", kernel_spec_manager=native_only())
    client = nbclient.NotebookClient(book, km=manager)
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="did you mean --memory"):
        client.execute(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client.kc.stop_channels()
    manager.shutdown_kernel(now=True)
    assert [output["output_type"] for output in book.cells[1].outputs] == ["stream", "display_data"]
    assert [output["output_type"] for output in book.cells[2].outputs] == ["display_data", "error"]
    assert not book.cells[3].outputs
