"""The keeper: parent of the launcher and of every container. It holds, reaps, and starts the launcher again. Little else.

It must not die, so it does almost nothing: it never looks into a message that is not from its own launcher, opens no file
and touches no container.
"""

import contextlib
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import NoReturn

from ..linux import constants as c
from ..linux import syscalls
from . import protocol, server
from .loop import readable

#: A launcher that dies within so many seconds has a short life.
SHORT = 0.5


class Keeper:
    """What is held: descriptors by container, and exits that no launcher has acknowledged yet."""

    def __init__(self, runtime: str, home: str, listener: socket.socket) -> None:
        self.runtime, self.home, self.listener = runtime, home, listener
        self.held: dict[str, dict[str, int]] = {}
        self.exits: dict[int, int] = {}  # pid → status as wait(2) gives it
        self.untold: list[int] = []  # those of them that this launcher has not heard of
        self.launcher = -1
        self.born = 0.0  # when the launcher was started
        self.short_lives = 0  # how many in a row died at once
        self.ending = False  # the launcher said that nothing needs us any more
        self.wire: socket.socket

    def start_launcher(self) -> None:
        """Fork a launcher, which inherits all that is held."""
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.born = time.monotonic()
        self.untold.clear()
        self.launcher = os.fork()
        if self.launcher == 0:
            self.wire.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            server.main(self.runtime, self.home, self.listener, theirs, self.held, self.exits)
        theirs.close()
        self.wire.setblocking(False)

    def listen(self) -> None:
        """One message of the launcher."""
        try:
            message, fds = protocol.receive(self.wire)
        except BlockingIOError:
            return
        if message is None:
            return  # it died: SIGCHLD tells
        if message["do"] == "hold":
            held = self.held.setdefault(message["id"], {})
            for label, fd in zip(message["labels"], fds, strict=True):
                if label in held:
                    os.close(held[label])
                held[label] = fd
        elif message["do"] == "drop":
            for fd in self.held.pop(message["id"], {}).values():
                os.close(fd)
            self.exits.pop(message.get("pid", 0), None)
        elif message["do"] == "end":
            self.ending = True

    def reap(self) -> None:
        """Every child that ended: a container's status is kept until the launcher acknowledges it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.launcher:
                while self._pending():
                    self.listen()  # what it said before it died still counts
                self.wire.close()
                # One that dies again and again would only fill the disk with its complaints, while clients wait.
                died_by_itself = os.WIFEXITED(status) and time.monotonic() - self.born < SHORT
                self.short_lives = self.short_lives + 1 if died_by_itself else 0
                self.ending = self.ending or self.short_lives > 5
                if self.ending:
                    return
                self.start_launcher()
                continue
            self.exits[pid] = status
            self.untold.append(pid)

    def tell(self) -> None:
        """Tell the launcher of exits, as many as it has room for."""
        while self.untold:
            pid = self.untold[0]
            try:
                if pid in self.exits:  # else it has dropped it unheard
                    protocol.send(self.wire, {"pid": pid, "status": self.exits[pid]})
            except OSError:
                return  # it is busy: later; or it died: the next one inherits the exits
            del self.untold[0]

    def _pending(self) -> bool:
        while readable(self.wire.fileno()):
            try:
                return bool(self.wire.recv(1, socket.MSG_PEEK))
            except ConnectionResetError:
                continue  # told once, when it died without hearing us out: its own words come after
        return False


def main(runtime: str, home: str) -> NoReturn:
    """Be the keeper of one state folder; ends at once if it has one already."""
    os.makedirs(runtime, mode=0o700, exist_ok=True)
    lock = os.open(f"{runtime}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(0)
    if not os.fstat(lock).st_nlink:
        os._exit(0)  # a keeper that ended removed it between our open and our lock: the client starts another
    os.chdir("/")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # it holds up to five descriptors for each container
    syscalls.prctl(c.PR_SET_CHILD_SUBREAPER, 1)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = f"{runtime}/socket"
    if os.path.exists(path):
        os.unlink(path)  # of a keeper that was killed: we hold the lock
    listener.bind(path)
    listener.listen(128)
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken)
    syscalls.set_name("sandbox-keeper")
    keeper = Keeper(runtime, home, listener)
    keeper.start_launcher()
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    while not keeper.ending:
        wire = keeper.wire.fileno()
        poll.register(wire, select.POLLIN | (select.POLLOUT if keeper.untold else 0))
        for fd, event in poll.poll():
            if fd == wake:
                os.read(wake, 4096)
                keeper.reap()
                break  # the wire may be another one now
            if fd == wire and event & ~select.POLLOUT:
                keeper.listen()
        if not keeper.ending:
            keeper.tell()
    tidy(runtime)
    sys.exit(0)


def tidy(runtime: str) -> None:
    """Leave nothing behind, unless the ledger still holds something."""
    for name in ("socket", "launcher.log", "lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{runtime}/{name}")
    with contextlib.suppress(OSError):
        os.rmdir(f"{runtime}/ledger")
        os.rmdir(runtime)
