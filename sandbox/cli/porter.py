"""The porter: has everything loaded, and forks for each command that somebody knocks with (knock.py says why).

It does nothing itself. Each command gets a process of its own, with the streams, the folder, the environment and the umask of
whoever knocked. Whoever goes away has their command ended, as if they had done it themselves.
"""

import contextlib
import gc
import importlib
import marshal
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import time
import traceback
from typing import NoReturn

import sandbox

from ..linux import constants as c
from ..linux import syscalls
from . import knock

#: Seconds without a command after which it goes.
IDLE = 30.0
#: A request is no longer than this; Linux itself takes no longer command line and environment. execve(2)
LONGEST = 8 << 20
#: Loaded in advance: all but what has a process of its own, or needs more than this project.
_OTHERS = ("sandbox.__main__", "sandbox.launcher.keeper", "sandbox.host_trials", "sandbox.cli.porter")


def main() -> None:
    """Stand at the door until nobody comes any more."""
    place = knock.folder()
    if place is None:
        return
    me = knock.identity()
    for module in pkgutil.walk_packages(sandbox.__path__, "sandbox."):
        if module.name not in _OTHERS:
            importlib.import_module(module.name)
    os.chdir("/")
    gc.collect()
    gc.freeze()  # or the first collection in each child would copy all these pages
    path, own = f"{place}/{knock.name(me)}", f"{place}/.porter-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(own)
        inode = os.stat(own).st_ino
        door.listen(64)
        os.rename(own, path)  # of two that come at once, the second stands there, and the first goes when it is idle
        try:
            _Porter(door, me).stand()
        finally:
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)


class _Porter:
    def __init__(self, door: socket.socket, me: bytes) -> None:
        self.door, self.me = door, me
        self.poll = select.poll()
        self.poll.register(door, select.POLLIN)
        self.guests: dict[int, tuple[socket.socket, int, int]] = {}  # by both descriptors: connection, process, its pidfd

    def stand(self) -> None:
        last = time.monotonic()
        while self.guests or time.monotonic() - last < IDLE:
            for fd, _ in self.poll.poll(1000):
                if fd == self.door.fileno():
                    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
                        self._let_in(self.door.accept()[0])
                elif fd in self.guests:
                    self._see_off(fd)
                last = time.monotonic()

    def _let_in(self, guest: socket.socket) -> None:
        guest.settimeout(5.0)
        _, user, _ = struct.unpack("3i", guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        size, fds, _, _ = socket.recv_fds(guest, 4, 4)
        try:
            count = int.from_bytes(size, "little")
            request = bytearray()
            while len(request) < min(count, LONGEST):
                if not (piece := guest.recv(count - len(request))):
                    raise EOFError
                request += piece
            who, words, environment, umask = marshal.loads(request)
            if user != os.geteuid() or who != self.me or len(fds) != 4:
                guest.close()
                return
            porter, doer = os.getpid(), os.fork()
            if doer == 0:
                _do(porter, words, environment, umask, fds)
        finally:
            for fd in fds:
                os.close(fd)
        guest.send(doer.to_bytes(4, "little"))
        pidfd = os.pidfd_open(doer)
        for fd in (guest.fileno(), pidfd):
            self.guests[fd] = guest, doer, pidfd
            self.poll.register(fd, select.POLLIN)

    def _see_off(self, fd: int) -> None:
        """The command has ended; or whoever knocked is gone, and it shall end."""
        guest, doer, pidfd = self.guests[fd]
        if fd != pidfd:
            self.poll.unregister(guest)
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            return
        code = os.waitstatus_to_exitcode(os.waitpid(doer, 0)[1])
        with contextlib.suppress(OSError):
            guest.send((code if code >= 0 else 128 - code).to_bytes(4, "little"))
        for each in (guest.fileno(), pidfd):
            del self.guests[each]
            with contextlib.suppress(KeyError):
                self.poll.unregister(each)
        guest.close()
        os.close(pidfd)


def _do(porter: int, words: list[str], environment: dict[bytes, bytes], umask: int, fds: list[int]) -> NoReturn:
    """Be the process of a command."""
    code = 1
    try:
        for number in range(3):
            os.dup2(fds[number], number)
        os.fchdir(fds[3])
        syscalls.close_range(3)
        syscalls.prctl(c.PR_SET_PDEATHSIG, signal.SIGTERM)  # where nobody can tell how it ended, it shall not go on
        if os.getppid() != porter:  # it was killed before we asked to be told: nobody will tell us. PR_SET_PDEATHSIG(2const)
            os._exit(code)
        os.umask(umask)
        os.environb.clear()
        os.environb.update(environment)
        time.tzset()
        sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stdout = os.fdopen(1, "w", buffering=1 if os.isatty(1) else -1, encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
        from . import do

        code = do(words)
        sys.stdout.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
