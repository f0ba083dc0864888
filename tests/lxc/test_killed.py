"""kill -9 at every step of copy, snapshot, restore, rename and destroy: the next command finds a consistent state."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.home import home as open_home
from sandbox.lxc import copying, destroying, snapshots
from tests.conftest import REPOSITORY
from tests.shell import Shell

#: Whatever changes a folder is announced to this hook before it happens. It dies at the number that it is given. PEP 578
_DYING = """
import os, sys
from sandbox.home import home
from sandbox import lxc_config, networks
from sandbox.lxc import copying, destroying, snapshots
home()
lxc_config.Config, lxc_config.read, lxc_config.spec, lxc_config.renew_hwaddrs
seen, last = 0, int(sys.argv[1])
def hook(event, arguments):
    global seen
    writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writing or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.mknod", "os.chown"):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
exec(sys.argv[2])
print(seen)
"""
#: So many moments of each operation are tried, evenly spread over all that there are.
MOMENTS = 12


def run_and_die(code: str, at: int) -> int:
    """Run this in a process that dies at its `at`-th change (0: at none); returns how many there were, or 0."""
    words = [sys.executable, "-c", _DYING, str(at), code]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, cwd="/", capture_output=True, text=True)
    assert done.returncode == (-9 if at else 0), done.stderr
    return int(done.stdout or 0)


def make(name: str) -> None:
    """A container with a small root: what is in it is not the point."""
    home = open_home()
    with home.build(name) as folder:
        (Path(folder) / "rootfs/etc").mkdir(parents=True)
        (Path(folder) / "rootfs/etc/hostname").write_text(f"{name}\n")
        (Path(folder) / "rootfs/file").write_text("first")
        os.link(f"{folder}/rootfs/file", f"{folder}/rootfs/again")
        (Path(folder) / "tmp_root_pass").write_text("secret\n")
        lines = (f"lxc.rootfs.path = dir:{home.folder(name)}/rootfs", f"lxc.uts.name = {name}", "lxc.net.0.type = empty")
        (Path(folder) / "config").write_text("".join(f"{line}\n" for line in lines))


def moments(home: Path, code: str, before: Callable[[], object]) -> Iterator[int]:
    """Put things as they shall be by `before`, each time before the operation is killed at the next moment."""
    before()
    count = run_and_die(code, 0)
    assert count > 3
    for name in reversed(open_home().names()):
        destroying.destroy(open_home(), name, snapshots=True)
    for at in sorted({1 + number * (count - 1) // (MOMENTS - 1) for number in range(MOMENTS)}):
        before()
        yield at
        for name in open_home().names():
            if name in open_home().names():
                destroying.destroy(open_home(), name, snapshots=True)
        leftovers = [entry for entry in os.listdir(home / "containers") if entry[0] != "."]
        assert leftovers == []
    for entry in os.listdir(home / "containers"):
        os.utime(home / "containers" / entry, (0, 0))  # nobody has been at work on them for long
    assert Shell(str(home), extra={"SANDBOX_PORTER": "no"}).text("lxc-ls") == ""
    assert os.listdir(home / "containers") == []


def is_whole(name: str) -> None:
    """Its config can be read, and speaks of files that are there."""
    spec = Container(name).spec
    own = f"{spec.root.upper}/upper" if spec.root.upper else spec.root.path
    assert os.path.isdir(own)
    assert all(map(os.path.isdir, spec.root.layers))
    assert spec.hostname == name
    assert Path(open_home().folder(name), "tmp_root_pass").read_text() == "secret\n"
    if spec.root.path:
        assert Path(spec.root.path, "file").read_text() == Path(spec.root.path, "again").read_text() == "first"


@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_a_killed_copy(home: Path, backing: str) -> None:
    code = f"copying.copy(home(), 'base', 'new', backing={backing!r})"
    for at in moments(home, code, lambda: make("base")):
        run_and_die(code, at)
        is_whole("base")
        if "new" not in open_home().names():
            copying.copy(open_home(), "base", "new", backing=backing)
        is_whole("new")
        if backing == "overlay":
            with pytest.raises(Exception, match="base has clones"):
                destroying.destroy(open_home(), "base")


def make_both() -> None:
    """A container, and a clone that stands on it."""
    make("base")
    copying.copy(open_home(), "base", "clone", backing="overlay")


@pytest.mark.parametrize("force", ["", "force=True"])
def test_a_killed_destroy(home: Path, force: str) -> None:
    code = f"destroying.destroy(home(), 'clone', {force})"
    for at in moments(home, code, make_both):
        run_and_die(code, at)
        is_whole("base")
        if "clone" in open_home().names():
            is_whole("clone")
            destroying.destroy(open_home(), "clone")
        destroying.destroy(open_home(), "base")


def make_kept(count: int = 1) -> None:
    """A container with snapshots."""
    make("base")
    for _ in range(count):
        snapshots.take(open_home(), "base")


def test_a_killed_snapshot(home: Path) -> None:
    code = "snapshots.take(home(), 'base')"
    for at in moments(home, code, make_kept):
        run_and_die(code, at)
        is_whole("base")
        assert snapshots.names(open_home(), "base") in (["snap0"], ["snap0", "snap1"])
        snapshots.restore(open_home(), "base", snapshots.names(open_home(), "base")[-1], "new")
        is_whole("new")


def test_a_killed_restore_has_happened_or_not(home: Path) -> None:
    code = "snapshots.restore(home(), 'base', 'snap0')"
    for at in moments(home, code, make_kept):
        run_and_die(code, at)
        is_whole("base")
        assert snapshots.names(open_home(), "base") == ["snap0"]
        snapshots.restore(open_home(), "base", "snap0")
        is_whole("base")
        assert os.listdir(Path(open_home().folder("base"), "snaps")) == ["snap0"]


def test_a_killed_destroy_of_snapshots(home: Path) -> None:
    code = "snapshots.destroy(home(), 'base', 'ALL')"
    for at in moments(home, code, lambda: make_kept(2)):
        run_and_die(code, at)
        is_whole("base")
        snapshots.destroy(open_home(), "base", "ALL")
        destroying.destroy(open_home(), "base")
