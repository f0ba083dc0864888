"""A system in a container, as lxc-create makes it: its root has nearly all capabilities, its own mounts, control groups and
terminals. What it must not get all the same; and what a hostile root file system must not do to whoever starts it.
"""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.linux import files
from sandbox.lxc import destroying
from sandbox.lxc.create import create
from tests.attacks.hostile import WATCHER, program
from tests.attacks.test_kernel_surface import FILES, REFUSED, X86
from tests.conftest import REPOSITORY
from tests.lxc.systems import needs_busybox

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, needs_busybox]


@pytest.fixture
def box(home: Path) -> Iterator[sandbox.Container]:
    """A system with the programs of this machine, so with a Python; its root is the attacker."""
    create(open_home(), "evil", "host", backing="overlay")
    evil = sandbox.Container("evil")
    evil.start()
    yield evil
    destroying.destroy(open_home(), "evil", force=True)


def lines(box: sandbox.Container, code: str) -> list[str]:
    """What this Python code prints in it. It must not fail."""
    done = box.exec(program(code))
    assert done.exit_code == 0, (done.text, done.stderr.decode(errors="replace")[-2000:])
    return done.text.splitlines()


# --- the kernel -----------------------------------------------------------------------------------------------------

#: What is asked for, as (number, arguments) on x86_64.
CALLS = {
    "mknod, the disk": '133, b"/disk", 0o60600, DISK',
    "mknod, /dev/kmsg": '133, b"/messages", 0o20600, 0x10b',
    "mount the disk": '165, b"/dev/vda", b"/mnt", b"ext4", 0, 0',
    "mount sysfs to write to": '165, b"sys", b"/sys", b"sysfs", 0x20, 0',
    "mount cgroup, a new hierarchy": '165, b"x", b"/mnt", b"cgroup", 0, b"none,name=evil"',
    "mount cgroup, one of the host's": '165, b"x", b"/mnt", b"cgroup", 0, b"perf_event"',
    "release_agent": '165, b"x", b"/sys/fs/cgroup/memory", b"cgroup", 0x20, b"memory,release_agent=/bin/sh"',
    "open_by_handle_at": "304, ROOT, HANDLE, 0",
    "bpf": "321, 5, BPF, len(BPF)",
    "perf_event_open": '298, b"\\0" * 128, 0, -1, -1, 0',
    "kexec_load": "246, 0, 0, 0, 0",
    "kexec_file_load": "320, ROOT, ROOT, 0, 0, 0",
    "init_module": '175, b"x", 1, b""',
    "finit_module": '313, ROOT, b"", 0',
    "delete_module": '176, b"x", 0',
    "swapon": '167, b"/tmp", 0',
    "acct": '163, b"/tmp/x"',
    "syslog": "103, 3, ctypes.create_string_buffer(64), 64",
    "iopl": "172, 3",
    "ioperm": "173, 0x80, 1, 1",
    "settimeofday": '164, b"\\0" * 16, 0',
    "clock_settime": '227, 0, b"\\0" * 16',
    "io_uring_setup": "425, 8, ctypes.create_string_buffer(256)",
    "userfaultfd": "323, 0",
    "add_key": '248, b"user", b"x", b"y", 1, -3',
}
SETUP = f"""
DISK, ROOT = {os.stat("/").st_dev}, os.open("/", os.O_RDONLY)
HANDLE = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2).to_bytes(8, "little")
END = ctypes.create_string_buffer(bytes.fromhex("b700000000000000" "9500000000000000"))  # return 0
LICENCE = ctypes.create_string_buffer(b"GPL")
# BPF_PROG_LOAD of one that looks into the kernel, a kprobe, which needs CAP_PERFMON. bpf(2)
BPF = (2 << 32 | 2, ctypes.addressof(END), ctypes.addressof(LICENCE))
BPF = b"".join(number.to_bytes(8, "little") for number in BPF) + bytes(104)
def alone(act):
    if (child := os.fork()) == 0:
        libc.unshare(0x20000)
        act()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@X86
def test_the_kernel_refuses_what_reaches_beyond_the_container(box: sandbox.Container) -> None:
    """Devices, disks, other hierarchies, modules, clocks, programs in the kernel: CVE-2022-0492 and the rest by class."""
    code = f"for name, text in {list(CALLS.items())!r}: alone(lambda: print(name, call(*eval('(' + text + ',)')), sep='\\t'))"
    answers = dict(line.split("\t") for line in lines(box, SETUP + code))
    assert answers.keys() == CALLS.keys()
    assert {
        name: answer for name, answer in answers.items() if answer not in REFUSED - {"ENOSYS", "ESRCH", "EAFNOSUPPORT"}
    } == {}


#: Settings that each network, ipc, user or pid namespace has of its own.
OWN = ("net/", "fs/mqueue/", "user/", "kernel/msg", "kernel/shm", "kernel/sem", "kernel/auto_msgmni", "kernel/pid_max",
       "kernel/ns_last_pid", "kernel/hostname", "kernel/domainname")  # fmt: skip


def settings() -> dict[str, str]:
    """What the machine has only once, as far as it stays what it is by itself."""
    found = {}
    for top in ("abi", "debug", "dev", "fs", "kernel", "vm"):
        for folder, _, names in os.walk(f"/proc/sys/{top}"):
            for name in names:
                path = f"{folder}/{name}"
                if not any(word in path for word in ("random", "-state", "-nr", "pty/nr", "ns_last_pid", "stat")):
                    try:
                        found[path] = files.read(path)
                    except OSError:
                        continue
    return found


def test_what_was_sealed_can_be_opened_and_still_not_be_written(box: sandbox.Container) -> None:
    """Its root may take away the read-only mounts over /proc/sys. What is behind them belongs to the host's root."""
    before, name = settings(), os.uname().nodename
    code = f"""
def attack():
    for line in reversed(open("/proc/self/mountinfo").read().splitlines()):
        path = line.split()[4]
        if path.startswith(("/proc/", "/sys/")):
            libc.umount2(path.encode(), 2)
    print("umounted", sum(" /proc/" in line for line in open("/proc/self/mountinfo")))
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            if tried(os.open, f"{{folder}}/{{name}}", os.O_WRONLY) == "0":
                print("open", f"{{folder}}/{{name}}"[10:])
    for path in {FILES}:
        print(path, tried(os.open, path, os.O_WRONLY))
    print("sysrq", tried(os.open, "/proc/sysrq-trigger", os.O_WRONLY))
    print("name", call(170, b"evil", 4))
alone(attack)
"""
    told = [line.split(" ", 1) for line in lines(box, SETUP + code)]
    assert ["umounted", "0"] in told, "the attack did not even begin"
    assert [path for word, path in told if word == "open" and not path.startswith(OWN)] == []
    own = ("/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "name")
    answers = {word: answer for word, answer in told if word not in ("umounted", "open")}
    assert {path: answer for path, answer in answers.items() if answer not in REFUSED - {"EINVAL"}}.keys() <= set(own)
    assert os.uname().nodename == name
    assert settings() == before


def test_its_own_limits_and_the_groups_of_others_are_out_of_reach(box: sandbox.Container) -> None:
    """Also through a mount of its own: a group's limits belong to the host's root, and the top that it sees is its own."""
    limits = ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max", "devices.allow", "cpuset.cpus")
    code = f"""
def attack():
    trees = {{line.split()[8]: line.split()[-1] for line in open("/proc/self/mountinfo") if " - cgroup" in line}}
    print("groups", {{line.strip().split(":")[2] for line in open("/proc/self/cgroup")}})
    for line in open("/proc/self/mountinfo").read().splitlines():
        left, right = line.split(" - ")
        if right.split()[0] not in ("cgroup", "cgroup2"):
            continue
        kind, options = right.split()[0], right.split()[-1].partition(",")[2]
        os.makedirs("/run/own", exist_ok=True)
        made = libc.mount(b"own", b"/run/own", kind.encode(), 0, options.encode()) == 0
        for place in (left.split()[4], "/run/own"):
            if place == "/run/own" and not made:
                continue
            print("seen", left.split()[3], sorted(name for name in os.listdir(place) if os.path.isdir(f"{{place}}/{{name}}")))
            for name in {limits}:
                if os.path.exists(f"{{place}}/{{name}}"):
                    print("wrote", name, tried(lambda: os.write(os.open(f"{{place}}/{{name}}", os.O_WRONLY), b"max")))
            print("agent", os.path.exists(f"{{place}}/release_agent"))
        if made:
            libc.umount2(b"/run/own", 2)
alone(attack)
"""
    told = lines(box, SETUP + code)
    assert told[0] == "groups {'/'}"
    assert {line for line in told if line.startswith("seen")} == {"seen / []"}
    writes = [line.split() for line in told if line.startswith("wrote")]
    assert writes
    assert {answer for _, _, answer in writes} == {"EACCES"}
    assert {line for line in told if line.startswith("agent")} == {"agent False"}


def test_nothing_of_the_host_is_held_by_any_process_inside(box: sandbox.Container) -> None:
    """No descriptor and no root leads out; /proc/1/ns are its own namespaces."""
    code = """
for pid in filter(str.isdigit, os.listdir("/proc")):
    for fd in os.listdir(f"/proc/{pid}/fd") if pid != str(os.getpid()) else ():
        print("fd", os.readlink(f"/proc/{pid}/fd/{fd}"))
print("root", os.path.samestat(os.stat("/proc/1/root/."), os.stat("/")), os.readlink("/proc/1/cwd"))
for kind in os.listdir("/proc/1/ns"):
    print("ns", kind, os.readlink(f"/proc/1/ns/{kind}"))
print("me", sorted(os.listdir("/proc/self/fd"))[:3])
"""
    told = lines(box, code)
    held = {line[3:] for line in told if line.startswith("fd")}
    assert held
    assert {path for path in held if not path.startswith(("/dev/", "pipe:", "socket:", "/var/log/"))} == set()
    assert "root True /" in told
    spaces = dict(line.split()[1:] for line in told if line.startswith("ns"))
    assert {kind for kind, name in spaces.items() if os.readlink(f"/proc/self/ns/{kind}") == name} <= {
        "time",
        "time_for_children",
    }


# --- who comes in ---------------------------------------------------------------------------------------------------


@X86
def test_no_helper_that_attaches_can_be_opened_or_traced_by_a_root_with_all_capabilities(box: sandbox.Container) -> None:
    """CVE-2019-5736, CVE-2016-9962, here with CAP_SYS_PTRACE and CAP_SYS_ADMIN."""
    watcher = box.spawn(program(WATCHER))
    seen = b""
    while b"ready" not in seen:
        seen += b"".join(data for _, data in watcher.poll(0.1))
        assert not watcher.done, seen
    for _ in range(40):
        assert box.exec(["true"]).exit_code == 0
    box.exec(["touch", "/tmp/enough"])
    while not watcher.done:
        seen += b"".join(data for _, data in watcher.poll(0.1))
    box.exec(["rm", "/tmp/enough"])
    number, _, caught = seen.decode().splitlines()[-1].partition(" ")
    assert int(number) > 0, "the watcher saw no helper: nothing was shown"
    assert caught == "[]"


def test_nobody_types_into_the_terminal_of_whoever_attaches(box: sandbox.Container) -> None:
    """TIOCSTI: what it types goes into a terminal of its own, and never into the one that lxc-attach was called at."""
    ours, theirs = pty.openpty()
    attack = "import fcntl\nfor byte in b'touch /evil\\n': fcntl.ioctl(0, 0x5412, bytes([byte]))\nprint('typed')"
    command = [sys.executable, "-m", "sandbox", "lxc-attach", "-n", "evil", "--", "/usr/bin/python3", "-I", "-c", attack]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, preexec_fn=take_terminal
    ) as done:
        assert done.wait(timeout=30) in (0, 1)
    waiting = int.from_bytes(fcntl.ioctl(theirs, termios.FIONREAD, bytes(4)), "little")
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)
    assert waiting == 0
    assert b"typed" in shown or b"Error" in shown, shown
