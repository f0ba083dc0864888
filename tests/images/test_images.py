"""The door: what `get` gives, whoever asks, and however many at once."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox import images
from sandbox.errors import NotFound
from sandbox.home import home
from sandbox.images import layers
from sandbox.store import Home
from tests.conftest import REPOSITORY, as_nobody


def test_an_unknown_image_is_refused_with_the_names_of_those_there_are(shelf: Home) -> None:
    with pytest.raises(NotFound, match=r"'fedora'(.|\n)*busybox, host"):
        images.get("fedora", shelf)


@pytest.mark.parametrize("name", images.names())
def test_a_layer_is_made_once_and_is_nobody_elses(shelf: Home, name: str) -> None:
    first = images.get(name, shelf)
    made = os.stat(first.layers[0])
    assert images.get(name, shelf) == first
    assert os.stat(first.layers[0]).st_ino == made.st_ino
    for folder, names, files in os.walk(first.layers[0]):
        for entry in (folder, *(os.path.join(folder, entry) for entry in (*names, *files))):
            status = os.lstat(entry)
            assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()), entry
            assert not status.st_mode & 0o6000, entry


@pytest.mark.parametrize("name", images.names())
def test_modes_are_right_whatever_the_umask(shelf: Home, name: str) -> None:
    old = os.umask(0o077)
    try:
        (layer,) = images.get(name, shelf).layers
    finally:
        os.umask(old)
    wanted = {"": 0o755, "tmp": 0o1777, "root": 0o700, "etc": 0o755, "etc/passwd": 0o644, "etc/shadow": 0o600, "usr": 0o755}
    assert {path: os.stat(f"{layer}/{path}").st_mode & 0o7777 for path in wanted} == wanted


@pytest.mark.parametrize("name", images.names())
def test_a_warm_process_asks_for_an_image_in_less_than_two_milliseconds(shelf: Home, name: str) -> None:
    images.get(name, shelf)

    def took() -> float:
        start = time.perf_counter()
        images.get(name, shelf)
        return time.perf_counter() - start

    assert min(took() for _ in range(20)) < 0.002


def test_of_many_at_once_one_makes_the_layer(shelf: Home) -> None:
    made: list[str] = []
    found: list[str] = []

    def fill(root: str) -> None:
        made.append(root)
        time.sleep(0.02)
        layers.furnish(root)

    threads = [threading.Thread(target=lambda: found.append(layers.make(shelf, "layer", fill))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert set(found) == {f"{shelf.layers}/layer"}
    assert os.listdir(shelf.layers) == ["layer"]


def test_a_layer_that_is_made_just_before_ours_is_begun_is_taken(shelf: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder has its name, so that of one in the making is free again: ours is not filled, and is no obstacle."""
    mkdir, made = os.mkdir, f"{shelf.layers}/layer"

    def late(path: str, mode: int = 0o777) -> None:
        monkeypatch.undo()
        layers.make(shelf, "layer", layers.furnish)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", late)
    assert layers.make(shelf, "layer", lambda root: pytest.fail("it is there")) == made
    assert os.listdir(shelf.layers) == ["layer"]
    assert "etc" in os.listdir(made)


def test_a_failure_or_a_crash_in_the_middle_leaves_no_layer(shelf: Home) -> None:
    def fail(root: str) -> None:
        Path(root, "half").touch()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        layers.make(shelf, "layer", fail)
    assert os.listdir(shelf.layers) == []
    Path(shelf.layers, ".new-layer").mkdir()  # what a crash leaves
    Path(shelf.layers, ".new-layer", "half").touch()
    assert os.listdir(layers.make(shelf, "layer", lambda root: None)) == []
    assert os.listdir(shelf.layers) == ["layer"]


def test_a_layer_that_takes_long_lets_no_other_wait(shelf: Home) -> None:
    def fill(root: str) -> None:
        layers.make(shelf, "other", layers.furnish)  # it is made while this one is not there yet
        assert sorted(os.listdir(shelf.layers)) == [".new-slow", "other"]

    layers.make(shelf, "slow", fill)
    assert sorted(os.listdir(shelf.layers)) == ["other", "slow"]


def test_after_an_error_another_who_waited_makes_it(shelf: Home) -> None:
    made: list[str] = []
    waiting = threading.Thread(target=lambda: made.append(layers.make(shelf, "layer", layers.furnish)))

    def fail(root: str) -> None:
        waiting.start()
        time.sleep(0.05)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        layers.make(shelf, "layer", fail)
    waiting.join()
    assert made == [f"{shelf.layers}/layer"]
    assert os.listdir(shelf.layers) == ["layer"]


def test_what_a_crash_left_of_a_layer_goes_when_the_shelf_is_opened(shelf: Home) -> None:
    left = Path(shelf.layers, ".new-layer")
    left.mkdir()
    (left / "half").touch()
    os.utime(left, (0, 0))
    script = "from sandbox.home import home; home()"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert os.listdir(shelf.layers) == []


@pytest.mark.needs_root
def test_an_ordinary_user_has_layers_and_containers_of_its_own(user_python: str, user_source: Path) -> None:
    script = """
import contextlib, os, tempfile
from sandbox import images
from sandbox.home import home
from sandbox.spec import Spec
with tempfile.TemporaryDirectory() as folder:
    os.environ["SANDBOX_HOME"] = folder + "/shelf"
    shelf = home()
    for name in images.names():
        print(name, os.stat(images.get(name, shelf).layers[0]).st_uid)
    upper = shelf.create(Spec(name="box")).root.upper
    work = os.path.join(upper, "work", "work")
    os.makedirs(work + "/deep")
    os.chmod(work, 0)  # as overlay leaves it
    shelf.remove("box")
    print(shelf.names())
    os.rmdir(shelf.runtime)
    with contextlib.suppress(OSError):  # others of this user may be there
        os.rmdir(os.path.dirname(shelf.runtime))
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(user_source), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    done = subprocess.run(as_nobody(user_python, "-c", script), capture_output=True, text=True, env=environment, cwd="/")
    assert done.stderr == ""
    assert done.stdout == "busybox 65534\nhost 65534\n[]\n"


def test_asking_needs_no_module_that_is_not_loaded_already(shelf: Home) -> None:
    for name in images.names():
        images.get(name, home())
    before = set(sys.modules)
    for name in images.names():
        images.get(name, home())
    assert set(sys.modules) == before
