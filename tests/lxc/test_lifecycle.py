"""A container of lxc-create's, and kill -9 of all that it needs, at every step: the next command finds a consistent state,
what was acknowledged is so, and in the end nothing is left.

Copies, snapshots and destruction are in test_killed.py, creation in test_create_crashes.py.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import LauncherLost, WrongState
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.launcher.ledger import Ledger
from sandbox.launcher.protocol import receive
from sandbox.lxc.create import create
from sandbox.plans import compile
from sandbox.primitives.barrier import WaitForGo
from sandbox.starting import How, here, request
from tests.conftest import REPOSITORY
from tests.launcher.conftest import until
from tests.launcher.test_crashes import held_at
from tests.lxc.doomed import Doom, doomed, gone
from tests.lxc.systems import needs_busybox
from tests.shell import Shell

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, needs_busybox]


@pytest.fixture
def doom(home: Path, request: pytest.FixtureRequest) -> Iterator[Doom]:
    """A container with a folder of its own, or the backing that the test's parameter says."""
    with doomed(getattr(request, "param", "dir")) as made:
        yield made


# --- a start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("doom", "victim", "every"), [
    ("dir", "launcher", 1), ("overlay", "launcher", 4), ("dir", "keeper", 4), ("dir", "cradle", 6),
], indirect=["doom"])  # fmt: skip
def test_a_start_whose_helper_is_killed_at_any_step_has_happened_or_not(doom: Doom, victim: str, every: int) -> None:
    doom.works()
    count = doom.changes(doom.box.start)
    assert count > 30
    seen = []
    for number in range(1, count + 1, every):
        with doom.kill(victim, number):
            seen.append(doom.asked(doom.box.start))
        assert doom.box.state == "RUNNING" or not seen[-1]
        doom.works()
    assert seen.count(False) > len(seen) // 2 or victim == "cradle"


@pytest.mark.parametrize("victim", ["child", "launcher", "keeper"])
def test_a_start_that_is_killed_at_any_step_inside_never_was(doom: Doom, victim: str) -> None:
    home, spec = doom.shelf.home, doom.box.spec
    plan = compile(*here(spec, home))
    for index in range(plan.inside.index(WaitForGo()) + 1, len(plan.inside), 4):
        how = How(keep=True, plan=held_at(plan, index))
        with client.tell(home, request(spec, how, home, foreground=False, log=f"{home.folder(spec.name)}/log")) as asked:
            until(lambda: any(entry.get("pid") for entry in Ledger(home.ledger).entries()), "it should be past the barrier")
            (entry,) = Ledger(home.ledger).entries()
            launcher = doom.shelf.launcher
            os.kill({"child": entry["pid"], "launcher": launcher, "keeper": doom.shelf.keeper}[victim], signal.SIGKILL)
            asked.settimeout(60)
            answer = receive(asked)[0] or {"exit_code": None}
            until(lambda pid=launcher: victim == "child" or gone(pid), "with its keeper, a launcher ends")  # type: ignore[misc]
        assert (answer["exit_code"] == 137) == (victim == "child")
        doom.works()


# --- an end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("victim", "every"), [("launcher", 1), ("keeper", 5)])
def test_a_kill_during_which_a_helper_is_killed_has_happened(doom: Doom, victim: str, every: int) -> None:
    doom.works()
    doom.box.start()
    count = doom.changes(doom.box.kill)
    assert count > 10
    for number in range(1, count + 1, every):
        doom.box.start()
        with doom.kill(victim, number):
            ended = doom.box.kill()
        assert ended is not None
        assert (ended.exit_code, doom.box.state) == (137, "STOPPED")
        assert doom.box.info().exit_code == 137
        doom.works()


def by_itself(doom: Doom, command: str) -> Callable[[], None]:
    """Start it; what is returned lets it run a command later, without any help of the launcher's."""
    doom.box.start()
    doom.box.exec(f"(until [ -e /go ]; do usleep 2000; done; rm /go; exec {command}) > /dev/null 2>&1 &")
    pid = doom.box.running()["pid"]

    def go() -> None:
        Path(doom.box.home.folder(doom.box.name), "rootfs/go").touch()
        until(lambda: gone(pid), f"{command} should end its first process")

    return go


@pytest.mark.parametrize(("victim", "every"), [("launcher", 2), ("keeper", 4)])
def test_a_halt_during_which_a_helper_is_killed_is_a_halt(doom: Doom, victim: str, every: int) -> None:
    doom.works()
    count = doom.changes(by_itself(doom, "halt -f"))
    for number in range(1, count + 1, every):
        go = by_itself(doom, "halt -f")
        with doom.kill(victim, number):
            go()
        ended = doom.box.wait()
        # Who had to tell may have been killed before; then nobody claims to know.
        assert (ended.exit_code, ended.reason) == (0, "halted") or (victim == "keeper" and "unknown" in ended.reason)
        doom.works()


def test_a_reboot_during_which_the_launcher_is_killed_goes_on_or_has_stopped_it(doom: Doom) -> None:
    doom.works()
    states = []
    for number in (1, 2, 3, 5, 8, 12, 18, 25, 32, 40, 48):
        go = by_itself(doom, "reboot -f")
        before = doom.box.running()["pid"]
        with doom.kill("launcher", number):
            go()
        assert doom.shelf.launcher  # asked anything, the next one puts it right
        states.append(doom.box.state)
        entry = doom.box.entry
        assert entry is None or entry["pid"] != before
        doom.works()
    assert states[0] == "RUNNING", "it had not even been told of it, and the next one was"


def test_a_halt_that_nobody_is_there_to_hear_of_is_a_halt(doom: Doom) -> None:
    """The launcher hangs, the keeper dies: the kernel still tells."""
    for victims in (["launcher"], ["keeper", "launcher"]):
        go = by_itself(doom, "halt -f")
        pids = [getattr(doom.shelf, victim) for victim in victims]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        go()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda pids=pids: all(map(gone, pids)), "they should be dead")  # type: ignore[misc]
        assert doom.box.state == "STOPPED"
        assert doom.box.wait().reason in ("halted", "exit status unknown: it ended while nobody of ours was there to be told")
        doom.works()


def test_its_first_process_killed_from_outside_has_stopped_it(doom: Doom) -> None:
    doom.box.start()
    os.kill(doom.box.running()["pid"], signal.SIGKILL)
    assert doom.box.wait().exit_code == 137
    assert doom.box.state == "STOPPED"
    doom.works()


def test_a_start_that_comes_before_the_end_was_told_waits_for_it(doom: Doom) -> None:
    """A shell that sees STOPPED may start it at once, though its launcher has not heard yet."""
    doom.box.start()
    keeper = doom.shelf.keeper
    os.kill(keeper, signal.SIGSTOP)
    try:
        os.kill(doom.box.running()["pid"], signal.SIGKILL)
        until(lambda: doom.box.state == "STOPPED", "it should be dead")
        with Shell(str(doom.shelf.home.path)).begin("lxc-start", "-n", doom.box.name, "-d") as starting:
            time.sleep(0.5)
            os.kill(keeper, signal.SIGCONT)
            out, err = starting.communicate(timeout=110)
        assert (starting.returncode, out, err) == (0, b"", b"")
    finally:
        os.kill(keeper, signal.SIGCONT)
    doom.works()


# --- a command inside -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("victim", "every"), [("launcher", 3), ("cradle", 6)])
def test_a_helper_killed_while_a_command_comes_in_leaves_the_container_alone(doom: Doom, victim: str, every: int) -> None:
    doom.box.start()
    pid = doom.box.running()["pid"]
    for number in range(1, 18, every):
        with doom.kill(victim, number), suppress(LauncherLost):
            assert doom.box.exec("exit 3").exit_code == 3
        assert doom.box.running()["pid"] == pid
        assert doom.box.exec("exit 4").exit_code == 4
    doom.works()


def test_the_process_of_a_container_that_ended_is_never_another_one(doom: Doom) -> None:
    """Its number may be given to somebody else: lxc-attach -s enters what this folder in /proc leads to."""
    doom.box.start()
    with doom.box.process() as folder:
        assert os.readlink("ns/net", dir_fd=folder) == os.readlink(f"/proc/{doom.box.running()['pid']}/ns/net")
        doom.box.kill()
        doom.box.start()
        with pytest.raises(ProcessLookupError):
            os.open("ns/net", os.O_RDONLY, dir_fd=folder)
    doom.box.kill()
    with pytest.raises(WrongState), doom.box.process():
        raise AssertionError("it does not run")


# --- frozen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("lxc-stop", "-t", "5"), ("lxc-stop", "-k"), ("lxc-destroy", "-f")])
def test_a_frozen_one_can_be_ended(home: Path, words: tuple[str, ...]) -> None:
    create(open_home(), "box", "busybox", backing="overlay")
    box = Container("box")
    box.start()
    shell = Shell(str(home))
    shell.text("lxc-freeze", "-n", "box")
    assert shell.text("lxc-info", "-n", "box", "-sH") == "FROZEN"
    assert shell.text(*words, "-n", "box") == ""
    assert box.state == "STOPPED"
    assert shell.is_empty()


# --- the command itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [
    ("lxc-start", "-d"), ("lxc-start", "-F"), ("lxc-stop", "-k"), ("lxc-attach", "--", "sleep", "5"), ("lxc-destroy", "-f"),
])  # fmt: skip
def test_a_command_killed_at_any_moment_has_done_it_or_not(doom: Doom, words: tuple[str, ...]) -> None:
    name = doom.box.name
    shell = Shell(str(doom.shelf.home.path), extra={"SANDBOX_PORTER": "no"})
    for milliseconds in (70, 85, 100, 115, 130):
        if words[0] != "lxc-start":
            doom.box.start()
        with shell.begin(words[0], "-n", name, *words[1:]) as command:
            time.sleep(milliseconds / 1000)
            command.kill()
        until(lambda: words[:2] != ("lxc-start", "-F") or doom.box.entry is None, "who waited for it is gone")
        assert shell.run("lxc-info", "-n", name, "-sH").stdout.strip() in (b"RUNNING", b"STOPPED", b"")
        if name not in open_home().names():
            create(open_home(), name, "busybox")
        for entry in os.listdir(open_home().containers):
            if entry[0] == ".":
                os.utime(Path(open_home().containers, entry), (0, 0))
        subprocess.run([sys.executable, "-c", "from sandbox.home import home; home()"], check=True, env=shell.environment)
        doom.works()


_PORTER = """
import os, socket, struct, subprocess, sys, time
from sandbox.cli import knock
from sandbox.home import home
from sandbox.lxc.create import create
base = home()
create(base, "base", "busybox")
for number in range(3000):
    open(f"{base.folder('base')}/rootfs/var/{number}", "w").close()
words = [sys.executable, "-m", "sandbox"]
subprocess.run([*words, "lxc-ls"], check=True, stdout=subprocess.DEVNULL)
door = socket.socket(socket.AF_UNIX)
end = time.monotonic() + 60
while door.connect_ex(f"{knock.folder()}/{knock.name(knock.identity())}"):
    assert time.monotonic() < end
    time.sleep(0.02)
porter = struct.unpack("3i", door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
door.close()
copy = subprocess.Popen([*words, "lxc-copy", "-n", "base", "-N", "new"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
while not any(name[0] == "." for name in os.listdir(base.containers)):
    assert copy.poll() is None
os.kill(porter, 9)
print(copy.wait(), copy.stderr.read())
subprocess.run([*words, "lxc-copy", "-n", "base", "-N", "new"], check=True)
print(base.names())
"""


def test_a_porter_that_is_killed_takes_its_command_with_it_and_the_next_one_works(home: Path) -> None:
    """In a mount namespace of its own, so that it is the porter of nobody else."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SANDBOX_PORTER": ""}
    command = ["unshare", "--mount", sys.executable, "-c", _PORTER]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110)
    told, names = done.stdout.splitlines()
    assert told.startswith("1 b'sandbox: the porter was killed")
    assert names == "['base', 'new']"
