"""Snapshots: a container as it was, to come back to, in its place or under another name."""

import os
import re
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import AlreadyExists, KernelRefused, NotFound, WrongState
from sandbox.home import home as open_home
from sandbox.lxc import copying, destroying, snapshots
from tests.lxc.folders import make_lxc


@pytest.fixture
def box(home: Path) -> Path:
    """The folder of a container `box`, with a file to be changed."""
    folder = Path(make_lxc("box").home.folder("box"))
    (folder / "rootfs/etc/hostname").write_text("box\n")
    (folder / "rootfs/file").write_text("first\n")
    (folder / "tmp_root_pass").write_text("secret\n")
    return folder


def test_snapshots_are_numbered_listed_and_kept_as_lxc_keeps_them(box: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("before the change\n")
    assert snapshots.take(open_home(), "box", f"{tmp_path}/words") == "snap0"
    assert snapshots.take(open_home(), "box") == "snap1"
    first, second = snapshots.listed(open_home(), "box")
    assert (first.name, first.place, first.comment) == ("snap0", f"{box}/snaps", "before the change\n")
    assert (second.name, second.comment) == ("snap1", "")
    assert re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", first.taken)
    assert {"config", "rootfs", "ts", "comment"} <= set(os.listdir(box / "snaps/snap0"))
    assert f"lxc.rootfs.path = dir:{box}/snaps/snap0/rootfs\n" in (box / "snaps/snap0/config").read_text()
    snapshots.destroy(open_home(), "box", "snap0")
    assert snapshots.names(open_home(), "box") == ["snap1"]
    assert snapshots.take(open_home(), "box") == "snap0"
    snapshots.destroy(open_home(), "box", "ALL")
    assert snapshots.listed(open_home(), "box") == []


def test_restored_in_place_it_is_as_it_was_and_keeps_its_snapshots(box: Path) -> None:
    before = (box / "config").read_text()
    snapshots.take(open_home(), "box")
    (box / "rootfs/file").write_text("second\n")
    (box / "rootfs/more").touch()
    with open(box / "config", "a") as file:
        file.write("lxc.environment = LATER=1\n")
    snapshots.restore(open_home(), "box", "snap0")
    assert (box / "rootfs/file").read_text() == "first\n"
    assert not (box / "rootfs/more").exists()
    assert (box / "config").read_text() == before
    assert os.listdir(box / "snaps") == ["snap0"]
    assert (box / "snaps/snap0/rootfs/file").read_text() == "first\n"


def test_restored_under_another_name_it_is_another_container(box: Path) -> None:
    snapshots.take(open_home(), "box")
    (box / "rootfs/file").write_text("second\n")
    snapshots.restore(open_home(), "box", "snap0", "new")
    new = box.parent / "new"
    assert (new / "rootfs/file").read_text() == "first\n"
    assert (new / "rootfs/etc/hostname").read_text() == "new\n"
    assert (new / "tmp_root_pass").read_text() == "secret\n"
    assert Container("new").spec.root.path == f"{new}/rootfs"
    assert "snaps" not in os.listdir(new)
    with pytest.raises(AlreadyExists):
        snapshots.restore(open_home(), "box", "snap0", "new")


def test_a_snapshot_of_an_overlay_clone_is_a_copy_of_what_it_wrote(box: Path) -> None:
    copying.copy(open_home(), "box", "clone", backing="overlay")
    upper = box.parent / "clone/overlay/upper"
    (upper / "own").write_text("first")
    snapshots.take(open_home(), "clone")
    (upper / "own").write_text("second")
    snapshots.restore(open_home(), "clone", "snap0", "new")
    snapshots.restore(open_home(), "clone", "snap0")
    assert (upper / "own").read_text() == (box.parent / "new/overlay/upper/own").read_text() == "first"
    assert Container("clone").spec.root.upper == f"{box.parent}/clone/overlay"
    with pytest.raises(WrongState, match="has clones"):
        destroying.destroy(open_home(), "box")
    for name in ("new", "clone", "box"):
        destroying.destroy(open_home(), name, snapshots=True)


def test_nothing_is_destroyed_or_replaced_while_something_needs_it(box: Path) -> None:
    snapshots.take(open_home(), "box")
    with pytest.raises(WrongState, match="box has snapshots"):
        destroying.destroy(open_home(), "box")
    copying.copy(open_home(), "box", "clone", backing="overlay")
    with pytest.raises(WrongState, match="box has clones"):
        snapshots.restore(open_home(), "box", "snap0")
    destroying.destroy(open_home(), "clone")
    destroying.destroy(open_home(), "box", snapshots=True)
    assert open_home().names() == []


@pytest.mark.parametrize("name", ["snap7", "../../box", "", ".new-1", "snap0/rootfs"])
def test_what_is_no_snapshot_is_refused(box: Path, name: str) -> None:
    snapshots.take(open_home(), "box")
    for do in (snapshots.restore, snapshots.destroy):
        with pytest.raises(NotFound):
            do(open_home(), "box", name)
    with pytest.raises(NotFound):
        snapshots.listed(open_home(), "nobody")


def test_an_interrupted_snapshot_or_restore_leaves_nothing(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots.take(open_home(), "box")
    (box / "rootfs/file").write_text("second\n")

    def interrupted(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copying, "settle", interrupted)
    for do in (lambda: snapshots.take(open_home(), "box"), lambda: snapshots.restore(open_home(), "box", "snap0")):
        with pytest.raises(KeyboardInterrupt):
            do()
        assert os.listdir(box / "snaps") == ["snap0"]
        assert (box / "rootfs/file").read_text() == "second\n"


def test_what_a_crash_left_goes_with_the_next_snapshot(box: Path) -> None:
    os.makedirs(box / "snaps/.new-crashed/rootfs/x")
    os.makedirs(box / "snaps/.gone-crashed")
    assert snapshots.names(open_home(), "box") == []
    snapshots.take(open_home(), "box")
    assert os.listdir(box / "snaps") == ["snap0"]


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_a_container_that_runs_is_left_alone(box: Path) -> None:
    snapshots.take(open_home(), "box")
    found = Container("box")
    found.start()
    try:
        for do in (
            lambda: snapshots.take(open_home(), "box"),
            lambda: snapshots.restore(open_home(), "box", "snap0"),
            lambda: copying.copy(open_home(), "box", "new"),
            lambda: copying.rename(open_home(), "box", "new"),
            lambda: destroying.destroy(open_home(), "box", snapshots=True),
        ):
            with pytest.raises(WrongState, match="box is running"):
                do()
        copying.copy(open_home(), "box", "new", running=True)
        assert (box.parent / "new/rootfs/file").read_text() == "first\n"
    finally:
        found.kill()
    found.start()
    destroying.destroy(open_home(), "box", force=True, snapshots=True)
    assert open_home().names() == ["new"]


def test_a_destroy_hook_runs_and_can_prevent_it(box: Path, tmp_path: Path) -> None:
    config = (box / "config").read_text()
    (box / "config").write_text(f"{config}lxc.hook.destroy = /bin/false\n")
    with pytest.raises(KernelRefused, match="hook destroy"):
        destroying.destroy(open_home(), "box")
    (box / "config").write_text(f"{config}lxc.hook.destroy = cp {box}/tmp_root_pass {tmp_path}/saved; :\n")
    destroying.destroy(open_home(), "box")
    assert (tmp_path / "saved").read_text() == "secret\n"
