"""Launcher and keeper are killed while containers run: nothing is lost that can be kept, and nothing is made up."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

import sandbox
from sandbox.errors import LauncherLost
from sandbox.launcher import client, protocol
from tests.conftest import REPOSITORY
from tests.launcher.conftest import Shelf, processes, until

pytestmark = pytest.mark.needs_userns

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 200001))


def started(shelf: Shelf, script: str, **options: object) -> sandbox.Container:
    made = sandbox.Container.create(shelf.name(), "busybox", shelf.script(script), **options)
    made.start()
    return made


def output(box: sandbox.Container) -> bytes:
    return b"".join(data for _, stream, data in box.logs() if stream == "stdout")


# --- the launcher ---------------------------------------------------------------------------------------------------


def test_an_exit_status_is_kept_while_there_is_no_launcher(shelf: Shelf) -> None:
    box = started(shelf, "sleep 0.4; exit 7")
    pid, launcher = box.info().pid, shelf.launcher
    os.kill(launcher, signal.SIGSTOP)  # it can't hear of the exit any more
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the container should end and be reaped by the keeper")
    shelf.kill(launcher)
    assert box.wait().exit_code == 7


def test_a_container_runs_on_when_the_launcher_is_killed(shelf: Shelf) -> None:
    box = started(shelf, "sleep 0.6; exit 7")
    pid = box.info().pid
    shelf.kill(shelf.launcher)
    assert box.info().pid == pid
    assert box.wait().exit_code == 7
    assert box.info().reason == ""


def test_no_byte_of_output_is_lost_while_the_launcher_is_killed_five_times(shelf: Shelf) -> None:
    box = started(shelf, "seq 1 200000; exit 7")
    for _ in range(5):
        time.sleep(0.02)
        shelf.kill(*shelf.of("sandbox-launch"))
    assert box.wait().exit_code == 7
    assert output(box) == NUMBERS


def test_a_run_in_the_foreground_gets_its_output_and_status_from_the_next_launcher(shelf: Shelf) -> None:
    job = sandbox.spawn("busybox", shelf.script("seq 1 200000; echo end >&2; exit 5"), name=shelf.name())
    pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    killed = 0
    for stream, data in job.output():
        pieces[stream].append(data)
        if job.pid and killed < 3:
            shelf.kill(*shelf.of("sandbox-launch"))
            killed += 1
    assert killed == 3
    assert job.result().exit_code == 5
    assert b"".join(pieces["stdout"]) == NUMBERS
    assert pieces["stderr"] == [b"end\n"]


def test_a_container_in_the_foreground_whose_client_died_with_the_launcher_ends(shelf: Shelf) -> None:
    code = "import sandbox, sys; sandbox.run('busybox', sys.argv[1], name=sys.argv[2])"
    words = [sys.executable, "-c", code, shelf.script("sleep 60; true"), shelf.name()]
    with subprocess.Popen(words, cwd=REPOSITORY) as notebook:
        until(lambda: [entry for entry in sandbox.ledger() if entry.get("pid")], "the container should run")
        os.kill(shelf.launcher, signal.SIGSTOP)
        notebook.kill()
        notebook.wait()
        shelf.kill(*shelf.of("sandbox-launch"))
        until(lambda: not sandbox.ledger(), "a container that nobody waits for should end")


def test_a_container_in_the_foreground_ends_with_its_notebook(shelf: Shelf) -> None:
    code = "import sandbox, sys; sandbox.run('busybox', sys.argv[1], name=sys.argv[2])"
    words = [sys.executable, "-c", code, shelf.script("trap '' TERM HUP INT; sleep 60; true"), shelf.name()]
    with subprocess.Popen(words, cwd=REPOSITORY) as notebook:
        until(lambda: processes(f": {shelf.token}").keys() - {notebook.pid}, "the container should run")
        notebook.kill()
        notebook.wait()
        begun = time.monotonic()
        until(lambda: not shelf.left(), "nothing should be left of it")
        assert time.monotonic() - begun < 20


def test_a_detached_container_outlives_its_notebook(shelf: Shelf) -> None:
    code = """
import os, sandbox, signal, sys
sandbox.Container.create(sys.argv[2], "busybox", sys.argv[1]).start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    words = [sys.executable, "-c", code, shelf.script("sleep 0.5; exit 7"), shelf.name()]
    assert subprocess.run(words, cwd=REPOSITORY).returncode == -signal.SIGKILL
    assert sandbox.Container.get(shelf.named[0]).wait().exit_code == 7


def test_a_frozen_container_stays_frozen_and_can_be_stopped_by_the_next_launcher(shelf: Shelf) -> None:
    box = started(shelf, "sleep 60; true")
    box.freeze()
    shelf.kill(shelf.launcher)
    assert box.state == "FROZEN"
    assert box.kill().exit_code == 137


def test_a_console_is_handed_out_by_the_next_launcher(shelf: Shelf) -> None:
    box = started(shelf, "read line; echo got $line; sleep 0.1; exit 7", tty=True)
    shelf.kill(shelf.launcher)
    with client.connect(shelf.home) as wire:
        protocol.send(wire, {"do": "attach", "name": box.name})
        message, (console,) = client.answer(wire)
        assert message["event"] == "attached"
        os.set_blocking(console, True)
        os.write(console, b"hello\n")
        seen = b""
        with suppress(OSError):  # EIO: no one has the terminal open any more
            while data := os.read(console, 4096):
                seen += data
        os.close(console)
        assert b"got hello" in seen
        ended, _ = client.answer(wire)
        assert ended["exit_code"] == 7


def test_a_process_of_exec_is_waited_for_across_a_launcher(shelf: Shelf) -> None:
    box = started(shelf, "sleep 60; true")
    job = box.spawn("echo begun; sleep 0.5; echo ended; exit 6")
    seen = b""
    for _, data in job.output():
        if not seen:
            until(lambda: job.pid or job.poll(0), "exec should begin")
            shelf.kill(shelf.launcher)
        seen += data
    assert job.result().exit_code == 6
    assert seen == b"begun\nended\n"
    assert box.state == "RUNNING"


# --- the keeper, and both -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victims", ["keeper", "both"])
def test_a_container_outlives_its_keeper_and_its_exit_status_is_true_or_unknown(shelf: Shelf, victims: str) -> None:
    box = started(shelf, "sleep 0.8; seq 1 3; exit 7")
    pid = box.info().pid
    keeper, launcher = shelf.keeper, shelf.launcher
    shelf.kill(*((keeper,) if victims == "keeper" else (keeper, launcher)))
    assert box.info().pid == pid
    result = box.wait()
    assert shelf.keeper != keeper
    assert (result.exit_code, result.reason) in ((7, ""), (-1, result.reason))
    assert result.exit_code == 7 or "exit status unknown" in result.reason


def test_a_container_that_ended_while_nobody_was_there_has_no_status(shelf: Shelf) -> None:
    box = started(shelf, "sleep 0.3; exit 0")
    pid = box.info().pid
    shelf.kill(shelf.keeper, *shelf.of("sandbox-launch"))
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the container should end and be reaped by the host's init")
    assert sandbox.ledger() == []
    assert box.wait().exit_code == -1
    assert "exit status unknown" in box.info().reason


def test_an_adopted_range_of_ids_is_locked_again(shelf: Shelf) -> None:
    box = started(shelf, "sleep 60; true")
    shelf.kill(shelf.keeper, *shelf.of("sandbox-launch"))
    assert shelf.launcher
    assert box.entry is not None
    from sandbox.primitives.users import ClaimIds
    from sandbox.step import World

    assert ClaimIds(box.name).choose(World()).base != box.entry["id_base"]
    box.kill()


def test_a_console_of_a_killed_keeper_is_gone_and_the_container_can_still_be_stopped(shelf: Shelf) -> None:
    box = started(shelf, "trap '' HUP; sleep 60; true", tty=True)
    shelf.kill(shelf.keeper, *shelf.of("sandbox-launch"))
    assert box.kill().exit_code in (137, -1)
    with suppress(LauncherLost):
        box.destroy()
