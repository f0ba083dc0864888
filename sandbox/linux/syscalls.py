"""System calls by their man-page names, through ctypes.

Each wrapper is a few lines: encode, call, check. A call that fails raises `SyscallError`, an OSError that also knows which
call it was. While `observe()` is on, every call is noted with its arguments, its result and its time, so that whoever uses
these doors is traced without having to report anything.
"""

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

from . import constants as c
from .numbers import SYSCALLS

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

#: (name, arguments, result or -errno, start ns, end ns) of each call, or None while nobody observes.
_calls: list[tuple[str, str, int, int, int]] | None = None


class SyscallError(OSError):
    """A system call failed. `call` names it; errno, strerror and filename are those of OSError.

    Like OSError itself it comes as FileNotFoundError, PermissionError … where errno says so, and can be caught as such.
    """

    def __new__(cls, call: str, number: int, path: str | None = None) -> "SyscallError":
        kind = _kinds.get(number) or _kinds.setdefault(number, _kind(type(OSError(number, ""))))
        return super().__new__(kind, number, os.strerror(number), path)

    def __init__(self, call: str, number: int, path: str | None = None) -> None:
        super().__init__(number, os.strerror(number), path)
        self.call = call


_kinds: dict[int, type[SyscallError]] = {}


def _kind(base: type[OSError]) -> type[SyscallError]:
    return SyscallError if base is OSError else type(base.__name__, (SyscallError, base), {})


def observe(on: bool = True) -> list[tuple[str, str, int, int, int]]:
    """Start (or stop) noting calls; returns the list that they are (were) noted in."""
    global _calls
    noted = _calls
    _calls = [] if on else None
    return (_calls if on else noted) or []


def take_calls() -> list[tuple[str, str, int, int, int]]:
    """The calls noted since the last time this was asked."""
    global _calls
    if not _calls:
        return []
    taken, _calls = _calls, []
    return taken


def note(name: str, shown: str, result: int, start: int) -> None:
    """Note one call that was made elsewhere (by `os` or `files`)."""
    if _calls is not None:
        _calls.append((name, shown, result, start, time.monotonic_ns()))


def _call(name: str, function: Callable[..., int], *args: Any, shown: str, path: str | None = None) -> int:
    start = time.monotonic_ns() if _calls is not None else 0
    result: int = function(*args)
    if result >= 0:
        note(name, shown, result, start)
        return result
    number = ctypes.get_errno()
    note(name, shown, -number, start)
    raise SyscallError(name, number, path)


def _syscall(name: str, number: int, *args: Any, shown: str, path: str | None = None) -> int:
    # Numbers go as 64-bit values: the variadic syscall(2) would otherwise read garbage in the upper half.
    return _call(
        name, _libc.syscall, ctypes.c_long(number),
        *(ctypes.c_long(a) if isinstance(a, int) else a for a in args), shown=shown, path=path,
    )  # fmt: skip


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


# --- processes and namespaces ---------------------------------------------------------------------------------------


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
                     "set_tid", "set_tid_size", "cgroup")
    )  # fmt: skip


def clone3(flags: int, exit_signal: int = 17, cgroup: str = "") -> tuple[int, int]:
    """Make a child, born in the namespaces of `flags`; returns (pid, pidfd), and (0, -1) in the child. clone(2).

    It is born in the control group `cgroup`, too, the directory of one in the v2 tree. Only for a single-threaded process:
    the child goes on as a copy of this interpreter.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(flags=flags | c.CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal)
    shown = f"flags={flags:#x}"
    if cgroup:
        args.flags |= c.CLONE_INTO_CGROUP
        args.cgroup = os.open(cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        shown += f", cgroup={cgroup!r}"
    try:
        pid = _syscall("clone3", c.SYS_CLONE3, ctypes.byref(args), ctypes.sizeof(args), shown=shown, path=cgroup or None)
    finally:
        if cgroup:
            os.close(args.cgroup)
    return pid, pidfd.value if pid else -1


def unshare(flags: int) -> None:
    """Move this process into new namespaces. unshare(2)."""
    _call("unshare", _libc.unshare, flags, shown=f"{flags:#x}")


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces `flags` of the process or namespace that `fd` refers to. setns(2)."""
    _call("setns", _libc.setns, fd, flags, shown=f"{fd}, {flags:#x}")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = os.fsencode(name)
    _call("sethostname", _libc.sethostname, raw, len(raw), shown=repr(name))


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """pidfd_send_signal(2): never hits a process that took over the number."""
    _syscall("pidfd_send_signal", c.SYS_PIDFD_SEND_SIGNAL, pidfd, signal, None, 0, shown=f"{pidfd}, {signal}")


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """close_range(2): close every descriptor from first to last."""
    if first <= last:
        _syscall("close_range", c.SYS_CLOSE_RANGE, first, last, 0, shown=f"{first}, {last:#x}")


def default_signals() -> None:
    """Every signal does what it does by default, also those that whoever started us ignored. rt_sigaction(2).

    By the bare call: the C library refuses 32 and 33, which it uses itself, and which make(1) leaves ignored.
    """
    nothing = ctypes.create_string_buffer(32)  # struct kernel_sigaction: SIG_DFL, no flags, empty mask
    number = ctypes.c_long(SYSCALLS["rt_sigaction"])
    for signal in range(1, 65):
        _libc.syscall(number, ctypes.c_long(signal), nothing, None, ctypes.c_long(8))  # EINVAL for SIGKILL and SIGSTOP
    note("rt_sigaction", "1 … 64, SIG_DFL", 0, time.monotonic_ns())


def prctl(option: int, *values: int) -> int:
    """prctl(2)."""
    padded = [ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]]
    return _call("prctl", _libc.prctl, option, *padded, shown=f"{option}, {', '.join(map(str, values))}")


def set_name(name: str) -> None:
    """What `ps` shows of this process: 15 bytes. prctl(2), PR_SET_NAME."""
    _call("prctl", _libc.prctl, c.PR_SET_NAME, _text(name), 0, 0, 0, shown=f"PR_SET_NAME, {name!r}")


# --- mounts ---------------------------------------------------------------------------------------------------------


def mount(source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    _call(
        "mount", _libc.mount, _text(source), _text(target), _text(fstype), ctypes.c_ulong(flags), _text(data),
        shown=f"{source!r}, {target!r}, {fstype!r}, {flags:#x}, {data!r}", path=target,
    )  # fmt: skip


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _call("umount2", _libc.umount2, _text(target), flags, shown=f"{target!r}, {flags:#x}", path=target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    number = c.SYS_PIVOT_ROOT[os.uname().machine]
    _syscall("pivot_root", number, _text(new_root), _text(put_old), shown=f"{new_root!r}, {put_old!r}", path=new_root)


def open_tree(path: str, flags: int, dirfd: int = c.AT_FDCWD) -> int:
    """open_tree(2); with OPEN_TREE_CLONE the result is a mount that is attached nowhere yet."""
    flags |= c.OPEN_TREE_CLOEXEC
    return _syscall("open_tree", c.SYS_OPEN_TREE, dirfd, _text(path), flags, shown=f"{path!r}, {flags:#x}", path=path)


def move_mount(fd: int, target: str, target_fd: int = c.AT_FDCWD) -> None:
    """move_mount(2): attach the mount `fd` at `target` (an empty one: at `target_fd` itself)."""
    flags = c.MOVE_MOUNT_F_EMPTY_PATH | (0 if target else c.MOVE_MOUNT_T_EMPTY_PATH)
    _syscall(
        "move_mount", c.SYS_MOVE_MOUNT, fd, b"", target_fd, _text(target), flags,
        shown=f"{fd}, {target!r}", path=target,
    )  # fmt: skip


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def mount_setattr(
    fd: int, attributes: int, userns_fd: int = 0, *, propagation: int = 0, recursive: bool = False, clear: int = 0
) -> None:
    """mount_setattr(2) on the mount that `fd` refers to."""
    attr = _MountAttr(attributes, clear, propagation, userns_fd)
    flags = c.AT_EMPTY_PATH | (c.AT_RECURSIVE if recursive else 0)
    _syscall(
        "mount_setattr", c.SYS_MOUNT_SETATTR, fd, b"", flags, ctypes.byref(attr), ctypes.sizeof(attr),
        shown=f"{fd}, set={attributes:#x}, propagation={propagation:#x}",
    )  # fmt: skip


def fsopen(fstype: str) -> int:
    """fsopen(2): a file system that is being configured."""
    return _syscall("fsopen", c.SYS_FSOPEN, _text(fstype), c.FSOPEN_CLOEXEC, shown=repr(fstype))


def fsconfig(fd: int, key: str | None, value: str | None = None) -> None:
    """fsconfig(2): set a flag (no value) or a string; without a key, create the file system."""
    command = c.FSCONFIG_CMD_CREATE if key is None else c.FSCONFIG_SET_FLAG if value is None else c.FSCONFIG_SET_STRING
    _syscall("fsconfig", c.SYS_FSCONFIG, fd, command, _text(key), _text(value), 0, shown=f"{fd}, {key!r}, {value!r}")


def fsmount(fd: int, attributes: int = 0) -> int:
    """fsmount(2): the configured file system as a mount that is attached nowhere yet."""
    return _syscall("fsmount", c.SYS_FSMOUNT, fd, c.FSMOUNT_CLOEXEC, attributes, shown=f"{fd}, {attributes:#x}")


def exchange(path: str, other: str) -> None:
    """Let two files or folders change places, at once. rename(2), RENAME_EXCHANGE."""
    at, flags = c.AT_FDCWD, c.RENAME_EXCHANGE
    _call("renameat2", _libc.renameat2, at, _text(path), at, _text(other), flags, shown=f"{path!r}, {other!r}", path=path)


def syncfs(fd: int) -> None:
    """Write all that waits to be written, on the file system that `fd` lies on, to its disk. syncfs(2)."""
    _call("syncfs", _libc.syncfs, fd, shown=str(fd))


# --- paths that may be hostile --------------------------------------------------------------------------------------


class _OpenHow(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = c.RESOLVE_IN_ROOT) -> int:
    """openat2(2); by default `path` can't leave the directory `dirfd`, whatever links it meets."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve | c.RESOLVE_NO_MAGICLINKS)
    tries = 1000
    while True:
        try:
            return _syscall(
                "openat2", c.SYS_OPENAT2, dirfd, _text(path), ctypes.byref(how), ctypes.sizeof(how),
                shown=f"{dirfd}, {path!r}, {flags:#x}, resolve={resolve:#x}", path=path,
            )  # fmt: skip
        except BlockingIOError:
            # EAGAIN: somebody mounted or renamed, anywhere on the machine, while a ".." was walked. openat2(2), ERRORS
            if not (tries := tries - 1):
                raise


# --- privileges -----------------------------------------------------------------------------------------------------


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2): the three sets of this process, as bit masks."""
    data = (ctypes.c_uint32 * 6)(
        effective & 0xFFFFFFFF, permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF,
        effective >> 32, permitted >> 32, inheritable >> 32,
    )  # fmt: skip
    header = _CapHeader(c.LINUX_CAPABILITY_VERSION_3, 0)
    _call("capset", _libc.capset, ctypes.byref(header), data, shown=f"{effective:#x}, {permitted:#x}, {inheritable:#x}")


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp_set_filter(program: bytes) -> None:
    """Load a classic BPF program (8 bytes an instruction) as this thread's filter. seccomp(2), prctl(2)."""
    fprog = _SockFprog(len(program) // 8, program)
    mode = ctypes.c_ulong(c.SECCOMP_MODE_FILTER)
    _call("prctl", _libc.prctl, c.PR_SET_SECCOMP, mode, ctypes.byref(fprog), 0, 0,
          shown=f"PR_SET_SECCOMP, {len(program) // 8} instructions")  # fmt: skip
