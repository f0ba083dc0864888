"""A thousand starts: what launcher and keeper hold stays as it was."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

import sandbox
from sandbox.linux import files
from tests.conftest import OWN_GROUPS
from tests.launcher.conftest import Shelf, processes, until

pytestmark = pytest.mark.needs_userns


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has made or changed, also those that it still shares with a child. proc_pid_status(5)"""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def measure(shelf: Shelf) -> dict[str, int]:
    """Everything that could grow, after launcher and keeper have done all they were asked."""
    launcher, keeper = shelf.launcher, shelf.keeper
    everybody = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    found = {"zombies of the keeper": 0}
    for pid in everybody:
        try:
            found["zombies of the keeper"] += files.parent(pid) == keeper and files.is_zombie(pid)
        except OSError:
            continue
    for name, pid in (("launcher", launcher), ("keeper", keeper)):
        found[f"{name} fds"] = len(os.listdir(f"/proc/{pid}/fd"))
        found[f"{name} mounts"] = len(files.read(f"/proc/{pid}/mountinfo").splitlines())
    mark = os.path.basename(shelf.home.runtime)
    found["cgroups"] = sum(mark in folder for own in OWN_GROUPS for folder, _, _ in os.walk(own))
    found["ledger"] = len(os.listdir(f"{shelf.home.runtime}/ledger"))
    found["files on tmpfs"] = sum(len(names) for _, _, names in os.walk(shelf.home.runtime))
    found["processes"] = len(processes(shelf.home.runtime))
    found["records"] = len(os.listdir(f"{shelf.home.path}/records"))
    found["logs"] = len(os.listdir(shelf.home.cache))
    found["own fds"] = len(os.listdir("/proc/self/fd"))
    return found


def settled(shelf: Shelf) -> dict[str, int]:
    """What there is, when nobody is at it any more: an answer comes before the last clean-up."""
    found: dict[str, int] = {}
    while (now := measure(shelf)) != found:
        found = now
        time.sleep(0.5)
    return found


def start(shelf: Shelf, number: int) -> None:
    """One of the ways to start, and sometimes to fail."""
    name = shelf.name()
    kind = number % 20
    if kind == 0:
        with pytest.raises(sandbox.errors.KernelRefused):
            sandbox.run("busybox", ["/no/such/program"], name=name)
    elif kind == 1:
        with pytest.raises(sandbox.errors.SandboxError):
            sandbox.run("busybox", "true", name=name, without=("MapIds",))
    elif kind == 2:
        box = sandbox.Container.create(name, "busybox", shelf.script("echo out; sleep 60"))
        box.start()
        assert box.exec("echo in").text == "in\n"
        box.kill()
        box.destroy()
    elif kind == 3:
        job = sandbox.spawn("busybox", shelf.script("sleep 60; true"), name=name)
        job.poll(0.005)
        job.abandon()
    elif kind == 4:
        sandbox.run("busybox", "echo on a terminal", name=name, tty=True)
    else:
        assert sandbox.run("busybox", ["true"], name=name).exit_code == 0


@pytest.mark.slow
def test_a_thousand_starts_leave_nothing_behind(shelf: Shelf) -> None:
    for number in range(100):
        start(shelf, number)
    before, launcher, keeper = settled(shelf), shelf.launcher, shelf.keeper
    memory = memory_of(launcher), memory_of(keeper)
    for number in range(1000):
        start(shelf, number)
    until(lambda: measure(shelf) == before, f"{before} should be {measure(shelf)}")
    assert (shelf.launcher, shelf.keeper) == (launcher, keeper)
    grown = memory_of(launcher) - memory[0], memory_of(keeper) - memory[1]
    assert grown[0] < 500 << 10, f"the launcher grew by {grown[0] >> 10} KiB in 1,000 starts"
    assert grown[1] < 100 << 10, f"the keeper grew by {grown[1] >> 10} KiB in 1,000 starts"


@pytest.mark.slow
def test_a_hundred_detached_containers_at_once_cost_little_and_leave_nothing(shelf: Shelf) -> None:
    boxes = [sandbox.Container.create(shelf.name(), "busybox", shelf.script("sleep 60; true")) for _ in range(100)]
    sandbox.run("busybox", "true", name=shelf.name())
    launcher, keeper = shelf.launcher, shelf.keeper
    before = memory_of(launcher) + memory_of(keeper)
    for box in boxes:
        box.start()
    assert len(sandbox.containers(all=False)) == 100
    each = (memory_of(launcher) + memory_of(keeper) - before) // 100
    assert each < 64 << 10, f"{each} bytes for each container"
    for box in boxes:
        box.kill()
    shelf.assert_clean()
    fds = len(os.listdir(f"/proc/{keeper}/fd"))
    assert fds < 20, f"the keeper still holds {fds} descriptors"


@pytest.mark.slow
def test_three_hundred_exits_at_once_all_reach_a_launcher_that_was_busy(shelf: Shelf) -> None:
    """More than fit between keeper and launcher, and more descriptors than select(2) can name."""
    script = shelf.script("sleep 60; true")
    jobs = [sandbox.spawn("busybox", script, name=shelf.name()) for _ in range(300)]
    for job in jobs:
        while not job.pid:
            job.poll(0.1)
    launcher = shelf.launcher
    assert len(os.listdir(f"/proc/{launcher}/fd")) > 1024
    os.kill(launcher, signal.SIGSTOP)
    for job in jobs:
        os.kill(job.pid, signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{job.pid}") for job in jobs), "the keeper should reap them")
    os.kill(launcher, signal.SIGCONT)
    for job in jobs:
        while not job.done:
            job.poll(0.1)
    assert {job.result().exit_code for job in jobs} == {137}
    assert shelf.launcher == launcher
    shelf.assert_clean()
