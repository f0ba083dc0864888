"""`kill -9` at every system call: whatever was half done, the next call finds it and puts it right.

strace(1) kills the launcher, the cradle or the keeper at the n-th call of one kind; for every call that a start makes.
"""

import collections
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import LauncherLost, NotFound
from sandbox.lanes import Plan
from sandbox.linux import files
from sandbox.primitives.barrier import WaitForGo
from tests.launcher.conftest import Shelf, processes, until

pytestmark = [
    pytest.mark.needs_userns,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: strace must attach to processes that are not dumpable"),
]
needs_strace = pytest.mark.skipif(
    not shutil.which("strace"), reason="needs strace to kill at an exact call: apt install strace"
)


def untraced(pid: int) -> bool:
    try:
        return "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # killed at what it was doing just now
        return False


@contextmanager
def strace(pid: int, *arguments: str) -> Iterator[None]:
    with subprocess.Popen(["strace", "-qq", "-o", *arguments, "-p", str(pid)], stderr=subprocess.PIPE) as tracer:
        until(lambda: not untraced(pid), f"strace should attach to {pid}")
        try:
            yield
        finally:
            tracer.terminate()


def calls_of(pid: int, act: Callable[[], object], log: Path) -> list[tuple[str, int]]:
    """The system calls that a process makes while we `act`: each with the how-manieth of its kind it is."""
    with strace(pid, str(log)):
        act()
        time.sleep(0.05)  # what it does when it has answered
    names = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    counted: collections.Counter[str] = collections.Counter()
    calls = []
    for name in names:
        counted[name] += 1
        calls.append((name, counted[name]))
    return calls


def killed_at(pid: int, call: tuple[str, int]) -> object:
    name, number = call
    return strace(pid, "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}")


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["sandbox-launch", "sandbox-cradle", "sandbox-keeper"])
def test_a_run_whose_helper_is_killed_at_any_call_succeeds_or_is_lost_and_leaves_nothing(
    shelf: Shelf, victim: str, tmp_path: Path
) -> None:
    def run() -> int:
        with suppress(LauncherLost):
            return sandbox.run("busybox", shelf.script("exit 7"), name=shelf.name()).exit_code
        return -125

    def pid() -> int:
        assert shelf.launcher
        until(lambda: shelf.of(victim), f"{victim} should be there again")
        return min(shelf.of(victim), key=files.start_time)  # a spare child bears its mother's name

    run()
    calls = calls_of(pid(), run, tmp_path / "calls")
    assert len(calls) > 5
    wrong = []
    for call in calls:
        with killed_at(pid(), call):  # type: ignore[attr-defined]
            code = run()
        shelf.assert_clean()
        shelf.named.clear()
        if code not in (7, -125) and not (code == -1 and victim == "sandbox-keeper"):
            wrong.append((call, code))
    assert not wrong


@needs_strace
@pytest.mark.slow
def test_a_detached_container_whose_launcher_is_killed_at_any_call_is_whole_or_never_was(shelf: Shelf, tmp_path: Path) -> None:
    def start() -> sandbox.Container:
        box = sandbox.Container.create(shelf.name(), "busybox", shelf.script("echo out; echo err >&2; exit 7"))
        with suppress(LauncherLost):
            box.start()
        return box

    start().wait()
    calls = calls_of(shelf.launcher, lambda: start().wait(), tmp_path / "calls")
    seen: collections.Counter[str] = collections.Counter()
    for call in calls:
        with killed_at(shelf.launcher, call):  # type: ignore[attr-defined]
            box = start()
            code = outcome_of(box)
        code = outcome_of(box) if code is None else code
        written = sorted((stream, data) for _, stream, data in box.logs())
        complete = [("stderr", b"err\n"), ("stdout", b"out\n")]
        assert (code, written) in ((7, complete), (125, []), (None, [])), (call, code, written)
        seen["ran" if code == 7 else "never"] += 1
        shelf.assert_clean()
        box.destroy()
        shelf.named.clear()
    assert seen["ran"] > 10
    assert seen["never"] > 10


def outcome_of(box: sandbox.Container) -> int | None:
    """How it ended; None: it never ran."""
    try:
        return box.wait().exit_code
    except LauncherLost:
        return None if box.entry is None else outcome_of(box)
    except NotFound:
        return None


@pytest.mark.slow
@pytest.mark.parametrize(("times", "pause", "victims"), [
    (100, 0.06, ("sandbox-launch",)), (15, 0.6, ("sandbox-launch", "sandbox-keeper")), (15, 0.6, ("sandbox-keeper",)),
])  # fmt: skip
def test_kills_at_random_moments_leave_nothing(shelf: Shelf, times: int, pause: float, victims: tuple[str, ...]) -> None:
    """Without strace, and with several containers in flight at once."""
    moments = random.Random(2)
    stop = threading.Event()
    seen: collections.Counter[object] = collections.Counter()

    def runner() -> None:
        while not stop.is_set():
            try:
                seen[sandbox.run("busybox", shelf.script("exit 7"), name=shelf.name()).exit_code] += 1
            except Exception as error:
                seen["lost" if isinstance(error, LauncherLost) else repr(error)] += 1

    threads = [threading.Thread(target=runner) for _ in range(3)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 150
    while times > 0 or (seen[7] <= 10 and time.monotonic() < end):  # on a busy machine few get through between two kills
        times -= 1
        time.sleep(moments.uniform(0, pause))
        for name in victims:
            for pid in shelf.of(name):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join()
    shelf.assert_clean()
    assert seen[7] > 10
    assert set(seen) <= ({7, "lost", -1} if "sandbox-keeper" in victims else {7, "lost"})
    until(lambda: len(processes(shelf.home.runtime)) <= 4, "one keeper, one launcher, one cradle and one spare should be left")


# --- the inside lane ------------------------------------------------------------------------------------------------


def held_at(plan: Plan, index: int) -> Plan:
    """The plan whose child waits at the inside step `index` for a word that never comes."""
    return Plan(plan.outside, (*plan.inside[:index], WaitForGo(), *plan.inside[index:]))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["child", "launcher"])
def test_a_child_killed_or_orphaned_at_any_step_leaves_nothing(shelf: Shelf, victim: str) -> None:
    spec = sandbox.spec_for("busybox", shelf.script("exit 7"), name=shelf.name())
    plan = sandbox.plan(spec)
    for index in range(plan.inside.index(WaitForGo()) + 1, len(plan.inside)):
        job = sandbox.spawn("busybox", shelf.script("exit 7"), name=spec.name, plan=held_at(plan, index))
        until(lambda: any(entry.get("pid") for entry in sandbox.ledger()), "the child should be past the barrier")
        (entry,) = sandbox.ledger()
        time.sleep(0.01)
        if victim == "child":
            os.kill(entry["pid"], signal.SIGKILL)
        else:
            shelf.kill(*shelf.of("sandbox-launch"))
        end = time.monotonic() + 60
        while not job.done:
            job.poll(0.1)
            assert time.monotonic() < end, f"at {plan.inside[index].name}: {sandbox.ledger()} {processes(shelf.home.runtime)}"
        if victim == "child":
            assert job.result().exit_code == 137
        else:
            with pytest.raises(LauncherLost):
                job.result()
        shelf.assert_clean()
