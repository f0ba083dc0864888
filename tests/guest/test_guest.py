"""The engine on another kernel, Debian's own, with cgroup v2 only: one virtual machine, and a test for each check in it.

The guest is root, sees the files of this machine, and runs checks.py and the suite's own tests of the cgroups room. Kernels
are chosen by SANDBOX_GUEST_KERNELS="6.1 6.12"; left out, it is 6.1: the oldest that Debian still has, without lowerdir+,
user.* attributes on tmpfs and id maps on tmpfs. It is software emulation throughout, ten times slower than the machine.
"""

import compileall
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.images import busybox
from tests.conftest import REPOSITORY
from tests.guest import checks, initramfs, kernel, machine

pytestmark = [pytest.mark.needs_qemu, pytest.mark.slow, pytest.mark.timeout(machine.PATIENCE + 300)]

HERE = "tests/guest/checks.py"
CHECKS = [name for name in vars(checks) if name.startswith("test_")]
ROOMS = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tests/primitives/cgroups").glob("test_*.py"))
COMMAND = [
    "env", "PYTHONDONTWRITEBYTECODE=1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", sys.executable, "-m", "pytest", "-v", "--color=no",
    "-p", "pytest_timeout", "-p", "no:cacheprovider", "-p", "tests.guest.reporter", HERE, "tests/primitives/cgroups",
]  # fmt: skip
KERNELS = os.environ.get("SANDBOX_GUEST_KERNELS", "6.1").split()


class Guest:
    """A guest that has ended: what it reported of each test, and the last that it printed."""

    def __init__(self, report: Path, console: Path, ended: bool) -> None:
        self.tests: dict[str, dict[str, str]] = {}
        for line in report.read_text(encoding="ascii", errors="replace").splitlines():
            with contextlib.suppress(ValueError):  # torn, if the guest was given up
                told = json.loads(line)
                known = self.tests.setdefault(told["test"], told)
                if known["outcome"] != "failed":  # of two failures, the first counts
                    self.tests[told["test"]] = told
        self.console = console.read_text(errors="replace")[-3000:]
        self.ended = ended

    def of(self, name: str) -> list[dict[str, str]]:
        """What was reported of a test, or of each test in a file. Fails if the guest did not get that far."""
        told = [each for test, each in self.tests.items() if test == name or test.startswith(f"{name}::")]
        if not told:
            end = "it ended" if self.ended else f"it was given up after {machine.PATIENCE:g} s"
            pytest.fail(f"the guest told nothing of {name}: {end}, and printed last:\n{self.console}", pytrace=False)
        return told


class Begun:
    """A guest that was begun: the machine, and where it reports."""

    def __init__(self, name: str, folder: Path, stack: contextlib.ExitStack) -> None:
        chosen = kernel.get(name, REPOSITORY / "build" / "guest")
        archive, disk, self.report, self.console = (folder / name for name in ("initramfs", "disk", "report", "console"))
        archive.write_bytes(initramfs.build(Path(_busybox()), chosen.modules, _source(folder), COMMAND))
        with open(disk, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run([_mke2fs(), "-q", "-t", "ext4", str(disk)], check=True, stdin=subprocess.DEVNULL)
        self.qemu = stack.enter_context(machine.booted(chosen, archive, disk, self.report, self.console))

    def ended(self) -> Guest:
        """Wait until it has run all tests and ended."""
        try:
            ended = self.qemu.wait(timeout=machine.PATIENCE) == 0
        except subprocess.TimeoutExpired:
            ended = False
        return Guest(self.report, self.console, ended)


def _busybox() -> str:
    program = next((path for path in busybox.PLACES if busybox.is_static(path)), "")
    return program or pytest.skip("needs a static busybox: apt-get install busybox-static")


def _mke2fs() -> str:
    found = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return found or pytest.skip("needs mke2fs: apt-get install e2fsprogs")


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Begun]]:
    """All guests, running. They need a processor for a minute, and nobody waits for them meanwhile."""
    if platform.machine() != "x86_64":
        pytest.skip(f"needs x86_64: a guest on {platform.machine()} has not been tried")
    with contextlib.ExitStack() as stack:
        try:
            yield {name: Begun(name, tmp_path_factory.mktemp("guest"), stack) for name in KERNELS}
        except (kernel.Unavailable, OSError) as error:
            pytest.skip(f"needs a kernel: {error}")


@pytest.fixture(scope="session", params=KERNELS)
def guest(request: pytest.FixtureRequest, begun: dict[str, Begun]) -> Guest:
    """A guest that has booted, run all tests and ended."""
    return begun[request.param].ended()


def _source(folder: Path) -> Path:
    """A copy of the source, compiled: 9p's cache does not notice when a file changes, and compiling is slow in there."""
    source = folder / "source"
    for part in ("sandbox", "tests"):
        shutil.copytree(REPOSITORY / part, source / part)
    shutil.copy(REPOSITORY / "pyproject.toml", source)
    compileall.compile_dir(source, quiet=1)
    return source


@pytest.mark.begins
def test_a_machine_is_begun(begun: dict[str, Begun]) -> None:
    """A guest takes more than a minute, mostly of one processor: the other tests of this file are the last of all."""
    assert all(each.qemu.poll() is None for each in begun.values())


@pytest.mark.asks
@pytest.mark.parametrize("check", CHECKS)
def test_the_engine(guest: Guest, check: str) -> None:
    (told,) = guest.of(f"{HERE}::{check}")
    if told["outcome"] == "skipped":
        pytest.skip(told["text"])
    if told["outcome"] != "passed":
        pytest.fail(told["text"], pytrace=False)


@pytest.mark.asks
@pytest.mark.parametrize("file", ROOMS)
def test_the_cgroups_room(guest: Guest, file: str) -> None:
    told = guest.of(file)
    failed = [f"{each['test']}\n{each['text']}" for each in told if each["outcome"] == "failed"]
    if failed:
        pytest.fail("\n\n".join(failed), pytrace=False)
    assert any(each["outcome"] == "passed" for each in told)
