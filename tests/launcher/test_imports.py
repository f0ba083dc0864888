"""After pivot_root there is no Python any more: nothing may be imported, and no file of ours opened."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import sandbox
from tests.conftest import REPOSITORY
from tests.launcher.conftest import Shelf, until

pytestmark = [
    pytest.mark.needs_userns,
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace to see what the child opens: apt install strace"),
]


def opened_inside(shelf: Shelf, tmp_path: Path, **options: object) -> list[str]:
    """The calls of a child that open or look for a file, from pivot_root to the program, as strace shows them."""
    sandbox.run("busybox", "true", name=shelf.name(), **options)
    shelf.assert_clean()
    log = tmp_path / "calls"
    pids = shelf.of("sandbox-cradle")  # and the spare child, which was born ahead of time
    words = [word for pid in pids for word in ("-p", str(pid))]
    with subprocess.Popen(["strace", "-f", "-qq", "-o", str(log), "-e", "trace=%file,execve", *words]) as tracer:
        until(lambda: not any("TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text() for pid in pids), "strace attaches")
        sandbox.run("busybox", "true", name=shelf.name(), **options)
        tracer.terminate()
    text = log.read_text()
    begun = re.search(r"^\d+ +pivot_root\((?s:.*?)execve\([^\n]*(?:= 0|<unfinished \.\.\.>)$", text, re.MULTILINE)
    assert begun, text
    return begun[0].splitlines()


@pytest.mark.parametrize("options", [{}, {"tty": True}, {"init": True}, {"user": "nobody"}, {"read_only": True}])
def test_no_module_is_looked_for_after_the_root_has_changed(shelf: Shelf, tmp_path: Path, options: dict[str, object]) -> None:
    calls = opened_inside(shelf, tmp_path, **options)
    assert "pivot_root" in calls[0]
    foreign = [call for call in calls if re.search(r"\.pyc?\"|\.so\b|python|site-packages", call) or str(REPOSITORY) in call]
    assert not foreign


def test_a_refusal_after_the_root_has_changed_can_still_be_told(shelf: Shelf) -> None:
    with pytest.raises(sandbox.errors.SandboxError, match="nobody-here"):
        sandbox.run("busybox", "true", user="nobody-here", name=shelf.name())
    with pytest.raises(sandbox.errors.KernelRefused, match="ENOENT"):
        sandbox.run("busybox", "true", workdir="/no/such/folder", name=shelf.name())
    with pytest.raises(sandbox.errors.KernelRefused, match="ENOENT"):
        sandbox.run("busybox", ["/no/such/program"], init=True, name=shelf.name())
