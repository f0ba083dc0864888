"""lxc-create that is killed, has no room, or has many rivals: a container is there whole, or nothing is."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.errors import AlreadyExists
from sandbox.home import home as open_home
from sandbox.lxc.create import create
from tests.conftest import REPOSITORY
from tests.lxc.systems import needs_busybox, program
from tests.private import privately
from tests.shell import until


@pytest.fixture
def shelf(home: Path) -> Path:
    """The folder of the containers."""
    return Path(open_home().containers)


WORK = """
from sandbox.home import home
from sandbox.lxc.create import create
create(home(), "box", {template!r}, progress=lambda text: print(text, flush=True))
"""


def running(word: str) -> bool:
    """Whether anybody has this word in its command line."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


@pytest.mark.needs_userns
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_in_the_middle_nothing_is_left(shelf: Path, tmp_path: Path, number: signal.Signals) -> None:
    seconds = f"1000.{os.getpid()}{number:d}"  # a word that nobody else has in its command line
    template = program(tmp_path, f"mount -t tmpfs none /mnt && echo at work; sleep {seconds} & setsid sleep {seconds}")
    script = WORK.format(template=template)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                          start_new_session=True) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"at work\n"
        until(lambda: running(seconds), "the template should be at work")
        os.kill(process.pid, number)
    until(lambda: not running(seconds), "what it started should be gone")
    if number == signal.SIGKILL:  # nobody was there to clean up: whoever opens the shelf does, once nobody can be at work
        (left,) = os.listdir(shelf)
        os.utime(shelf / left, (0, 0))
        subprocess.run([sys.executable, "-c", "from sandbox.home import home; home()"], check=True, env=environment)
    assert os.listdir(shelf) == []


@needs_busybox
def test_of_32_that_want_one_name_one_gets_it(shelf: Path) -> None:
    ends: list[str] = []

    def work() -> None:
        try:
            create(open_home(), "box", "busybox", backing="overlay")
            ends.append("made")
        except AlreadyExists:
            ends.append("taken")

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["made", *["taken"] * 31]
    assert os.listdir(shelf) == ["box"]
    assert open_home().load("box").name == "box"


FULL = """
import os
from sandbox.errors import SandboxError
from sandbox.home import home
from sandbox.linux.syscalls import mount
from sandbox.lxc.create import create
mount("tmpfs", "{path}", "tmpfs", 0, "size=16m")
os.environ["SANDBOX_HOME"] = "{path}/shelf"
shelf = home()
create(shelf, "old", "busybox", backing="overlay")
made = 0
for pages in range(2000, 0, -97):
    with open("{path}/fill", "wb") as file:
        space = os.statvfs("{path}").f_bavail - pages
        file.write(bytes(4096 * max(space, 0)))
    try:
        create(shelf, "new", "busybox")
        made += 1
        shelf.remove("new")
    except SandboxError as error:
        assert error.message.startswith("no space left on"), error
    assert os.listdir(shelf.containers) == ["old"], os.listdir(shelf.containers)
    os.unlink("{path}/fill")
print(made, shelf.load("old").name)
os.rmdir(shelf.runtime)
"""


@pytest.mark.needs_root
@needs_busybox
@pytest.mark.needs_userns
def test_on_a_full_disk_it_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    made, old = privately(FULL.format(path=tmp_path)).split()
    assert 0 < int(made) < 20
    assert old == "old"


@needs_busybox
def test_a_signal_handler_of_the_caller_stays_as_it_was(shelf: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        create(open_home(), "box", "busybox", progress=lambda text: os.kill(os.getpid(), signal.SIGTERM))
        assert seen
    finally:
        signal.signal(signal.SIGTERM, before)
    create(open_home(), "other", "busybox")
    assert signal.getsignal(signal.SIGTERM) is before
