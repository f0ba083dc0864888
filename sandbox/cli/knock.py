"""Knocking at the porter's: how a shell command is done in 30 ms, though Python alone takes 15, and loading all of this 100.

    $ lxc-info -n web ──► "lxc-info -n web", streams, folder, environment ──► porter ── fork ──► does it, and ends
                      ◄── exit code ◄───────────────────────────────────────────────┘

The porter (porter.py) is a process of the same user that has everything loaded. The first command leaves one behind, which
goes after 30 idle seconds; whoever finds none does the work itself. Commands that need the keyboard, or go on for long, always
do. SANDBOX_PORTER=no does without. This module is loaded for every command: it imports next to nothing.
"""

import binascii
import marshal
import os
import signal
import socket
import stat
import sys

#: The package that is running, and the folder it is imported from.
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE = os.path.dirname(PACKAGE)
#: Commands that are never handed on; and those that are not when there is a keyboard.
LONG = ("lxc-autostart", "lxc-checkpoint", "lxc-console", "lxc-create", "lxc-monitor", "lxc-top", "lxc-unshare",
        "lxc-usernsexec")  # fmt: skip
TYPED = ("lxc-attach", "lxc-copy", "lxc-execute", "lxc-start")
#: Signals to the command that its doer gets instead.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: What a porter must have in common with whoever knocks: who it is, what it may, where it is. proc_pid_status(5)
_STATUS = (b"Uid:", b"Gid:", b"Groups:", b"CapEff:", b"CapBnd:", b"NoNewPrivs:", b"Seccomp:")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def ask(words: "list[str]") -> "int | None":
    """The exit code of a command that the porter had done; None if there is none, or it is not for this command."""
    if not is_short(words) or (found := folder()) is None:
        return None
    me = identity()
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(f"{found}/{name(me)}")
            request = marshal.dumps((me, words, dict(os.environb), _umask()))
            here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            socket.send_fds(door, [len(request).to_bytes(4, "little")], [0, 1, 2, here])
            door.sendall(request)
            doer = int.from_bytes(door.recv(4), "little")
        except OSError:  # no porter; or a standard stream is closed, or the folder is one that can't be read
            return None
        return _outcome(door, doer) if doer else None


def _outcome(door: socket.socket, doer: int) -> int:
    for number in FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os.kill(doer, number))
    code = door.recv(4)
    if not code:
        print("sandbox: the porter was killed: nobody knows how the command ended", file=sys.stderr)
        return 1
    return int.from_bytes(code, "little")


def is_short(words: "list[str]") -> bool:
    """Whether a command is for the porter."""
    wanted = os.environ.get("SANDBOX_PORTER") != "no" and words[0].startswith("lxc-") and words[0] not in LONG
    return wanted and not (words[0] in TYPED and os.isatty(0))


def call() -> None:
    """Have a porter at the door for the next command."""
    code = f"import sys; sys.path.insert(0, {SOURCE!r}); from sandbox.cli import porter; porter.main()"
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    for key in ("XDG_RUNTIME_DIR", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"):
        if key in os.environ:
            environment[key] = os.environ[key]
    command = [sys.executable, "-I", "-c", code]
    os.posix_spawn(sys.executable, command, environment, file_actions=null, setsid=True)


def folder() -> "str | None":
    """The folder on tmpfs where a porter may be, if there is one that nobody else can enter. See `home.runtime_base`."""
    user = os.geteuid()
    above = "/run" if user == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    for path in (f"{above}/container-sandbox", f"/dev/shm/container-sandbox-{user}"):
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and stat.S_IMODE(found.st_mode) == 0o700:
            return path
    return None


def name(me: bytes) -> str:
    """The name of the porter's socket for those who are alike."""
    return f"porter-{binascii.crc32(me):08x}"


def identity() -> bytes:
    """All that must be the same for a porter to do what whoever knocks would do itself: rights, places, this very code."""
    with open("/proc/self/status", "rb") as status, open("/proc/self/cgroup", "rb") as groups:
        facts = [line for line in status if line.startswith(_STATUS)] + [groups.read()]
    facts += [os.readlink(f"/proc/self/ns/{kind}").encode() for kind in _NAMESPACES]
    root = os.stat("/")
    return b"\n".join([*facts, f"{root.st_dev}:{root.st_ino} {sys.executable} {PACKAGE} {_newest(PACKAGE)}".encode()])


def _newest(place: str) -> int:
    """When a file of this package was last written, in nanoseconds: in a clone, people work on it."""
    newest = 0
    for entry in os.scandir(place):
        if entry.is_dir() and entry.name != "__pycache__":
            newest = max(newest, _newest(entry.path))
        elif entry.name.endswith(".py"):
            newest = max(newest, entry.stat().st_mtime_ns)
    return newest


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
