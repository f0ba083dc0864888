"""The process itself: which user, where, with what signals and limits, and at last which program. execve(2)."""

import os
import resource
import signal
import stat
import struct
from contextlib import suppress

from ..errors import InvalidOption, KernelRefused, NotFound
from ..linux import syscalls
from ..step import Step, World

#: 4,294,967,295 is (uid_t)-1: "leave it as it is" to setresuid(2), and so whoever asked for it would stay root.
_LAST_ID = 0xFFFFFFFE


def _number(text: str) -> int | None:
    """An id as passwd(5) writes it: digits, and nothing that int() would take as well (CVE-2026-30892)."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LAST_ID else None


def _lookup(path: str, key: str, column: int) -> list[str] | None:
    """The line of the container's own passwd or group file whose `column` is `key`; the file may be hostile."""
    try:
        # O_NONBLOCK: a FIFO in its place must not hang us (CVE-2024-9676). The root is the container's by now.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        text = os.read(fd, 1 << 20).decode("utf-8", "replace")
    finally:
        os.close(fd)
    lines = (line.split(":") for line in text.splitlines())
    return next((fields for fields in lines if len(fields) > column + 1 and fields[column] == key), None)


class GiveStreams(Step):
    """Make the container's root the owner of the pipes it was given, so that /dev/stdout can be opened by its name.

    Only pipes, and only our own: changing the owner of a device given as a stream is how hosts get hurt.
    """

    lane = "outside"
    man = "pipe(7)"
    see = "ls -lL /proc/PID/fd"

    owner: int = -1  # a host id; -1: root of the range just claimed

    def apply(self, world: World) -> None:
        owner = world.id_base if self.owner < 0 else self.owner
        for fd in world.streams:
            status = os.fstat(fd)
            if stat.S_ISFIFO(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
                os.fchown(fd, owner, owner)


class SetUser(Step):
    """Become a user of the container: "name", "uid", "name:group" or "uid:gid". setresuid(2), passwd(5).

    Supplementary groups are dropped where the user namespace allows it (`groups`).
    """

    man = "setresuid(2)"
    see = "id"

    user: str
    groups: bool = True

    def apply(self, world: World) -> str:
        who, _, group = self.user.partition(":")
        uid = _number(who)
        fields = _lookup("/etc/passwd", who, 0 if uid is None else 2) or []
        if uid is None and (uid := _number(fields[2] if fields else "")) is None:
            raise NotFound(f"user {who!r} is not in the container's /etc/passwd", cure="give a number: --user 1000")
        gid = self._group(group) if group else (_number(fields[3]) or 0) if len(fields) > 3 else 0
        world.home = fields[5] if len(fields) > 5 else "/"
        for standard in (0, 1, 2):
            # So that /dev/stdout can be opened again by its name. Only of pipes and terminals that are container root's.
            status = os.fstat(standard)
            if (stat.S_ISFIFO(status.st_mode) or os.isatty(standard)) and status.st_uid == 0 and uid:
                os.fchown(standard, uid, -1)
        if self.groups:
            os.setgroups([gid] if gid else [])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        return f"uid {uid}, gid {gid}"

    @staticmethod
    def _group(text: str) -> int:
        gid = _number(text)
        if gid is None and (gid := _number((_lookup("/etc/group", text, 0) or ["", "", ""])[2])) is None:
            raise NotFound(f"group {text!r} is not in the container's /etc/group", cure="give a number: --user 1000:1000")
        return gid

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 22:
            with open("/proc/self/uid_map") as file:
                rows = " ".join(file.read().split())
            return f"{self.user} is not mapped: uid_map is {rows!r}", "as an ordinary user, install uidmap and set /etc/subuid"
        return "", ""


class ChangeDirectory(Step):
    """Where the program starts. chdir(2)."""

    man = "chdir(2)"
    see = "pwd"

    path: str

    def apply(self, world: World) -> None:
        os.chdir(self.path)
        # CVE-2024-21626: through a leaked descriptor one could stand outside of the root. Then the path has no "/" in front.
        try:
            inside = os.getcwd().startswith("/")
        except FileNotFoundError:  # what the C library makes of that. getcwd(3)
            inside = False
        if not inside:
            raise KernelRefused("ChangeDirectory", "getcwd", 2, path=self.path, condition="it lies outside of the root")

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 2:
            return f"there is no {self.path} in the container", "make it in the image, or give another --workdir"
        return "", ""


class ResetProcess(Step):
    """Undo what Python changed in itself and what our own limits are: signals, mask, umask, open-file limit. execve(2).

    A stream that is the host's /dev/null becomes the container's own.
    """

    man = "signal(7), getrlimit(2)"
    see = "grep Sig /proc/PID/status"

    files: int = 1024
    limits: tuple[tuple[str, int, int], ...] = ()  # ("RLIMIT_NOFILE", soft, hard); -1 is no limit

    def apply(self, world: World) -> None:
        if os.getsid(0) != os.getpid():  # with a terminal it leads one already
            os.setsid()
        syscalls.default_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.umask(0o022)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(self.files, hard), hard))
        for name, soft, most in self.limits:
            resource.setrlimit(getattr(resource, name), (soft, most))
        for standard in (0, 1, 2):
            if _is_null(standard):
                _open_own_null(standard)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            had = ", ".join(f"{name} {resource.getrlimit(getattr(resource, name))[1]}" for name, _, _ in self.limits)
            return f"nobody may raise a limit without CAP_SYS_RESOURCE; here they are: {had}", "ask for no more than that"
        return "", ""


def _is_null(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def _open_own_null(standard: int) -> None:
    """Otherwise root without a user namespace could chmod(2) the host's, through its descriptor."""
    with suppress(OSError):
        own = os.open("/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if _is_null(own):
            os.dup2(own, standard)
        os.close(own)


class Exec(Step):
    """Become the program: same process, same id, other code. With `init`, a small init of ours stays PID 1. execve(2)."""

    man = "execve(2)"
    see = "ps; readlink /proc/PID/exe"

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    init: bool = False

    def apply(self, world: World) -> None:
        env = dict(item.split("=", 1) for item in self.env)
        env.setdefault("HOME", world.home or "/")
        if self.init:
            _become_init()
        if not self.args or not self.args[0]:
            raise InvalidOption("there is no command to run")
        refused: OSError | None = None
        for path in self._candidates(env.get("PATH", "/bin:/usr/bin")):
            try:
                os.execve(path, self.args, env)
            except (FileNotFoundError, NotADirectoryError):
                if os.path.exists(path):  # then it is the interpreter that is missing
                    raise
            except PermissionError as error:
                refused = error
        raise refused or FileNotFoundError(2, os.strerror(2), self.args[0])

    def _candidates(self, path: str) -> list[str]:
        name = self.args[0]
        return [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in path.split(":")]

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        path = error.filename or self.args[0]
        if error.errno == 2 and os.path.exists(path):
            return f"{path} is there, but its interpreter {_interpreter(path)!r} is not", "use an image that has it"
        if error.errno == 2:
            return f"there is no program {self.args[0]!r} in the container", "look with: ls /bin /usr/bin"
        if error.errno == 8:
            return f"{path} is neither a program for this processor nor a script that begins with #!", "check with file(1)"
        if error.errno == 13:
            kind = "a directory" if os.path.isdir(path) else "not executable (chmod +x), or on a mount with noexec"
            return f"{path} is {kind}", ""
        return "", ""


def _interpreter(path: str) -> str:
    """What a script (#!) or a dynamically linked program names as its interpreter."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return "?"
    if head.startswith(b"#!"):
        return (head[2:].split(b"\n", 1)[0].split() or [b""])[0].decode("utf-8", "replace")
    if not head.startswith(b"\x7fELF\x02\x01") or len(head) < 64:
        return "?"
    table, size, count = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
    for place in range(table, min(table + size * count, len(head) - 56 + 1), size or 56):  # program headers: elf(5)
        kind, start = struct.unpack_from("<I4xQ", head, place)
        if kind == 3:  # PT_INTERP
            return head[start:].split(b"\0", 1)[0].decode("utf-8", "replace")
    return "?"


def _become_init() -> None:
    """Stay as PID 1: hand signals on, reap every orphan, end as the child ends. Returns only in the child. init(1)."""
    forwarded = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
    signal.pthread_sigmask(signal.SIG_BLOCK, forwarded | {signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        return
    os.closerange(3, 16)  # the wire among them: its end tells the launcher that the program runs
    while True:
        number = signal.sigwait(forwarded | {signal.SIGCHLD})
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == child:
                os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
            if pid == 0:
                break
