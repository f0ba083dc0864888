"""Signals, ends and names of processes: whatever the order, there is one outcome, nothing is left, and nobody else is hit."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import WrongState
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.linux import files
from tests.attacks.hostile import refusal

#: A process with the number that is asked for, if it is free: clone3(2) with set_tid. It says when it is there.
NAMESAKE = """
import ctypes, os, signal, sys
wanted = (ctypes.c_int * 1)(int(sys.argv[1]))
fields = [0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(wanted), 1, 0]
args = (ctypes.c_uint64 * len(fields))(*fields)
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(ctypes.c_long(435), args, ctypes.c_long(ctypes.sizeof(args)))
if pid == 0:
    signal.pause()
if pid < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print(pid, flush=True)
sys.stdin.read()
os.kill(pid, signal.SIGKILL)
print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_ten_thousand_orphans_are_reaped(home: Path) -> None:
    """Row 65: with --init, whatever is left behind is reaped; in the end there are the init and its child."""
    script = "i=0; while [ $i -lt 10000 ]; do (true &); i=$((i + 1)); done; echo done; exec sleep 60"
    box = sandbox.Container.create("orphans", "busybox", script, init=True, pids=100)
    box.start()
    end = time.monotonic() + 60
    while (b"done" not in b"".join(data for _, _, data in box.logs()) or box.info().pids != 2) and time.monotonic() < end:
        time.sleep(0.05)
    assert box.info().pids == 2
    assert "Z" not in box.exec("cat /proc/[0-9]*/stat").text.replace("sandbox", "")
    assert box.kill().exit_code == 137
    box.destroy()


@pytest.mark.parametrize("milliseconds", range(0, 16, 1))
def test_a_start_can_be_broken_off_at_any_moment(home: Path, milliseconds: int) -> None:
    """Row 66: killed while it is made. The guard sees that nothing is left; and the name is free again."""
    for _ in range(3):
        job = sandbox.spawn("busybox", ["sleep", "60"], name="hasty")
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            job.poll(0)
        job.abandon()
        assert job.done
        cut_short = refusal(job.result)
        assert "is running" not in cut_short, "the name is still taken"
        assert cut_short or job.result().exit_code == 137


def test_a_client_may_go_at_any_moment(home: Path) -> None:
    """Row 66: a foreground container ends with its client, also with one that is killed while it starts."""
    for milliseconds in (0, 3, 6, 10, 20):
        script = "import sandbox; sandbox.run('busybox', ['sleep', '60'], name='widow')"
        victim = subprocess.Popen([sys.executable, "-c", script])
        while not any(entry["name"] == "widow" for entry in sandbox.ledger()):
            assert victim.poll() is None
            time.sleep(0.001)
        time.sleep(milliseconds / 1000)
        victim.kill()
        victim.wait()
        end = time.monotonic() + 30
        while sandbox.ledger() and time.monotonic() < end:
            time.sleep(0.005)
        assert sandbox.ledger() == []


def hear(way: Callable[[], sandbox.Result], heard: list[tuple[int, str]]) -> None:
    """End a container in this way and note the outcome; (-1, "") if it had ended already."""
    try:
        done = way()
        heard.append((done.exit_code, done.reason))
    except WrongState:
        heard.append((-1, ""))


@pytest.mark.parametrize("trap", ["", "trap '' TERM;", "trap 'exit 3' TERM;"])
def test_of_many_who_stop_and_kill_at_once_all_hear_the_same_end(home: Path, trap: str) -> None:
    """Row 66: there is one final state."""
    for _ in range(5):
        box = sandbox.Container.create("wanted", "busybox", f"{trap} while :; do sleep 0.01; done")
        box.start()
        heard: list[tuple[int, str]] = []
        ways = [box.kill, partial(box.stop, 0.05), box.wait, box.kill, partial(box.stop, 0.0)]
        threads = [threading.Thread(target=hear, args=(way, heard)) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        ends = {outcome for outcome in heard if outcome[0] != -1}
        assert len(heard) == 5
        assert len(ends) == 1
        assert next(iter(ends))[0] in (3, 137, 143)
        assert box.state == "STOPPED"
        assert box.info().exit_code == next(iter(ends))[0]
        box.destroy()


def test_an_exec_ends_with_its_container(home: Path) -> None:
    """Row 66: a kill while others come in."""
    for milliseconds in range(0, 12, 2):
        box = sandbox.Container.create("host", "busybox", ["sleep", "60"])
        box.start()
        jobs = [box.spawn(["sleep", "60"]) for _ in range(3)]
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            jobs[0].poll(0)
        assert box.kill().exit_code == 137
        for job in jobs:
            deadline = time.monotonic() + 30
            while not job.done and time.monotonic() < deadline:
                job.poll(0.05)
            assert job.done
        box.destroy()


@pytest.mark.needs_root
def test_a_stranger_who_got_the_number_of_a_dead_container_is_left_alone(home: Path) -> None:
    """Row 67: launcher and keeper are killed, the container dies, and its pid is given to somebody else."""
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the number of clone3(2) is known for x86_64 and aarch64 only")
    box = sandbox.Container.create("recycled", "busybox", ["sleep", "60"])
    box.start()
    pid = box.info().pid
    assert pid
    answer, _ = client.ask(open_home(), {"do": "hello"})
    for process in (answer["keeper"], answer["pid"], pid):
        os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.01)
    command = [sys.executable, "-c", NAMESAKE, str(pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdin
        assert stranger.stdout
        assert stranger.stdout.readline() == f"{pid}\n"
        assert box.state == "STOPPED"
        assert [each.state for each in sandbox.containers()] == ["STOPPED"]
        for attempt in (box.kill, box.stop, box.freeze, lambda: box.signal(9), lambda: box.exec(["true"])):
            with pytest.raises(WrongState):
                attempt()
        assert sandbox.ledger() == []
        box.destroy(force=True)
        with open(f"/proc/{pid}/stat") as file:
            assert file.read().rpartition(")")[2].split()[0] == "S"
        stranger.stdin.close()
        assert stranger.stdout.read() == "9\n"


@pytest.mark.needs_cgroup("freezer")
@pytest.mark.parametrize("how", ["kill", "stop", "destroy", "signal", "timeout", "exec"])
def test_a_frozen_container_can_be_ended(home: Path, how: str) -> None:
    """Row 68: SIGKILL does nothing to a process that v1 has frozen. Ours is thawed, or killed through the v2 tree."""
    if how == "timeout":
        job = sandbox.spawn("busybox", ["sleep", "60"], timeout=1)
        while not job.pid:
            job.poll(0.05)
        sandbox.Container(job.name).freeze()
        begun = time.monotonic()
        for _ in job.output():
            pass
        assert "timeout" in job.result().reason
        assert time.monotonic() - begun < 20
        return
    box = sandbox.Container.create("frozen", "busybox", "trap '' TERM; sleep 60 & wait")
    box.start()
    box.freeze()
    assert box.state == "FROZEN"
    begun = time.monotonic()
    match how:
        case "kill":
            assert box.kill().exit_code == 137
        case "stop":
            assert box.stop(timeout=0.5).exit_code == 137
        case "destroy":
            box.destroy(force=True)
        case "signal":
            box.signal(signal.SIGKILL)
            assert box.wait().exit_code == 137
        case "exec":
            job = box.spawn(["true"])
            job.poll(0.3)
            assert box.kill().exit_code == 137
            job.abandon()
    assert time.monotonic() - begun < 20
    if how != "destroy":
        assert box.state == "STOPPED"
        box.destroy()


def test_an_exec_that_leaves_writers_behind_returns(home: Path) -> None:
    """Row 69: the process is over, and those that it left have its streams. Nobody waits for them."""
    box = sandbox.Container.create("left", "busybox", ["sleep", "60"])
    box.start()
    begun = time.monotonic()
    done = box.exec("for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero bs=1M 2>/dev/null & done; exit 4")
    assert done.exit_code == 4
    assert time.monotonic() - begun < 20
    box.destroy(force=True)


def test_the_keeper_outlives_a_launcher_that_died_without_hearing_it_out(home: Path) -> None:
    """Row 66: a word to somebody who dies comes back as ECONNRESET. The exit that it was about is not lost."""
    first, second = (sandbox.Container.create(name, "busybox", ["sleep", "60"]) for name in ("first", "second"))
    for box in (first, second):
        box.start()
    before, _ = client.ask(open_home(), {"do": "hello"})
    pid = first.info().pid
    assert pid
    os.kill(before["pid"], signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.001)
    os.kill(before["keeper"], signal.SIGSTOP)
    os.kill(before["pid"], signal.SIGKILL)
    while not files.is_zombie(before["pid"]):
        time.sleep(0.001)
    os.kill(before["keeper"], signal.SIGCONT)
    assert first.wait().exit_code == 137
    after, _ = client.ask(open_home(), {"do": "hello"})
    assert after["keeper"] == before["keeper"]
    assert after["pid"] != before["pid"]
    assert second.state == "RUNNING"
    for box in (first, second):
        box.destroy(force=True)
