"""No room at any write of copy, snapshot, restore, start and destroy: it has happened or not, is told in one sentence, and
what was there stays. On a small tmpfs in a mount namespace of its own; creation is in test_create_crashes.py.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.lxc.systems import needs_busybox

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, needs_busybox]

#: Before each script: a shelf on a disk of 24 MiB, and on a tmpfs of 1 MiB what runs; `tries` leaves so many pages of either.
BEGIN = """
import os, sys, time
from contextlib import suppress
from sandbox.linux.syscalls import mount, umount2
place = sys.argv[1]
mount("tmpfs", place, "tmpfs", 0, "size=24m")
import sandbox
from sandbox.errors import SandboxError
from sandbox.home import home
from sandbox.launcher import client
from sandbox.lxc import copying, destroying, snapshots
from sandbox.lxc.create import create
shelf = home()
mount("tmpfs", shelf.runtime, "tmpfs", 0, "size=1m,mode=0700")

def fill(place, pages):
    with suppress(OSError), open(f"{place}/fill", "wb") as file:  # a container may be taking the last pages, too
        file.write(bytes(4096 * max(os.statvfs(place).f_bavail - pages, 0)))

def tried(act, place, pages):
    fill(place, pages)
    try:
        act()
        return "done"
    except SandboxError as error:
        assert error.message.startswith("no space left on"), error
        return "full"
    finally:
        os.unlink(f"{place}/fill")

def hidden(folder):
    return [name for name in os.listdir(folder) if name[0] == "."]

def end():
    for entry in sandbox.ledger():
        sandbox.Container(entry["name"]).kill()
    assert sandbox.ledger() == []
    client.end(shelf)
    umount2(shelf.runtime, 2)  # MNT_DETACH: its keeper is just leaving
    os.rmdir(shelf.runtime)
"""
#: Pages that are left: each write of a command needs one or two, and a copy of the whole root about five hundred.
FEW, MANY = (0, 1, 2, 3, 4, 5, 6, 8, 11, 15), (20, 100, 300, 450, 500, 550, 800)


def script(text: str, place: Path) -> list[str]:
    """The lines that this script prints, whose disk may be as full as it likes. It must not fail."""
    place.mkdir(exist_ok=True)
    command = ["unshare", "--mount", sys.executable, "-c", BEGIN + text, str(place)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SANDBOX_HOME": f"{place}/shelf"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


COPIES = """
create(shelf, "base", "busybox")
snapshots.take(shelf, "base")
before = sorted(os.listdir(shelf.folder("base")))
acts = {{
    "copy": (lambda: copying.copy(shelf, "base", "new"), {few} + {many}),
    "overlay": (lambda: copying.copy(shelf, "base", "new", backing="overlay"), {few}),
    "snapshot": (lambda: snapshots.take(shelf, "base"), {few} + {many}),
    "restore": (lambda: snapshots.restore(shelf, "base", "snap0"), {few} + {many}),
    "restore as another": (lambda: snapshots.restore(shelf, "base", "snap0", "new"), {few} + {many}),
}}
for name, (act, pages) in acts.items():
    told = []
    for left in pages:
        told.append(tried(act, place, left))
        made = told[-1] == "done"
        assert shelf.names() == ["base"] + ["new"] * (made and name in ("copy", "overlay", "restore as another")), (name, left)
        kept = snapshots.names(shelf, "base")
        assert kept == ["snap0"] + ["snap1"] * (made and name == "snapshot"), (name, left)
        assert hidden(shelf.containers) == hidden(f"{{shelf.folder('base')}}/snaps") == []
        assert sorted(set(os.listdir(shelf.folder("base"))) - {{"lxc_snapshots"}}) == before, (name, left)
        for each in shelf.names():
            assert shelf.load(each).hostname == each
            assert os.path.exists(f"{{shelf.load(each).root.path or shelf.load(each).root.layers[0]}}/bin/busybox")
        if "new" in shelf.names():
            destroying.destroy(shelf, "new")
        if "snap1" in kept:
            snapshots.destroy(shelf, "base", "snap1")
    print([name, told.count("done"), told.count("full")])
end()
"""


def test_copies_and_snapshots_are_made_whole_or_not_at_all(tmp_path: Path) -> None:
    lines = script(COPIES.format(few=FEW, many=MANY), tmp_path / "disk")
    told = {name: (done, full) for name, done, full in map(ast.literal_eval, lines)}
    assert sorted(told) == ["copy", "overlay", "restore", "restore as another", "snapshot"]
    assert all(done and full for done, full in told.values()), told


LIFE = """
create(shelf, "box", "busybox", backing="overlay")
box = sandbox.Container("box")
for left in {few}:
    assert tried(box.start, place, left) == "done"  # its log and its record are lost then, and only they
    fill(place, 0)
    box.exec("yes | head -c 100000 > /dev/console; echo x > /file || exit 9")
    assert box.exec("echo hi").text == "hi\\n"
    assert box.info().state == "RUNNING"
    box.kill()
    assert box.state == "STOPPED"
    os.unlink(f"{{place}}/fill")
    assert sandbox.ledger() == []
end()
print("over")
"""


def test_a_container_runs_and_ends_on_a_full_disk(tmp_path: Path) -> None:
    assert script(LIFE.format(few=FEW), tmp_path / "disk") == ["over"]


LEDGER = """
create(shelf, "box", "busybox", backing="overlay")
box = sandbox.Container("box")
box.start()
box.kill()
def who():
    return client.ask(shelf, {{"do": "hello"}})[0]["pid"]
first = who()
def again():
    before = box.running()["pid"]
    box.exec("(usleep 50000; reboot -f) > /dev/null 2>&1 &")
    end = time.monotonic() + 30
    while (entry := box.entry) is not None and entry["pid"] == before and time.monotonic() < end:
        time.sleep(0.01)
for name, act in (("start", box.start), ("exec", lambda: box.exec("true")), ("kill", box.kill), ("reboot", again)):
    told = []
    for left in {few}:
        if name != "start":
            box.start()
        told.append(tried(act, shelf.runtime, left))
        who()
        assert (box.state == "RUNNING") == (told[-1] == "done") or name != "start"
        if box.entry is None:
            box.start()
        assert box.exec("echo hi").text == "hi\\n"
        box.kill()
        assert sandbox.ledger() == []
    print([name, told.count("done"), told.count("full")])
assert who() == first, "the launcher died of it"
end()
"""


def test_what_can_not_be_noted_in_the_ledger_is_not_done(tmp_path: Path) -> None:
    lines = script(LEDGER.format(few=FEW), tmp_path / "disk")
    told = {name: (done, full) for name, done, full in map(ast.literal_eval, lines)}
    assert all(done for done, _ in told.values())
    assert told["start"][1] > 0
    assert told["kill"][1] == 0, "whatever is full, it can be ended"


DESTROY = """
create(shelf, "base", "busybox")
for name in ("one", "two", "three"):
    copying.copy(shelf, "base", name, backing="overlay")
snapshots.take(shelf, "one")
box = sandbox.Container("two")
box.start()
box.exec("dd if=/dev/zero of=/fill bs=4096 2> /dev/null")  # it has filled the disk itself
assert os.statvfs(place).f_bavail == 0
for name in ("two", "one", "three", "base"):
    fill(place, 0)
    destroying.destroy(shelf, name, force=True, snapshots=name == "one")
    os.unlink(f"{place}/fill")
print(os.listdir(shelf.containers), sandbox.ledger())
end()
"""


def test_all_can_be_destroyed_on_a_full_disk(tmp_path: Path) -> None:
    assert script(DESTROY, tmp_path / "disk") == ["[] []"]
