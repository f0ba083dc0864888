"""Hostile tests: what a container must not be able to do to the host, however hard it tries.

They are black boxes: real containers, started as a user would. As root they run in a mount namespace of their own (with the
launchers they start): each module enters one before its first test and leaves it after its last, within the pytest process,
so that every test keeps a report of its own. A mount that went wrong shows there, and never on the machine. After each test
the host is compared with what it was before.

Numbers are CVEs, or the class of an attack where there is none.
"""

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.linux import constants as c
from sandbox.linux import files, syscalls
from tests.attacks.hostile import Hostile, end_launcher
from tests.conftest import OWN_GROUPS, waiting_groups

#: What a container would change if it could: values of the kernel that are not namespaced.
SETTINGS = (
    "kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "kernel/panic", "kernel/randomize_va_space", "kernel/sysrq",
    "fs/file-max", "vm/overcommit_memory", "kernel/keys/maxkeys", "fs/suid_dumpable",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    """A mount namespace of our own for the tests of a module, with nodes of our own in /dev: a chmod of a node that is shared
    with the host would be the host's. An ordinary user has no power to hurt either. unshare(2), setns(2)."""
    if os.geteuid():
        yield
        return
    folder, back = os.getcwd(), os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(c.CLONE_NEWNS)
    syscalls.mount(None, "/", None, c.MS_REC | c.MS_PRIVATE)
    _replace_dev()
    yield
    syscalls.unshare(c.CLONE_FS)  # setns is EINVAL while another thread (faulthandler's) shares our root directory
    syscalls.setns(back, c.CLONE_NEWNS)  # it also puts us into the root directory
    os.close(back)
    os.chdir(folder)


def _replace_dev() -> None:
    """A /dev with copies of its nodes, and the file systems that are mounted in it."""
    trees = {name: syscalls.open_tree(f"/dev/{name}", c.OPEN_TREE_CLONE | c.AT_RECURSIVE) for name in ("pts", "shm")}
    nodes = [(entry.name, entry.stat(follow_symlinks=False)) for entry in os.scandir("/dev")]
    links = {entry.name: os.readlink(entry.path) for entry in os.scandir("/dev") if entry.is_symlink()}
    syscalls.mount("tmpfs", "/dev", "tmpfs", c.MS_NOSUID, "mode=0755")
    for name, found in nodes:
        if stat.S_ISCHR(found.st_mode):
            os.mknod(f"/dev/{name}", found.st_mode, found.st_rdev)
            os.chmod(f"/dev/{name}", stat.S_IMODE(found.st_mode))
    for name, target in links.items():
        os.symlink(target, f"/dev/{name}")
    for name, tree in trees.items():
        os.mkdir(f"/dev/{name}")
        syscalls.move_mount(tree, f"/dev/{name}")
        os.close(tree)


@pytest.fixture(scope="module")
def home(apart: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SANDBOX_HOME for the tests of a module: one launcher, whose images are made once. It is ended with the module."""
    folder = tmp_path_factory.mktemp("attacks") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(folder))
        yield folder
        end_launcher()


def nothing_left(seconds: float = 30.0) -> None:
    """No kernel object is held for any container; a moment's grace, for the answer comes before the tidying up."""
    end = time.monotonic() + seconds
    while (left := sandbox.ledger()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, f"kernel objects are left behind: {left}"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder of the host with a secret in it, that belongs to host root and that nobody gave to the container."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "secret").write_text("the host's")
    return folder


def _groups() -> set[str]:
    """The control groups of this module's launcher, in every tree."""
    ours = os.path.basename(open_home().runtime)
    found = {folder for own in OWN_GROUPS for folder, _, _ in os.walk(own) if os.path.basename(folder).startswith(ours)}
    return found - waiting_groups()


def _host() -> dict[str, object]:
    """What may not change."""
    null = os.stat("/dev/null")
    nodes = {}
    for entry in os.scandir("/dev"):
        found = entry.stat(follow_symlinks=False)
        nodes[entry.name] = (found.st_mode, found.st_rdev, found.st_uid, found.st_gid)
    return {
        "/dev/null": (oct(null.st_mode), null.st_rdev, null.st_uid, null.st_gid),
        "/dev": nodes,
        "mounts": files.read("/proc/self/mountinfo"),
        "sysctls": {name: files.read(f"/proc/sys/{name}") for name in SETTINGS if os.access(f"/proc/sys/{name}", os.R_OK)},
        "python": hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest(),
        "passwd": hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest(),
    }


@pytest.fixture(autouse=True)
def the_host_is_unharmed(home: Path, tmp_path: Path) -> Iterator[None]:
    """Devices, mounts, cgroups, settings, programs and canaries of the host are after each test what they were before it."""
    before, groups = _host(), _groups()
    yield
    nothing_left()
    after = _host()
    for what, was in before.items():
        assert after[what] == was, f"{what} of the host changed"
    assert after["/dev/null"] == (oct(0o20666), os.makedev(1, 3), 0, 0)
    end = time.monotonic() + 30
    while (left := _groups() - groups) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left, f"cgroups are left behind: {sorted(left)}"
    if (tmp_path / "canary").is_dir():
        assert os.listdir(tmp_path / "canary") == ["secret"]
        assert (tmp_path / "canary/secret").read_text() == "the host's"


@pytest.fixture
def image(tmp_path: Path, home: Path) -> Hostile:
    """An image in the making: busybox, and on top of it whatever the test puts into `image.folder`."""
    return Hostile(tmp_path / "hostile")
