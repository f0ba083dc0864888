"""What all tests share: a private SANDBOX_HOME, markers that skip with a sentence, and a guard over the host."""

import functools
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.linux import files
from sandbox.primitives.cgroups.hierarchy import ROOM, SUPERVISOR, read_layout
from tests import aside
from tests.debian import debian_begun, debian_layer  # noqa: F401  fixtures, for all folders

REPOSITORY = Path(__file__).parent.parent
NOBODY = 65534

#: Read once: on a pure v2 machine the launcher moves us aside, into a group of our own group.
OWN_GROUPS = {place.own for place in read_layout().places if place.own}


#: The shelves of these tests, by the names that their groups begin with: other people's containers may come and go.
OUR_SHELVES: set[str] = set()
_SHELF = re.compile(r"([0-9a-f]{12})_")


# --- SANDBOX_HOME ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private SANDBOX_HOME. At the end of the test no kernel object may be left in its ledger."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SANDBOX_HOME", str(folder))
    monkeypatch.setenv("SANDBOX_NETWORK", "none")  # the host's network stays as it is: see tests/own_network.py
    yield folder
    nothing_is_left()


def nothing_is_left() -> None:
    """The ledger of this SANDBOX_HOME is empty; its launcher ends."""
    import sandbox
    from sandbox.home import home as open_home
    from sandbox.launcher import client

    left = list(sandbox.ledger())
    assert not left, f"the test left kernel objects behind: {left}"
    OUR_SHELVES.add(Path(open_home().runtime).name)
    client.end(open_home())
    shutil.rmtree(open_home().runtime, ignore_errors=True)  # where it was ended, it goes by itself


def waiting_groups() -> set[str]:
    """The control groups of children that were born ahead of time, one on each shelf: they are no container's."""
    from sandbox.home import home as open_home
    from sandbox.launcher.ledger import SPARE, Ledger

    shelves = Path(open_home().runtime).parent.glob(f"*/ledger/{SPARE}")
    entries = [Ledger(str(path.parent)).entry(SPARE) or {"undo": []} for path in shelves]
    return {path for entry in entries for step in entry["undo"] for _, path in step["directories"]}


# --- the guard ------------------------------------------------------------------------------------------------------


def _groups() -> set[str]:
    """The control groups below our own, in every tree, without those in which the launcher makes and waits for others."""
    below = {folder for own in OWN_GROUPS for folder, _, _ in os.walk(own)}
    named = {folder for folder in below if Path(folder).name not in (ROOM, SUPERVISOR)}
    shelves = {folder: found[1] if (found := _SHELF.search(folder)) else "" for folder in named}
    return {folder for folder, shelf in shelves.items() if (shelf in OUR_SHELVES if shelf else not aside.here())}


def _mounts() -> str:
    """The mount table. Others, who run at the same time, are looked after by the pytest that runs last."""
    return "" if aside.here() else files.read("/proc/self/mountinfo")


@pytest.fixture(scope="session", autouse=True)
def the_host_stays_as_it_was() -> Iterator[None]:
    """/dev/null, the mount table and the cgroups below our own are the same before and after all tests."""
    null, mounts, groups = os.stat("/dev/null"), _mounts(), _groups()
    yield
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_rdev, after.st_uid) == (null.st_mode, null.st_rdev, null.st_uid), "/dev/null is damaged"
    assert stat.S_ISCHR(after.st_mode)
    assert after.st_rdev == os.makedev(1, 3)
    assert _mounts() == mounts, "the tests left (or took away) mounts on the host"
    deadline = time.monotonic() + 30  # the kernel may still be emptying the groups of the last test
    while (left := _groups() - groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"the tests left cgroups behind: {sorted(left)}"


# --- what this machine can't do is skipped, and says why ------------------------------------------------------------


@functools.cache
def _userns_refused() -> str:
    done = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True, text=True)
    return done.stderr.strip()


def _refusal(mark: pytest.Mark) -> str:
    """Why a test with this mark can't run here, or nothing."""
    match mark.name:
        case "needs_root":
            return "needs root: run the tests as root" if os.geteuid() else ""
        case "needs_userns":
            return f"needs a user namespace: {why}" if (why := _userns_refused()) else ""
        case "needs_cgroup":
            return f"needs a cgroup: {why}" if (why := read_layout().at(*mark.args).problem) else ""
        case "needs_qemu":
            program = f"qemu-system-{os.uname().machine}"
            return "" if shutil.which(program) else f"needs {program}: apt-get install qemu-system"
        case "browser":
            if not shutil.which("chromium"):
                return "needs Chromium: apt-get install chromium"
            return "" if importlib.util.find_spec("playwright") else "needs Playwright: pip install '.[browser]'"
    return ""


def refusal(item: pytest.Item) -> str:
    """Why a test can't run here, or nothing."""
    return next(filter(None, map(_refusal, item.iter_markers())), "")


def pytest_configure(config: pytest.Config) -> None:
    aside.register(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if why := refusal(item):
        pytest.skip(why)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long and mostly waits is begun before all other tests, and asked after them."""

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("begins"):
            return -1
        return 1 if item.get_closest_marker("asks") or aside.group_of(item) is not None else 0

    items.sort(key=turn)
    for item in items:
        if aside.group_of(item) is not None:
            item.add_marker(pytest.mark.timeout(aside.PATIENCE))


# --- ordinary users -------------------------------------------------------------------------------------------------


def as_nobody(*command: str) -> list[str]:
    """`command` as an ordinary user; unchanged, if we are one already. setpriv(1)."""
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all")
    return [*(() if os.geteuid() else drop), *command]


@pytest.fixture(scope="session")
def user_python() -> str:
    """An interpreter that an ordinary user can run; root's own often lies under root's closed home."""
    # setpriv still has root's capabilities when it calls the first program; that one must be able to call itself again.
    check = "import os, sys; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
    candidates = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3", *map(str, Path("/usr/bin").glob("python3.1?"))]
    for python in candidates:
        if subprocess.run(as_nobody(python, "-I", "-c", check), capture_output=True, cwd="/").returncode == 0:
            return python
    pytest.skip(f"no Python of 3.11 or newer can be run by an ordinary user (tried {', '.join(candidates)})")


@pytest.fixture(scope="session")
def user_source(user_python: str) -> Iterator[Path]:
    """A folder for PYTHONPATH from which an ordinary user can import `sandbox`: the repository may be closed to others."""
    with tempfile.TemporaryDirectory(prefix="sandbox-source-") as folder:  # pytest's own folders are closed, too
        os.chmod(folder, 0o755)
        shutil.copytree(REPOSITORY / "sandbox", Path(folder) / "sandbox")
        # The user can't write here: each of his processes would compile it all again.
        subprocess.run([user_python, "-m", "compileall", "-q", folder], check=True)
        yield Path(folder)


# --- the tree -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """The files of the project, relative to its folder: tracked ones, and new ones that are not ignored."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a clone: this is an unpacked archive, git can't tell what belongs to the project")
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\0")
    return [Path(name) for name in names if name and (REPOSITORY / name).is_file()]
