"""Real groups below our own, with real programs in them; the same tests on v1, v2 and hybrid machines."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import NotPossibleHere
from sandbox.linux import constants, inotify
from sandbox.primitives import cgroups
from sandbox.primitives.cgroups import v2
from sandbox.primitives.cgroups.hierarchy import UNIFIED, Directories, Layout

pytestmark = pytest.mark.needs_root
MakeGroup = Callable[..., Any]
Needs = Callable[[str], None]

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def wait_until(condition: Callable[[], object], seconds: float = 60) -> float:
    """How long it took until the condition held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + seconds, "it did not happen in time"
        time.sleep(0.002)
    return time.monotonic() - start


def test_whoever_uses_more_memory_than_the_limit_is_killed_and_counted(make_group: MakeGroup, needs: Needs) -> None:
    needs("memory")
    group = make_group()
    group.limit(memory=24 << 20)
    assert group.run("bytearray(100 << 20)")[0] == -signal.SIGKILL
    assert cgroups.oom_kills(group.directories) == cgroups.usage(group.directories).oom_kills == 1
    assert cgroups.events(group.directories)["oom_kill"] == 1
    assert cgroups.usage(group.directories).memory_limit == 24 << 20


def test_below_its_limit_a_program_runs_and_what_it_used_is_seen(make_group: MakeGroup, needs: Needs) -> None:
    needs("memory")
    group = make_group()
    group.limit(memory=64 << 20)
    assert group.run("bytearray(20 << 20)")[0] == 0
    used = cgroups.usage(group.directories)
    assert used.oom_kills == 0
    assert used.memory_peak is None or 20 << 20 < used.memory_peak <= 64 << 20


def test_fork_fails_with_eagain_beyond_the_limit_of_processes(make_group: MakeGroup, needs: Needs) -> None:
    needs("pids")
    group = make_group()
    group.limit(pids=3)
    code = "import os, time, errno\nn = 0\ntry:\n  while n < 9:\n    os.fork() or (time.sleep(9), os._exit(0))\n    n += 1\n"
    code += "except OSError as e: print(n, errno.errorcode[e.errno])"
    child = group.start(code)
    assert child.stdout.readline() == "2 EAGAIN\n"
    assert cgroups.events(group.directories)["pids_max"] >= 1
    assert cgroups.usage(group.directories).pids_limit == 3
    cgroups.kill(group.directories)


def test_whoever_has_used_up_its_cpu_quota_waits(make_group: MakeGroup, needs: Needs) -> None:
    needs("cpu")
    group = make_group()
    group.limit(cpus=0.1)
    status, output = group.run("import time\nt, c = time.time(), time.process_time()\nwhile time.time() < t + 0.8: pass\n"
                               "print(time.process_time() - c)")  # fmt: skip
    assert status == 0
    assert float(output) < 0.4
    used = cgroups.usage(group.directories)
    assert used.throttled
    assert used.throttled_seconds


def test_only_the_named_cpus_are_used(make_group: MakeGroup, needs: Needs) -> None:
    needs("cpuset")
    group = make_group("cpuset")
    cpu = max(os.sched_getaffinity(0))
    group.limit(cpuset=str(cpu))
    assert group.run("import os; print(os.sched_getaffinity(0))")[1] == f"{{{cpu}}}\n"


def test_cpu_time_and_processes_are_counted(make_group: MakeGroup) -> None:
    group = make_group()
    child = group.start(f"sum(range(3_000_000))\n{SLEEP}")
    child.stdout.readline()
    for read in (cgroups.glance, cgroups.usage):
        used = read(group.directories)
        assert used.cpu_seconds is not None
        assert 0.01 < used.cpu_seconds < 10
        assert used.pids in (1, None)
    assert cgroups.processes(group.directories) == [child.pid]


def test_bytes_written_to_a_disk_are_counted(make_group: MakeGroup, layout: Layout, tmp_path: Path) -> None:
    """With fdatasync, as delayed writes are not counted on v1."""
    if layout.at("blkio").problem and layout.at("io").problem:
        pytest.skip("neither blkio nor io is usable here")
    folders = [folder for folder in (tmp_path, Path(__file__).parent) if os.access(folder, os.W_OK)]
    folder = next((folder for folder in folders if os.path.exists(f"/sys/dev/block/{_device(folder)}")), None)
    if folder is None:
        pytest.skip("neither the tests nor their temporary files lie on a disk that can be written")
    group = make_group()
    file = folder / f"written-{os.getpid()}"
    try:
        code = f"import os, mmap\nf = os.open({str(file)!r}, os.O_CREAT | os.O_RDWR | os.O_DIRECT)\n"
        assert group.run(f"{code}os.write(f, mmap.mmap(-1, 1 << 20))\nos.fdatasync(f)")[0] == 0
    finally:
        file.unlink(missing_ok=True)
    assert (cgroups.glance(group.directories).io_written or 0) >= 1 << 20


def _device(path: Path) -> str:
    number = path.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def test_a_frozen_group_stands_still_and_goes_on_when_thawed(make_group: MakeGroup) -> None:
    group = make_group()
    child = group.start("import time\nwhile True: print('.', flush=True); time.sleep(0.01)")
    child.stdout.readline()
    cgroups.freeze(group.directories)
    assert cgroups.usage(group.directories).frozen is cgroups.frozen(group.directories) is True
    os.set_blocking(child.stdout.fileno(), False)
    with contextlib.suppress(BlockingIOError):  # what was written before
        os.read(child.stdout.fileno(), 65536)
    time.sleep(0.1)
    with pytest.raises(BlockingIOError):
        os.read(child.stdout.fileno(), 1)
    cgroups.thaw(group.directories)
    os.set_blocking(child.stdout.fileno(), True)
    assert os.read(child.stdout.fileno(), 1)
    assert cgroups.usage(group.directories).frozen is cgroups.frozen(group.directories) is False


def test_a_frozen_group_can_be_killed_within_a_second(make_group: MakeGroup) -> None:
    group = make_group()
    child = group.start(SLEEP)
    child.stdout.readline()
    cgroups.freeze(group.directories)
    cgroups.kill(group.directories)
    assert wait_until(lambda: child.poll() is not None) < 1
    assert child.returncode == -signal.SIGKILL


def without_v2(layout: Layout) -> Layout:
    return Layout(tuple(place for place in layout.places if place.controller != UNIFIED))


def test_a_group_frozen_by_v1_can_be_killed_within_a_second(make_group: MakeGroup, needs: Needs, layout: Layout) -> None:
    needs("freezer")
    group = make_group(layout=without_v2(layout))
    assert "freezer" in dict(group.directories)
    child = group.start(SLEEP)
    child.stdout.readline()
    cgroups.freeze(group.directories)
    assert cgroups.usage(group.directories).frozen is True
    cgroups.kill(group.directories)
    assert wait_until(lambda: child.poll() is not None) < 1


def test_a_process_that_forks_and_forks_is_killed(make_group: MakeGroup, needs: Needs) -> None:
    needs("pids")
    group = make_group()
    group.limit(pids=40)
    child = group.start("import os, signal\nsignal.signal(17, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True:\n"
                        "  try: os.fork() and os._exit(0)\n  except OSError: pass")  # fmt: skip
    child.stdout.readline()
    cgroups.kill(group.directories)
    wait_until(lambda: not cgroups.processes(group.directories), 2)


def test_without_cgroup_kill_a_process_that_forks_and_forks_is_killed_too(
    make_group: MakeGroup, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.14: the group is frozen while its processes are killed one by one."""
    monkeypatch.setattr(v2, "kill", lambda _: False)
    test_a_process_that_forks_and_forks_is_killed(make_group, needs)


def test_a_group_with_groups_and_processes_made_inside_is_removed(make_group: MakeGroup) -> None:
    """As systemd leaves it."""
    group = make_group()
    for directory in dict(group.directories).values():
        Path(directory, "init.scope", "deep").mkdir(parents=True, exist_ok=True)
    child = group.start(SLEEP)
    child.stdout.readline()
    inner = dict(group.directories).get(UNIFIED, group.directories[0][1])
    Path(inner, "init.scope", "deep", "cgroup.procs").write_text(str(child.pid))
    assert cgroups.processes(group.directories) == [child.pid]
    start = time.monotonic()
    cgroups.remove(group.directories)
    assert time.monotonic() - start < 20
    assert not any(os.path.exists(directory) for _, directory in group.directories)
    cgroups.remove(group.directories)  # twice is fine
    assert child.wait() == -signal.SIGKILL


def test_a_process_that_joined_only_some_trees_goes_with_the_group(make_group: MakeGroup) -> None:
    """A launcher that dies between the trees leaves one."""
    group = make_group()
    whole: Directories = group.directories
    group.directories = whole[:1]
    child = group.start(SLEEP)
    child.stdout.readline()
    cgroups.remove(whole)
    assert child.wait() == -signal.SIGKILL


def test_a_group_that_is_gone_has_used_nothing_and_is_killed_without_an_error(make_group: MakeGroup) -> None:
    group = make_group()
    cgroups.remove(group.directories)
    assert cgroups.usage(group.directories).memory is None
    assert cgroups.processes(group.directories) == []
    assert cgroups.oom_kills(group.directories) == 0
    cgroups.kill(group.directories)


def test_what_is_not_ours_is_never_killed_or_removed(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    (tmp_path / "cgroup.procs").write_text(str(bystander.pid))
    try:
        cgroups.kill((("memory", str(tmp_path)),))
        cgroups.remove((("memory", str(tmp_path)),))
        time.sleep(0.05)
        assert bystander.poll() is None
        assert tmp_path.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_without_any_freezer_the_condition_is_named(layout: Layout) -> None:
    with pytest.raises(NotPossibleHere, match="neither a v2 tree nor v1's freezer"):
        cgroups.freeze((("memory", "/sys/fs/cgroup/memory/container-sandbox/none"),))
    assert not cgroups.frozen(())


def test_a_file_is_found_by_its_name_alone_and_only_in_the_group(make_group: MakeGroup) -> None:
    group = make_group()
    for controller, directory in group.directories:
        for path in Path(directory).iterdir():
            if path.is_file() and path.name.startswith(f"{controller}."):
                assert cgroups.control_file(group.directories, path.name) == str(path)
    unified = dict(group.directories).get(UNIFIED)
    assert cgroups.control_file(group.directories, "cgroup.freeze") == (f"{unified}/cgroup.freeze" if unified else "")
    for name in ("", "memory", "memory.nosuch", "nosuch.max", "../memory.max", f"memory.max/../{Path(unified or '/').name}"):
        assert cgroups.control_file(group.directories, name) == ""


@pytest.mark.needs_cgroup(UNIFIED)
def test_freezing_and_thawing_are_told_by_a_file(make_group: MakeGroup) -> None:
    group = make_group()
    fd = inotify.init()
    try:
        inotify.add_watch(fd, cgroups.events_file(group.directories), constants.IN_MODIFY)
        for act in (cgroups.freeze, cgroups.thaw):
            act(group.directories)
            assert select.select([fd], [], [], 60)[0]
            assert {event.mask for event in inotify.read(fd)} == {constants.IN_MODIFY}
    finally:
        os.close(fd)
    assert cgroups.events_file((("freezer", "/sys/fs/cgroup/freezer/x"),)) == ""


def test_a_reader_with_open_files_reads_what_usage_reads_and_notices_that_the_group_went(make_group: MakeGroup) -> None:
    group = make_group()
    child = group.start(SLEEP)
    child.stdout.readline()
    reader = cgroups.Reader(group.directories)
    cgroups.freeze(group.directories)  # so that the numbers stand still, too
    read, used = cgroups.Usage(**reader.all()), cgroups.usage(group.directories)
    assert (read.pids, read.pids_limit, read.memory_limit, read.frozen) == (
        used.pids,
        used.pids_limit,
        used.memory_limit,
        True,
    )
    assert read.cpu_seconds == pytest.approx(used.cpu_seconds, abs=0.05)
    assert set(reader.moving()) <= set(reader.all())
    cgroups.remove(group.directories)
    assert reader.moving().get("cpu_seconds") is None
    reader.close()
