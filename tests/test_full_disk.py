"""Disks that are full, and folders that are in use: told in one sentence, and nothing is lost or left half done."""

from pathlib import Path

import pytest

from tests.private import privately

FULL = """
import os, sys
from sandbox.errors import SandboxError
from sandbox.home import home
from sandbox.images import get
from sandbox.linux.syscalls import mount
from sandbox.spec import Process, Spec
mount("tmpfs", "{path}", "tmpfs", 0, "size={size},nr_inodes={inodes}")
os.environ["SANDBOX_HOME"] = "{path}/shelf"
shelf = home()
shelf.create(Spec(name="old"))
fd = os.open("{path}/shelf/fill", os.O_CREAT | os.O_WRONLY)
while {fill}:
    try:
        os.write(fd, b"x" * 4096)
    except OSError:
        break
big = Process(env=("A=" + "x" * 100_000,))
for work in (lambda: shelf.create(Spec(name="new", process=big)), lambda: shelf.save(Spec(name="old", process=big)),
             lambda: shelf.write_record(dict(name="run", text="x" * 100_000)), lambda: get("host", shelf)):
    try:
        work()
        print("done")
    except SandboxError as error:
        print(error.message)
print(sorted(os.listdir(shelf.path + "/containers")), os.listdir(shelf.path + "/records"), os.listdir(shelf.layers))
print(shelf.load("old").name)
shelf.remove("old")
print(shelf.names())
os.rmdir(shelf.runtime)
"""


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_a_full_disk_is_told_leaves_nothing_half_written_and_can_be_emptied(tmp_path: Path) -> None:
    out = privately(FULL.format(path=tmp_path, size="1m", inodes=0, fill=True))
    full = f"no space left on {tmp_path}/shelf"
    assert [line.startswith(full) for line in out.splitlines()[:4]] == [True] * 4, out
    assert out.splitlines()[4:] == ["['old'] [] []", "old", "[]"]


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_so_is_a_disk_without_room_for_another_file(tmp_path: Path) -> None:
    out = privately(FULL.format(path=tmp_path, size="8m", inodes=15, fill=False))
    assert out.splitlines()[0].startswith("no space left on")
    assert "['old']" in out
    assert out.splitlines()[-1] == "[]"


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_a_container_in_which_something_is_mounted_is_not_removed(tmp_path: Path) -> None:
    script = f"""
import os
from sandbox.errors import WrongState
from sandbox.home import home
from sandbox.linux.syscalls import mount
from sandbox.spec import Spec
os.environ["SANDBOX_HOME"] = "{tmp_path}/shelf"
upper = home().create(Spec(name="box")).root.upper
os.makedirs("{tmp_path}/precious/folder")
os.mkdir(upper + "/upper/data")
mount("{tmp_path}/precious", upper + "/upper/data", None, 4096)
try:
    home().remove("box")
except WrongState as error:
    print(error.condition)
print(os.listdir("{tmp_path}/precious"), home().names())
os.rmdir(home().runtime)
"""
    out = privately(script)
    assert out.splitlines()[0].endswith("/upper/upper/data is a mount point")
    assert out.splitlines()[1] == "['folder'] ['box']"
