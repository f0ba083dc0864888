"""What a container's root asks of the kernel, and must not get. All of it is tried with the default options."""

import os
import platform
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import sandbox
from tests.attacks.hostile import Hostile, inside, program, shell

X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86_64")
REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT", "ENOSYS", "EINVAL", "ENODEV", "EAFNOSUPPORT", "ESRCH"}

#: Row: what is asked for, as (number, arguments) on x86_64. "p" is a pointer to something harmless.
CALLS = {
    "10 mount cgroup": '165, b"cgroup", b"/tmp", b"cgroup", 0, b"memory"',
    "10 mount cgroup2": '165, b"cgroup2", b"/tmp", b"cgroup2", 0, 0',
    "10 mount proc": '165, b"proc", b"/tmp", b"proc", 0, 0',
    "10 remount /proc/sys": '165, 0, b"/proc/sys", 0, 0x1020, 0',
    "10 umount a mask": '166, b"/proc/keys", 2',
    "10 move_mount": '429, -100, b"/proc/sys", -100, b"/tmp", 0',
    "10 open_tree": '428, -100, b"/", 1',
    "10 mount_setattr": '442, -100, b"/proc/sys", 0, b"\\0" * 32, 32',
    "10 pivot_root": '155, b"/tmp", b"/tmp"',
    "11 fsopen": '430, b"ext4", 0',
    "11 unshare user": "272, 0x10000000",
    "11 unshare mount": "272, 0x00020000",
    "11 clone user": "56, 0x10000011, 0, 0, 0, 0",
    "11 clone user, dirty upper half": "56, 0x100000010000011, 0, 0, 0, 0",
    "11 clone3 user": '435, (0x10000000).to_bytes(8, "little") + b"\\0" * 24 + b"\\x11" + b"\\0" * 55, 88',
    "11 setns": "308, 0, 0x20000",
    "22 pidfd_getfd": "438, PIDFD, 1, 0",
    "22 process_madvise": "440, PIDFD, 0, 0, 0, 0",
    "22 kcmp": "312, 1, 1, 0, 0, 0",
    "23 keyctl, get the user's keyring": "250, 0, -4, 1",
    "23 keyctl, join a session": "250, 1, 0",
    "23 add_key": '248, b"user", b"x", b"y", 1, -3',
    "23 request_key": '249, b"user", b"x", 0, -3',
    "26 open_by_handle_at": "304, ROOT, HANDLE, 0",
    "27 bpf": '321, 0, b"\\0" * 128, 128',
    "27 perf_event_open": '298, b"\\0" * 128, 0, -1, -1, 0',
    "27 userfaultfd": "323, 0",
    "27 io_uring_setup": "425, 8, ctypes.create_string_buffer(256)",
    "27 io_uring_enter": "426, 3, 0, 0, 0, 0, 0",
    "27 kexec_load": "246, 0, 0, 0, 0",
    "27 kexec_file_load": "320, 0, 0, 0, 0, 0",
    "27 init_module": '175, b"x", 1, b""',
    "27 finit_module": '313, 0, b"", 0',
    "27 delete_module": '176, b"x", 0',
    "27 reboot": "169, 0xfee1dead, 672274793, 0, 0",
    "27 swapon": '167, b"/tmp", 0',
    "27 acct": '163, b"/tmp/x"',
    "27 syslog": "103, 3, ctypes.create_string_buffer(64), 64",
    "27 iopl": "172, 3",
    "27 settimeofday": '164, b"\\0" * 16, 0',
    "27 clock_settime": '227, 0, b"\\0" * 16',
    "27 sethostname": '170, b"evil", 4',
    "27 quotactl": "179, 0, 0, 0, 0",
    "27 vhangup": "153",
    "27 fanotify_init": "300, 0, 0",
    "27 lookup_dcookie": "212, 0, 0, 0",
    "27 personality READ_IMPLIES_EXEC": "135, 0x0400000",
    "28 AF_VSOCK": "41, 40, 1, 0",
    "28 AF_ALG": "41, 38, 5, 0",
    "28 AF_VSOCK, dirty upper half": "41, 0x100000028, 1, 0",
    "28 AF_PACKET": "41, 17, 3, 0x300",
}


@pytest.fixture(scope="module")
def answers(home: Path) -> dict[str, str]:
    """Every call's answer, given in one container of its own."""
    code = f"""
PIDFD = libc.syscall(434, 1, 0)
ROOT = os.open("/", os.O_RDONLY)
HANDLE = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2).to_bytes(8, "little")
for name, arguments in {list(CALLS.items())!r}:
    main = os.getpid()
    answer = call(*eval("(" + arguments + ",)"))
    if os.getpid() != main:
        os._exit(0)
    print(name, answer, sep="\\t")
"""
    return dict(line.split("\t") for line in inside(code))


@X86
@pytest.mark.parametrize("name", [name for name in CALLS if name != "28 AF_PACKET"])
def test_the_kernel_refuses(answers: dict[str, str], name: str) -> None:
    """Rows 10, 11, 22, 23, 26, 27, 28: CVE-2022-0492 (cgroup), CVE-2022-0185 (fsconfig), shocker, and the rest by class."""
    assert answers[name] in REFUSED - {"ENOENT", "EINVAL"}, answers[name]


@X86
def test_a_raw_socket_reaches_only_its_own_loopback(answers: dict[str, str]) -> None:
    """Row 28: CAP_NET_RAW is Docker's default, and reaches no further than the container's own network namespace."""
    assert answers["28 AF_PACKET"] == "0"
    assert shell("ls /sys/class/net").split() == ["lo"]


@X86
@pytest.mark.parametrize(("gate", "code"), [("int 0x80", "b8{0:08x}cd80c3"), ("x32", "b8{1:08x}0f05c3")])
def test_no_other_gate_into_the_kernel_is_open(home: Path, gate: str, code: str) -> None:
    """Row 27: 32-bit calls have other numbers, x32 ones an offset: mount(2) and getpid(2) through each. seccomp(2), NOTES."""
    text = f"""
import mmap
for number in ((21, 165), (20, 39)):
    numbers = number[0].to_bytes(4, "little").hex(), (number[1] | 0x40000000).to_bytes(4, "little").hex()
    code = bytes.fromhex({code.replace(":08x", "")!r}.format(*numbers))
    child = os.fork()
    if child == 0:
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(code)
        got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(min(-got, 125) if got < 0 else 0)
    status = os.waitpid(child, 0)[1]
    print(status if os.WIFSIGNALED(status) else errno.errorcode.get(os.WEXITSTATUS(status), "done"))
"""
    assert set(inside(text)) <= {"EPERM", "ENOSYS", "31", "11"}, gate


@pytest.mark.parametrize("init", [False, True])
def test_a_container_holds_no_more_capabilities_than_it_should(home: Path, init: bool) -> None:
    """Row 12: CVE-2022-29162, CVE-2022-24769: nothing is inheritable or ambient. And a filter, and no new privileges."""
    box = sandbox.Container.create("capable", "busybox", ["sleep", "60"], init=init)
    box.start()
    texts = [
        box.exec(["cat", "/proc/self/status"]).text,
        box.exec(["cat", "/proc/1/status"]).text,
        shell("cat /proc/self/status"),
    ]
    box.kill()
    box.destroy()
    for text in texts:
        found = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert (found["CapInh"], found["CapAmb"]) == ("0" * 16, "0" * 16)
        assert {found["CapBnd"], found["CapPrm"], found["CapEff"]} == {"00000000a80425fb"}
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


#: Whoever writes to one of these is the machine's master. Not all are there on every machine.
FILES = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper", "/proc/kmsg",
    "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory/release_agent", "/sys/kernel/mm/ksm/run", "/proc/irq/default_smp_affinity", "/dev/kmsg",
    "/sys/power/state", "/dev/mem", "/dev/port", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/fuse", "/dev/net/tun",
    "/proc/scsi/scsi",
)  # fmt: skip


@pytest.mark.parametrize("userns", ["private", pytest.param("host", marks=pytest.mark.needs_root)])
def test_the_files_of_the_kernel_cannot_be_written(home: Path, userns: str) -> None:
    """Rows 10, 18, 19, 21: core_pattern, uevent_helper, release_agent, devices.allow and their like."""
    lines = inside(f"for path in {FILES}: print(path, tried(os.open, path, os.O_WRONLY))", userns=userns)
    answers = dict(line.split() for line in lines)
    assert {path: answer for path, answer in answers.items() if answer not in REFUSED - {"EINVAL"}} == {}
    # Only by the mount, where root inside is root outside; otherwise already by the owner.
    assert answers["/proc/sys/kernel/core_pattern"] == ("EROFS" if userns == "host" else "EACCES")


@pytest.mark.parametrize("userns", ["private", pytest.param("host", marks=pytest.mark.needs_root)])
def test_sysrq_cannot_be_triggered(home: Path, userns: str) -> None:
    """Row 19."""
    if not os.path.exists("/proc/sysrq-trigger"):
        pytest.skip("this kernel has no /proc/sysrq-trigger: there is nothing to protect")
    assert inside("print(tried(os.open, '/proc/sysrq-trigger', os.O_WRONLY))", userns=userns)[0] in REFUSED


@pytest.mark.parametrize("path", [
    "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/kcore", "/proc/sched_debug", "/sys/firmware", "/proc/acpi",
])  # fmt: skip
def test_what_tells_too_much_is_empty(home: Path, path: str) -> None:
    """Rows 19, 23: masked files can be read, and say nothing."""
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}: there is nothing to hide")
    empty = f"import os; print(len(os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}, 'rb').read()))"
    assert inside(empty) == ["0"]


def test_nothing_of_the_host_can_be_traced_or_signalled(home: Path) -> None:
    """Row 22: there is only the container to be seen; its parent is nobody."""
    lines = shell(
        "ls /proc | grep -c '^[0-9]'; grep PPid /proc/1/status; kill -0 -1; kill -9 2; kill -9 0x7fffffff"
    ).splitlines()
    assert int(lines[0]) <= 4
    assert lines[1] == "PPid:\t0"


def test_nobody_types_into_the_terminal_that_watches(home: Path) -> None:
    """Row 24: TIOCSTI and TIOCLINUX, also with a dirty upper half (CVE-2019-10063), on a terminal that really is one."""
    code = """
os.write(1, b"begun ")
for number in (0x5412, 0x100005412, 0x541c, 0xffffffff0000541c - (1 << 64)):
    os.write(1, call(16, 0, number, b"x").encode() + b" ")
fd = os.open("/dev/tty", os.O_RDWR)
os.write(1, call(16, fd, 0x5412, b"x").encode() + b" ")
import select
print(len(select.select([0], [], [], 0.2)[0]))
"""
    job = sandbox.spawn("host", program(code), tty=True)
    seen = b"".join(data for _, data in job.output())
    assert seen.split() == [b"begun", *[b"EPERM"] * 5, b"0"]


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Services of the host: one on its loopback, one with an abstract name. They answer who can reach them."""
    with suppress(OSError), socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        name = f"\0canary-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        for kind, address in ((socket.AF_INET, tcp.getsockname()), (socket.AF_UNIX, name)):
            with socket.socket(kind) as client:
                client.connect(address)
        yield {"port": tcp.getsockname()[1], "name": name}


def test_no_service_of_the_host_can_be_reached(home: Path, listeners: dict[str, object]) -> None:
    """Row 29: loopback, abstract sockets, the cloud's metadata, and any other address."""
    code = f"""
import socket
for kind, address in (
    (socket.AF_INET, ("127.0.0.1", {listeners["port"]})), (socket.AF_UNIX, {listeners["name"]!r}),
    (socket.AF_INET, ("169.254.169.254", 80)), (socket.AF_INET, ("10.0.0.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80)),
):
    print(tried(socket.socket(kind).connect, address))
"""
    assert inside(code) == ["ECONNREFUSED", "ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "ENETUNREACH"]


@pytest.mark.needs_root
def test_a_set_uid_program_gives_nothing(image: Hostile) -> None:
    """Row 31: no_new_privs, for a program of the image that is root's and set-uid, and for one made inside."""
    busybox = Path("/bin/busybox").read_bytes()
    image.file("/suid/busybox", busybox, 0o4755)
    assert stat.S_IMODE(os.stat(image.folder / "suid/busybox").st_mode) == 0o4755
    assert image.run(["/suid/busybox", "id", "-u"], user="1000").text == "1000\n"
    box = sandbox.Container.create("suid", "busybox", ["sleep", "60"])
    box.start()
    box.exec("mkdir /made; cp /bin/busybox /made; chmod 4755 /made/busybox")
    assert box.exec(["/made/busybox", "id", "-u"], user="1000").text == "1000\n"
    box.kill()
    box.destroy()


@pytest.mark.needs_root
def test_root_inside_is_nobody_outside_and_another_nobody_in_each_container(home: Path, tmp_path: Path) -> None:
    """Row 32: ranges of two containers do not meet, and what they write in a volume is not root's."""
    (given := tmp_path / "given").mkdir()
    given.chmod(0o777)
    ranges = []
    for name in ("one", "two"):
        box = sandbox.Container.create(name, "busybox", f"touch /v/{name}; exec sleep 60", volume=f"{given}:/v:rw")
        box.start()
        inner, outer, size = map(int, box.exec(["cat", "/proc/1/uid_map"]).text.split())
        assert os.stat(f"/proc/{box.info().pid}").st_uid == outer
        ranges.append(range(outer, outer + size))
        assert (inner, size) == (0, 65536)
        while not (given / name).exists():
            pass
        assert os.stat(given / name).st_uid == outer
        assert os.stat(given / name).st_gid == outer
    for name in ("one", "two"):
        sandbox.Container.get(name).destroy(force=True)
    assert 0 not in ranges[0]
    assert not set(ranges[0]) & set(ranges[1])


@pytest.mark.needs_root
def test_what_root_inside_leaves_on_disk_is_behind_a_closed_door(home: Path) -> None:
    """Row 32: through an idmapped layer, container root writes set-uid files of host root; no other user gets at them."""
    box = sandbox.Container.create("door", "busybox", "cp /bin/busybox /root-shell; chmod 4777 /root-shell")
    box.start()
    box.wait()
    left = home / "containers/door/upper/upper/root-shell"
    assert (left.stat().st_uid, stat.S_IMODE(left.stat().st_mode)) == (0, 0o4777)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        os._exit(os.access(left, os.X_OK, effective_ids=True))
    assert os.waitpid(pid, 0)[1] == 0
    box.destroy()
