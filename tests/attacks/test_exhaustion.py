"""A container that takes all it can get: it gets its own share, and the host and its neighbours go on."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.linux import constants as c
from sandbox.linux import files, syscalls
from sandbox.logs import ROTATE_AT
from tests.attacks.hostile import end_launcher, inside, program

MIB = 1 << 20


@pytest.fixture
def box(home: Path) -> Iterator[Callable[..., sandbox.Container]]:
    """Starts a container in the background; it is gone after the test."""
    made: list[sandbox.Container] = []

    def start(image: str, command: object, **options: object) -> sandbox.Container:
        made.append(sandbox.Container.create("greedy", image, command, **options))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.destroy(force=True)


def until(true: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something is so; the test fails where it does not come about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)


def told(box: sandbox.Container) -> str:
    """What it has written so far."""
    return b"".join(data for _, _, data in box.logs()).decode()


def neighbour() -> float:
    """The seconds that another container takes, which must work as if there were nothing else."""
    begun = time.monotonic()
    assert sandbox.run("busybox", "echo x > /x && cat /x && echo y > /dev/shm/y && true | true").text == "x\n"
    return time.monotonic() - begun


def launcher_memory() -> int:
    """Bytes that are the launcher's alone."""
    answer, _ = client.ask(open_home(), {"do": "hello"})
    lines = files.read(f"/proc/{answer['pid']}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


def fork_time(times: int = 50) -> float:
    """The seconds that the slowest but one of some forks on the host took."""
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        taken.append(time.monotonic() - begun)
    return sorted(taken)[-2]


def test_a_fork_bomb_stays_within_its_limit(box: Callable[..., sandbox.Container]) -> None:
    """Row 60: the limit holds, the host can fork, one can look inside, and it can be stopped."""
    bomb = box("host", program("while True: tried(os.fork)"), pids=64)
    until(lambda: (bomb.info().pids or 0) >= 60, "the bomb goes off")
    assert fork_time() < 1.0
    assert all((bomb.info().pids or 0) <= 65 for _ in range(20))  # the one more is ours
    assert bomb.exec(["echo", "still there"]).text == "still there\n"
    assert neighbour() < 20
    begun = time.monotonic()
    bomb.stop(timeout=1)
    assert time.monotonic() - begun < 30
    assert bomb.state == "STOPPED"


def test_a_bomb_of_threads_is_limited_too(home: Path) -> None:
    """Row 60: a thread counts as a process."""
    code = """
import threading, time
made = 0
try:
    for made in range(1000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError:
    pass
print(made, flush=True)
os._exit(0)
"""
    assert inside(code, pids=40) == ["39"]


@pytest.mark.parametrize("how", ["first process", "child", "shared memory", "files", "names"])
def test_a_memory_bomb_ends_only_itself(box: Callable[..., sandbox.Container], how: str) -> None:
    """Rows 61 and 63: by whatever means memory is taken, it is charged, and the limit named."""
    codes = {
        "first process": "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "child": "if os.fork(): print(os.wait()[1]); sys.exit()\nx = []\nwhile True: x.append(bytearray(1 << 20))",
        "shared memory": "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 20)); x[-1].write(b'x' * (1 << 20))",
        "files": "x = []\nwhile True: x.append(os.memfd_create('x')); os.write(x[-1], bytes(1 << 20))",
        "names": "n = 0\nwhile True: os.mkdir(f'/dev/shm/{n}'); n += 1",
    }
    calm = box("busybox", ["sleep", "60"])
    done = sandbox.run("host", program(codes[how]), memory="32m")
    if how == "child":
        assert (done.exit_code, done.text) == (0, "9\n")
    else:
        assert done.exit_code == 137
        assert done.reason == "killed by the kernel: out of memory, limit 32m"
    assert calm.state == "RUNNING"
    assert neighbour() < 20


@pytest.mark.needs_cgroup("memory")
def test_full_file_systems_are_full_only_inside(home: Path) -> None:
    """Row 63: /dev/shm, /tmp and the root end at half of the memory limit, and nobody else notices."""
    code = """
for folder in ("/dev/shm", "/tmp", "/"):
    answer = "0"
    with open(f"{folder}/fill", "wb", buffering=0) as file:
        while answer == "0":
            answer = tried(file.write, bytes(1 << 20))
    print(folder, answer, os.path.getsize(f"{folder}/fill") <= 32 << 20)
    os.unlink(f"{folder}/fill")
"""
    job = sandbox.spawn("host", program(code + "import time; time.sleep(0.5)"), memory="64m")
    seen = b""
    while seen.count(b"\n") < 3 and not job.done:
        seen += b"".join(data for _, data in job.poll(0.1))
        neighbour()
    assert seen.decode().splitlines() == [f"{folder} ENOSPC True" for folder in ("/dev/shm", "/tmp", "/")]
    job.abandon()


@pytest.mark.needs_root
def test_what_is_counted_by_user_is_counted_by_container(box: Callable[..., sandbox.Container]) -> None:
    """Row 62: all inotify instances, message queues, signals, pipes and open files that one may have."""
    probe = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
realtime = ctypes.CDLL("librt.so.1", use_errno=True)
def all_of(make, most=200000):
    return next((n for n in range(most) if make(n) < 0), most)
def queue(n):
    return realtime.mq_open(b"/hostile%d" % n, os.O_CREAT | os.O_RDWR, 0o600, None)
KINDS = {
    "inotify": lambda n: libc.inotify_init1(0), "queues": queue, "signals": lambda n: libc.sigqueue(os.getpid(), 40, 0),
    "epoll": lambda n: libc.epoll_create1(0), "sockets": lambda n: libc.socket(1, 1, 0),
}
"""
    take = """
for name, make in KINDS.items():
    print(name, all_of(make), flush=True)
    os.closerange(900, 1024)
print("ready", flush=True)
signal.pause()
"""
    greedy = box("host", program(probe + take))
    until(lambda: "ready" in told(greedy), "everything is taken")
    took = dict(line.split() for line in told(greedy).splitlines()[:-1])
    assert all(int(count) > 0 for count in took.values())
    assert int(took["signals"]) > 1000
    one = "print([name for name, make in KINDS.items() if make(0) < 0]); realtime.mq_unlink(b'/hostile0')"
    assert inside(probe + one) == ["[]"]
    child, answer = os.pipe(), b""
    if (pid := os.fork()) == 0:
        os.dup2(child[1], 1)
        os.execv("/usr/bin/python3", program(probe + one))
    os.close(child[1])
    answer = os.read(child[0], 1000)
    os.close(child[0])
    os.waitpid(pid, 0)
    assert answer == b"[]\n", "the host itself has none left"


def test_a_flood_of_output_is_capped_and_costs_no_memory(box: Callable[..., sandbox.Container], home: Path) -> None:
    """Row 64: in the background, to both streams, and of bytes that take six times their room in the log."""
    flood = box("busybox", "yes & tr '\\0' '\\377' < /dev/zero >&2 & wait")
    logs = home / "containers/greedy"
    until(lambda: (logs / "log.1").exists(), "the log is rotated once")
    neighbour()
    before, end = launcher_memory(), time.monotonic() + 3
    biggest = 0
    while time.monotonic() < end:
        biggest = max(biggest, sum(path.stat().st_size for path in logs.glob("log*") if path.exists()))
        assert neighbour() < 20
    assert biggest < 2 * ROTATE_AT + 2 * MIB
    assert launcher_memory() - before < 4 * MIB
    begun = time.monotonic()
    flood.kill()
    assert time.monotonic() - begun < 20


@pytest.mark.needs_root
def test_a_full_disk_takes_neither_the_launcher_nor_the_container_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 63, 64: a flood of output onto a full disk. What no longer fits is lost, and nothing else."""
    small = tmp_path / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, "size=6m")
    monkeypatch.setenv("SANDBOX_HOME", str(small / "home"))
    try:
        flood = sandbox.Container.create("flood", "busybox", "yes & sleep 60")
        flood.start()
        who = client.ask(open_home(), {"do": "hello"})[0]["pid"]
        until(lambda: os.statvfs(small).f_bavail == 0, "the disk is full")
        time.sleep(0.5)
        assert flood.state == "RUNNING"
        assert client.ask(open_home(), {"do": "hello"})[0]["pid"] == who, "the launcher died of it"
        assert flood.exec(["echo", "fine"]).text == "fine\n"
        flood.destroy(force=True)
        until(lambda: not sandbox.ledger(), "nothing is left")
        end_launcher()
    finally:
        syscalls.umount2(str(small), c.MNT_DETACH)


def test_a_reader_that_never_reads_blocks_only_its_own_container(home: Path) -> None:
    """Row 69: what nobody reads waits in a pipe, not in memory; time limits and stop work; and it goes on when read."""
    before = launcher_memory()
    jobs = [sandbox.spawn("busybox", "yes | head -c 4000000; echo; echo done >&2", name=f"slow{i}") for i in range(3)]
    late = sandbox.spawn("busybox", "yes", timeout=1)
    time.sleep(1.5)
    assert neighbour() < 20
    assert launcher_memory() - before < 2 * MIB
    assert all(sandbox.Container(job.name).state == "RUNNING" for job in jobs)
    for _ in late.output():
        pass
    assert late.result().reason == "stopped: its timeout of 1 s was over"
    read = b"".join(data for stream, data in jobs[0].output() if stream == "stdout")
    assert len(read) == 4000001
    assert sandbox.Container(jobs[1].name).kill().exit_code == 137
    for job in jobs[1:]:
        job.abandon()


def test_a_terminal_that_nobody_reads_does_not_block_its_container_for_ever(box: Callable[..., sandbox.Container]) -> None:
    """Row 69: attached and idle it waits; when the reader has gone, it goes on into the log."""
    chatty = box("busybox", "sleep 0.5; yes | head -c 400000; echo; echo done; sleep 60", tty=True)
    reader = chatty.attach()
    time.sleep(1.5)
    assert "done" not in told(chatty)
    assert neighbour() < 20
    reader.detach()
    until(lambda: "done" in told(chatty), "it goes on")
