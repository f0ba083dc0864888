"""Copies of containers: whole or over their original, each with a name and addresses of its own, and the same password."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import AlreadyExists, InvalidOption, KernelRefused, NotFound, WrongState
from sandbox.home import at
from sandbox.home import home as open_home
from sandbox.lxc import copying, destroying, snapshots
from tests.lxc.folders import make_lxc
from tests.shell import Shell

MAC = "00:16:3e:00:00:01"


@pytest.fixture
def base(home: Path) -> Path:
    """The folder of a container `base`, with all that a copy has to think of."""
    folder = Path(
        make_lxc("base", "lxc.net.0.type = veth", f"lxc.net.0.hwaddr = {MAC}", "lxc.mystery = kept").home.folder("base")
    )
    (folder / "rootfs/etc/hostname").write_text("base\n")
    (folder / "rootfs/root").mkdir(exist_ok=True)
    (folder / "rootfs/root/file").write_text("of the base\n")
    (folder / "tmp_root_pass").write_text("secret\n")
    (folder / "log").write_text("not to be copied")
    return folder


def config(name: str) -> str:
    return Path(open_home().folder(name), "config").read_text()


def value(name: str, key: str) -> str:
    return next(line.partition("= ")[2] for line in config(name).splitlines() if line.startswith(f"{key} "))


@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_a_copy_has_a_name_and_an_address_of_its_own_and_the_same_password(base: Path, backing: str) -> None:
    copying.copy(open_home(), "base", "copy", backing=backing)
    folder = base.parent / "copy"
    assert value("copy", "lxc.uts.name") == "copy"
    assert value("copy", "lxc.net.0.hwaddr").startswith("00:16:3e:")
    assert value("copy", "lxc.net.0.hwaddr") != MAC
    assert value("copy", "lxc.mystery") == "kept"
    assert (folder / "tmp_root_pass").read_text() == "secret\n"
    changed = folder / ("rootfs" if backing == "dir" else "overlay/upper") / "etc/hostname"
    assert changed.read_text() == "copy\n"
    assert (base / "rootfs/etc/hostname").read_text() == "base\n"
    assert "log" not in os.listdir(folder)
    assert str(base) not in config("copy") or backing == "overlay"


def test_name_and_address_can_be_kept(base: Path) -> None:
    copying.copy(open_home(), "base", "copy", keep_name=True, keep_mac=True)
    assert (value("copy", "lxc.uts.name"), value("copy", "lxc.net.0.hwaddr")) == ("base", MAC)
    assert (base.parent / "copy/rootfs/etc/hostname").read_text() == "base\n"


def test_a_full_copy_is_its_own(base: Path) -> None:
    copying.copy(open_home(), "base", "copy")
    (base.parent / "copy/rootfs/root/file").write_text("changed")
    assert (base / "rootfs/root/file").read_text() == "of the base\n"
    destroying.destroy(open_home(), "base")
    assert (base.parent / "copy/rootfs/bin/busybox").exists()


def test_an_overlay_clone_holds_a_few_files_however_large_its_base_is(base: Path) -> None:
    with open(base / "rootfs/large", "wb") as file:
        file.truncate(1 << 30)
    copying.copy(open_home(), "base", "clone", backing="overlay")
    size = sum(path.lstat().st_blocks * 512 for path in (base.parent / "clone").rglob("*"))
    assert size <= 64 << 10
    lower, upper = value("clone", "lxc.rootfs.path").removeprefix("overlay:").split(":")
    assert (lower, upper) == (f"{base}/rootfs", f"{base.parent}/clone/overlay/upper")


def test_no_door_takes_away_what_others_stand_on(base: Path) -> None:
    copying.copy(open_home(), "base", "clone", backing="overlay")
    with pytest.raises(WrongState, match="base has clones"):
        Container("base").destroy(force=True)
    Container("clone").destroy()
    Container("base").destroy()
    assert open_home().names() == []


def test_an_overlay_clone_of_a_clone_stands_on_the_same_base(base: Path) -> None:
    copying.copy(open_home(), "base", "one", backing="overlay")
    (base.parent / "one/overlay/upper/root").mkdir()
    (base.parent / "one/overlay/upper/root/own").write_text("of one")
    copying.copy(open_home(), "one", "two", backing="overlay")
    destroying.destroy(open_home(), "one")
    assert (base.parent / "two/overlay/upper/root/own").read_text() == "of one"
    assert value("two", "lxc.rootfs.path").startswith(f"overlay:{base}/rootfs:")
    with pytest.raises(WrongState, match="has clones"):
        destroying.destroy(open_home(), "base")
    destroying.destroy(open_home(), "two")
    destroying.destroy(open_home(), "base")
    assert open_home().names() == []


@pytest.mark.needs_root
def test_a_full_copy_of_an_overlay_clone_has_what_is_seen_of_it(base: Path) -> None:
    copying.copy(open_home(), "base", "clone", backing="overlay")
    upper = base.parent / "clone/overlay/upper"
    (upper / "root").mkdir()
    os.mknod(upper / "root/file", 0o020000, 0)  # it deleted this one. overlayfs.rst, whiteouts
    (upper / "root/new").write_text("of the clone")
    copying.copy(open_home(), "clone", "copy", backing="dir")
    assert os.listdir(base.parent / "copy/rootfs/root") == ["new"]
    assert (base.parent / "copy/rootfs/etc/hostname").read_text() == "copy\n"
    destroying.destroy(open_home(), "base", snapshots=True)
    assert open_home().names() == ["copy"]


def test_files_that_the_config_names_go_along_and_are_named_anew(base: Path) -> None:
    (base / "fstab").write_text("")
    (base / "more.conf").write_text("lxc.environment = A=1\n")
    (base / "hooks").mkdir()
    (base / "hooks/start").write_text("#!/bin/sh\n")
    with open(base / "config", "a") as file:
        file.write(f"lxc.mount.fstab = {base}/fstab\nlxc.include = more.conf\nlxc.hook.pre-start = {base}/hooks/start --x\n")
        file.write(f"lxc.environment = OTHER=/mnt{base}/fstab\n")
    copying.copy(open_home(), "base", "copy")
    folder = base.parent / "copy"
    assert {"fstab", "more.conf", "hooks"} <= set(os.listdir(folder))
    assert value("copy", "lxc.mount.fstab") == f"{folder}/fstab"
    assert value("copy", "lxc.hook.pre-start") == f"{folder}/hooks/start --x"
    assert value("copy", "lxc.environment") == f"OTHER=/mnt{base}/fstab"
    assert Container("copy").spec.process.env[-2:] == ("A=1", f"OTHER=/mnt{base}/fstab")


@pytest.mark.needs_root
@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_clone_hooks_see_the_root_and_may_change_it_and_the_config(base: Path, tmp_path: Path, backing: str) -> None:
    (base / "hook").write_text(
        f'#!/bin/sh\necho "$@" $LXC_NAME $LXC_SRC_NAME $LXC_HOOK_TYPE > {tmp_path}/told\n'
        "cat $LXC_ROOTFS_MOUNT/root/file > $LXC_ROOTFS_MOUNT/root/made\necho '# by a hook' >> $LXC_CONFIG_FILE\n"
    )
    (base / "hook").chmod(0o755)
    with open(base / "config", "a") as file:
        file.write(f"lxc.hook.clone = {base}/hook\n")
    copying.copy(open_home(), "base", "copy", backing=backing, arguments=["one", "two words"])
    assert (tmp_path / "told").read_text() == "copy lxc clone one two words copy base clone\n"
    made = base.parent / "copy" / ("rootfs" if backing == "dir" else "overlay/upper") / "root/made"
    assert made.read_text() == "of the base\n"
    assert config("copy").endswith("# by a hook\n")
    assert ".new-" not in config("copy")


def test_a_hook_that_fails_leaves_nothing(base: Path) -> None:
    with open(base / "config", "a") as file:
        file.write("lxc.hook.clone = /bin/false\n")
    with pytest.raises(KernelRefused, match="hook clone"):
        copying.copy(open_home(), "base", "copy", backing="overlay")
    assert os.listdir(base.parent) == ["base"]
    destroying.destroy(open_home(), "base")


def test_a_copy_whose_root_is_hostile_changes_nothing_outside(base: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (base / "rootfs/etc/hostname").unlink()
    os.symlink(f"{tmp_path}/victim", base / "rootfs/etc/hostname")
    copying.copy(open_home(), "base", "file")
    copying.copy(open_home(), "base", "file-overlay", backing="overlay")
    os.rename(base / "rootfs/etc", base / "rootfs/real")
    (tmp_path / "hostname").write_text("untouched")
    os.symlink(str(tmp_path), base / "rootfs/etc")
    copying.copy(open_home(), "base", "folder")
    copying.copy(open_home(), "base", "folder-overlay", backing="overlay")
    assert (tmp_path / "victim").read_text() == (tmp_path / "hostname").read_text() == "untouched"
    os.unlink(base / "rootfs/etc")
    os.mkdir(base / "rootfs/etc")
    os.mkfifo(base / "rootfs/etc/hostname")
    copying.copy(open_home(), "base", "fifo")


def test_refusals(base: Path) -> None:
    with pytest.raises(NotFound):
        copying.copy(open_home(), "nobody", "copy")
    with pytest.raises(AlreadyExists):
        copying.copy(open_home(), "base", "base")
    with pytest.raises(InvalidOption, match="no such backing store"):
        copying.copy(open_home(), "base", "copy", backing="zfs")
    Container.create("docker")
    with pytest.raises(NotFound, match="not defined"):
        copying.copy(open_home(), "docker", "copy")


def test_of_32_copies_of_one_name_one_wins_and_none_leaves_a_trace(base: Path) -> None:
    ended: list[str] = []

    def one(number: int) -> None:
        try:
            copying.copy(open_home(), "base", "copy", backing="overlay" if number % 2 else "dir")
            ended.append("won")
        except AlreadyExists:
            ended.append("lost")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["lost"] * 31 + ["won"]
    assert sorted(os.listdir(base.parent)) == ["base", "copy"]


def test_a_copy_can_lie_elsewhere_and_still_protects_its_base(base: Path, tmp_path: Path) -> None:
    other = at(f"{tmp_path}/other")
    copying.copy(open_home(), "base", "clone", other, backing="overlay")
    assert other.names() == ["clone"]
    with pytest.raises(WrongState, match="has clones"):
        destroying.destroy(open_home(), "base")
    snapshots.take(other, "clone")  # goes, too
    destroying.destroy(open_home(), "base", snapshots=True)
    assert other.names() == open_home().names() == []


def test_a_container_gets_another_name_with_all_that_it_has(base: Path) -> None:
    copying.copy(open_home(), "base", "clone", backing="overlay")
    with pytest.raises(WrongState, match="not supported"):
        copying.rename(open_home(), "base", "new")
    copying.rename(open_home(), "clone", "renamed")
    assert open_home().names() == ["base", "renamed"]
    assert value("renamed", "lxc.uts.name") == "renamed"
    assert value("renamed", "lxc.rootfs.path") == f"overlay:{base}/rootfs:{base.parent}/renamed/overlay/upper"
    assert (base.parent / "renamed/overlay/upper/etc/hostname").read_text() == "renamed\n"
    with pytest.raises(WrongState) as refused:
        destroying.destroy(open_home(), "base")
    assert refused.value.condition == "renamed stand on its files"
    with pytest.raises(AlreadyExists):
        copying.rename(open_home(), "renamed", "base")


def test_whoever_is_killed_in_the_middle_of_a_renaming_has_done_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(folder: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copying, "finish_renaming", killed)
    with pytest.raises(KeyboardInterrupt):
        copying.rename(open_home(), "base", "renamed")
    assert open_home().load("renamed").root.path == f"{base.parent}/renamed/rootfs"
    assert value("renamed", "lxc.uts.name") == "renamed"
    assert open_home().names() == ["renamed"]
    assert not [name for name in os.listdir(base.parent / "renamed") if name.startswith(".config")]


def test_what_a_killed_copy_leaves_is_cleared_and_nothing_is_lost(base: Path) -> None:
    """The same as a kill -9 at that moment: nothing of what follows happens."""
    script = """
import os
from sandbox.home import home
from sandbox.lxc import copying
copying.note = lambda *words, **more: os.kill(os.getpid(), 9)
copying.copy(home(), "base", "copy", backing="overlay")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(Path(copying.__file__).parents[2])}
    )
    assert done.returncode == -9
    (left,) = (name for name in os.listdir(base.parent) if name.startswith(".new-"))
    os.utime(base.parent / left, (0, 0))  # it is older than anybody who is still at work
    assert Shell(os.environ["SANDBOX_HOME"]).text("lxc-ls", "-1") == "base"
    assert os.listdir(base.parent) == ["base"]
    destroying.destroy(open_home(), "base")
