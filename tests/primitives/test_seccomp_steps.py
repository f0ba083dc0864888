"""The default filter on the real kernel: every test loads it in a process of its own and tries."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.linux.numbers import SYSCALLS
from sandbox.primitives import seccomp

REPOSITORY = str(Path(seccomp.__file__).parents[2])
MACHINE = os.uname().machine

PRELUDE = """
import ctypes, errno, json, os, socket, sys, fcntl
sys.path.insert(0, sys.argv[1])
from sandbox.linux import syscalls
from sandbox.linux.numbers import SYSCALLS
from sandbox.primitives.seccomp import InstallSeccomp, SetNoNewPrivileges, compile_profile, read
from sandbox.spec import DEFAULT_CAPABILITIES
from sandbox.step import World
libc = ctypes.CDLL(None, use_errno=True)
world = World()
install = InstallSeccomp(compile_profile("default", os.uname().machine, DEFAULT_CAPABILITIES))
def confine():
    SetNoNewPrivileges().apply(world)
    install.apply(world)
"""

needs_this_machine = pytest.mark.skipif(not SYSCALLS, reason=f"no call numbers are known for {MACHINE}")


def inside(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, which has the steps at hand."""
    command = [sys.executable, "-I", "-S", "-c", PRELUDE + script, REPOSITORY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def confined(*command: str) -> subprocess.CompletedProcess[str]:
    return inside("confine(); os.execv(sys.argv[2], sys.argv[2:])", *command)


TRIED = {  # the arguments are such that the kernel itself does nothing
    "keyctl": (-1, 0, 0), "add_key": (0, 0, 0), "request_key": (0, 0, 0), "bpf": (-1, 0, 0),
    "perf_event_open": (0, -1, -1, -1, -1), "userfaultfd": (-1,), "io_uring_setup": (0, 0), "kexec_load": (0, 1 << 40, 0, -1),
    "open_by_handle_at": (-1, 0, 0), "mount": (0, 0, 0), "umount2": (0, -1), "pivot_root": (0, 0), "unshare": (0,),
    "setns": (-1, 0), "fsopen": (0, -1), "sethostname": (0, -1), "finit_module": (-1, 0, -1), "personality": (0x40000,),
}  # fmt: skip


@needs_this_machine
def test_calls_that_reach_out_of_a_container_are_refused_by_the_real_kernel() -> None:
    script = f"""
tried = {TRIED!r}
def number(name, arguments):
    return ctypes.get_errno() if libc.syscall(SYSCALLS[name], *map(ctypes.c_long, arguments)) == -1 else 0
before = {{name: number(name, arguments) for name, arguments in tried.items()}}
confine()
after = {{name: number(name, arguments) for name, arguments in tried.items()}}
print(json.dumps([before, after]))
"""
    before, after = json.loads(inside(script).stdout)
    assert after == dict.fromkeys(TRIED, errno.EPERM)
    if os.geteuid() == 0:
        assert len([name for name in before if before[name] != errno.EPERM]) > 12  # so it was the filter


@needs_this_machine
def test_a_new_namespace_by_clone_is_refused_and_clone3_does_not_exist() -> None:
    script = """
confine()
ctypes.set_errno(0)
flags = (0x10000000 | 17, 0, 0, 0, 0)
if (pid := libc.syscall(SYSCALLS["clone"], *map(ctypes.c_long, flags))) == 0:
    os._exit(0)
first = ctypes.get_errno()
libc.syscall(SYSCALLS["clone3"], None, ctypes.c_long(0))
print(json.dumps([pid, first, ctypes.get_errno()]))
"""
    assert json.loads(inside(script).stdout) == [-1, errno.EPERM, errno.ENOSYS]


@needs_this_machine
def test_nobody_types_into_the_terminal_outside() -> None:
    script = """
master, slave = os.openpty()
confine()
found = []
for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
    ctypes.set_errno(0)
    libc.syscall(SYSCALLS["ioctl"], ctypes.c_long(slave), ctypes.c_ulong(request), b"x")
    found.append(ctypes.get_errno())
print(json.dumps([found, os.get_terminal_size(slave)[0]]))
"""
    assert json.loads(inside(script).stdout) == [[errno.EPERM] * 3, 0]


@needs_this_machine
def test_sockets_of_families_without_namespaces_do_not_exist_and_others_work() -> None:
    script = """
confine()
found = []
for family in (socket.AF_ALG, socket.AF_VSOCK, socket.AF_UNIX, socket.AF_INET, socket.AF_NETLINK):
    try:
        socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM
                      if family != socket.AF_ALG else socket.SOCK_SEQPACKET).close()
        found.append(0)
    except OSError as error:
        found.append(error.errno)
print(json.dumps(found))
"""
    assert json.loads(inside(script).stdout) == [errno.EAFNOSUPPORT, errno.EAFNOSUPPORT, 0, 0, 0]


@pytest.mark.skipif(MACHINE != "x86_64", reason="int 0x80 is the door to 32-bit calls of x86_64")
def test_the_32_bit_door_is_closed(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("int 0x80 needs a program in C, and there is no gcc")
    source, program = tmp_path / "door.c", tmp_path / "door"
    source.write_text("""
        #include <stdio.h>
        int main(void) {
            long getpid = 20, pid;
            __asm__ volatile("int $0x80" : "=a"(pid) : "a"(getpid) : "memory", "r8", "r9", "r10", "r11");
            printf("%d\\n", (int)pid);
        }
    """)
    subprocess.run(["gcc", "-o", str(program), str(source)], check=True)
    open_door = subprocess.run([str(program)], capture_output=True, text=True)
    if open_door.returncode:
        pytest.skip("this kernel was built without 32-bit calls")
    assert int(open_door.stdout) > 0
    assert confined(str(program)).stdout == f"{-errno.ENOSYS}\n"


@needs_this_machine
@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["/bin/true"], ""),
        (["/bin/sh", "-c", "ls / | grep -c etc; (sleep 0.01 & wait); echo $(echo deep)"], "1\ndeep\n"),
        (["/usr/bin/busybox", "sh", "-c", "busybox ls / | busybox grep -c etc"], "1\n"),
        (["/usr/bin/python3", "-c", "import subprocess, threading, asyncio, tempfile;"
          "t = threading.Thread(target=lambda: print('thread', flush=True)); t.start(); t.join();"
          "print(asyncio.run(asyncio.sleep(0.01, 'loop')), flush=True); tempfile.TemporaryFile();"
          "subprocess.run(['/bin/echo', 'child'])"], "thread\nloop\nchild\n"),
    ],
    ids=["true", "sh", "busybox", "python3"],
)  # fmt: skip
def test_ordinary_programs_do_not_notice(command: list[str], output: str) -> None:
    if not os.access(command[0], os.X_OK):
        pytest.skip(f"{command[0]} is not installed")
    done = confined(*command)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


@needs_this_machine
def test_when_exec_fails_behind_the_filter_the_process_can_still_say_so_and_leave() -> None:
    script = """
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
confine()
try:
    os.execve("/nowhere", ["nowhere"], {})
except OSError as error:
    theirs.send(str(error.errno).encode())
print(ours.recv(10).decode(), flush=True)
os._exit(7)
"""
    done = inside(script)
    assert (done.stdout, done.returncode) == (f"{errno.ENOENT}\n", 7)


@needs_this_machine
def test_what_was_loaded_can_be_read_and_is_inherited() -> None:
    script = """
before = read()
confine()
if (pid := os.fork()) == 0:
    print(json.dumps([before, read()]), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    before, after = (seccomp.State(*state) for state in json.loads(inside(script).stdout))
    assert (after.mode, after.no_new_privileges, after.filters - before.filters) == (2, True, 1)


@needs_this_machine
def test_without_no_new_privs_and_capabilities_the_refusal_names_both() -> None:
    script = """
syscalls.capset(0, 0, 0)
try:
    install.apply(world)
except OSError as error:
    print(json.dumps([error.errno, *install.explain(error, world)]))
"""
    number, condition, cure = json.loads(inside(script).stdout)
    assert number == errno.EACCES
    assert condition == "NoNewPrivs is 0, CAP_SYS_ADMIN is not effective"
    assert "SetNoNewPrivileges before InstallSeccomp" in cure


@needs_this_machine
def test_a_program_that_the_kernel_does_not_accept_is_told_from_a_kernel_without_filters() -> None:
    script = """
SetNoNewPrivileges().apply(world)
broken = InstallSeccomp(b"12345678")
try:
    broken.apply(world)
except OSError as error:
    print(json.dumps([error.errno, *broken.explain(error, world)]))
"""
    number, condition, _ = json.loads(inside(script).stdout)
    assert (number, condition) == (errno.EINVAL, "the kernel does not accept this program of 8 bytes")
