"""User namespaces: which ids of the container are which ids of the host. user_namespaces(7), subuid(5)."""

import fcntl
import os
import time
import zlib
from dataclasses import replace
from typing import Self

from ..errors import NotPossibleHere
from ..linux import files, syscalls
from ..step import Step, World

#: The range that systemd documents for containers (UIDS-GIDS.md), and the folder in which systemd-nspawn locks its parts.
CONTAINER_IDS = range(0x80000, 0x6FFF0000, 0x10000)
LOCKS = "/run/systemd/nspawn-uid"


def read_maps(pid: int | str = "self") -> dict[str, tuple[tuple[int, ...], ...]]:
    """uid_map and gid_map of a process: rows of (id inside, id outside, how many)."""
    return {
        kind: tuple(tuple(map(int, line.split())) for line in files.read(f"/proc/{pid}/{kind}_map").splitlines())
        for kind in ("uid", "gid")
    }


class ClaimIds(Step):
    """Take 65,536 host ids for this container alone, machine-wide, the way systemd-nspawn does. flock(2).

    The lock lives as long as somebody holds its descriptor: the keeper does, as long as the container runs.
    """

    lane = "outside"
    man = "user_namespaces(7)"
    see = "ls /run/systemd/nspawn-uid"

    seed: str
    base: int = 0

    def choose(self, world: World) -> Self:
        # Of the same name on two shelves, neither looks first where the other one does: it may be a moment faster.
        start = zlib.crc32(f"{world.shelf} {self.seed}".encode()) % len(CONTAINER_IDS)
        for i in range(1000):
            base = CONTAINER_IDS[(start + i) % len(CONTAINER_IDS)]
            if self._is_free(base):
                return replace(self, base=base)
        raise NotPossibleHere("no free range of ids for the container", condition=f"1,000 locks in {LOCKS} are taken")

    def apply(self, world: World) -> str:
        fd = self._lock(self.base)
        if fd is None:
            raise NotPossibleHere(f"the id range {self.base} was taken a moment ago", cure="start it again")
        world.held["ids"] = fd
        world.id_base = self.base
        return f"{self.base} … {self.base + 0xFFFF}"

    def undo(self) -> None:
        if (fd := self._lock(self.base)) is not None:
            os.unlink(f"{LOCKS}/{self.base}")
            os.close(fd)

    @staticmethod
    def _is_free(base: int) -> bool:
        """Whether nobody holds the range just now. Makes nothing: what is made must be in the ledger first."""
        try:
            fd = os.open(f"{LOCKS}/{base}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @staticmethod
    def _lock(base: int) -> int | None:
        os.makedirs(LOCKS, mode=0o755, exist_ok=True)
        path = f"{LOCKS}/{base}"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # its former owner unlinked it between our open and our lock


class MapIds(Step):
    """Say what the child's ids are outside: rows of (id inside, id outside, how many). Empty: the range just claimed.

    `helper`: an ordinary user may map more than itself only through newuidmap(1), which checks /etc/subuid.
    """

    lane = "outside"
    man = "user_namespaces(7)"
    see = "cat /proc/PID/uid_map"

    uid: tuple[tuple[int, int, int], ...] = ()
    gid: tuple[tuple[int, int, int], ...] = ()
    helper: bool = False

    def apply(self, world: World) -> str:
        claimed = ((0, world.id_base, 0x10000),)
        for kind, rows in (("gid", self.gid or claimed), ("uid", self.uid or claimed)):
            if self.helper:
                self._run_helper(kind, rows, world.pid)
                continue
            if kind == "gid" and os.geteuid() != 0:
                # An ordinary user may map its own group only after giving up setgroups(2). user_namespaces(7).
                files.write(f"/proc/{world.pid}/setgroups", "deny")
            files.write(f"/proc/{world.pid}/{kind}_map", "".join("{} {} {}\n".format(*row) for row in rows))
        return f"uid {self.uid or claimed}"

    @staticmethod
    def _run_helper(kind: str, rows: tuple[tuple[int, int, int], ...], pid: int) -> None:
        words = [f"new{kind}map", str(pid), *(str(number) for row in rows for number in row)]
        child = os.posix_spawnp(words[0], words, os.environ)
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise NotPossibleHere(
                f"{' '.join(words)} failed with {code}",
                condition="/etc/subuid, /etc/subgid or the set-uid bit of the program do not allow it",
                cure="apt install uidmap, and see subuid(5)",
            )

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return f"uid {os.geteuid()} may map only itself ({self.uid} was asked for)", "use newuidmap, or run as root"
        if error.errno == 13:
            return "the child is not dumpable: its files under /proc belong to root", "map ids before PR_SET_DUMPABLE"
        if error.errno == 2 and world.pid < 0:
            return "there is no child yet whose ids could be mapped", "Clone must come first"
        return "", ""


class BecomeRoot(Step):
    """Be user 0 of the new user namespace (somebody harmless outside). setresuid(2)."""

    man = "setresuid(2)"
    see = "id"

    groups: bool = True  # False where setgroups(2) was given up for the map

    def apply(self, world: World) -> None:
        if self.groups:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        start = time.monotonic_ns()
        os.setresuid(0, 0, 0)
        syscalls.note("setresuid", "0, 0, 0", 0, start)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 22:
            return f"id 0 is not mapped (uid_map: {read_maps()['uid']})", "MapIds was left out, or maps other ids"
        return "", ""


class BecomeUser(Step):
    """Be this user, and leave all groups as they are. setresuid(2)."""

    man = "setresuid(2)"
    see = "id"

    uid: int

    def apply(self, world: World) -> None:
        start = time.monotonic_ns()
        os.setresuid(self.uid, self.uid, self.uid)
        syscalls.note("setresuid", f"{self.uid}, {self.uid}, {self.uid}", 0, start)
