"""Programs that a start needs but does not wait for at once: nft(8), dnsmasq(8), pasta(1)."""

import fcntl
import os
import signal
from contextlib import suppress

from ...errors import NotPossibleHere
from ...step import Step, World

#: Root's programs, which are not in everybody's PATH.
_MORE = "/usr/local/sbin:/usr/sbin:/sbin"


def find_program(name: str) -> str:
    """The path of a program, or "" where it is not installed."""
    folders = f"{os.environ.get('PATH', os.defpath)}:{_MORE}".split(":")
    return next((path for folder in folders if os.access(path := f"{folder}/{name}", os.X_OK)), "")


def start(words: tuple[str, ...], script: str, text: str, world: World) -> None:
    """Start a program that reads `text` as its standard input, kept in the file `script`. AwaitHelpers asks how it went.

    What it says goes into the file `script`.said, which is locked until it has ended, or gone into the background: so whoever
    takes back what it does can wait for that, whatever happens to us. flock(2)
    """
    if script in world.helpers:
        return  # it was started just now, and has our lock: we would wait for ourselves
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd, said = os.open(script, flags, 0o644), os.open(f"{script}.said", flags, 0o644)
    try:
        os.write(fd, text.encode())
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.flock(said, fcntl.LOCK_EX)
        streams = [(os.POSIX_SPAWN_DUP2, fd, 0), (os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
        # Python ignores SIGPIPE; who is started by us should not.
        pid = os.posix_spawn(words[0], words, os.environ, file_actions=streams, setsid=True, setsigdef=[signal.SIGPIPE])
        world.helpers[script] = pid, said
    except BaseException:
        os.close(said)
        raise
    finally:
        os.close(fd)


def wait_for(script: str) -> None:
    """Wait until the program that was started with this script has done its work."""
    with suppress(FileNotFoundError):
        fd = os.open(f"{script}.said", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)


def call(*words: str) -> None:
    """Run a program, whatever comes of it."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        streams = [(os.POSIX_SPAWN_DUP2, null, standard) for standard in (0, 1, 2)]
        os.waitpid(os.posix_spawn(words[0], words, os.environ, file_actions=streams), 0)
    finally:
        os.close(null)


class AwaitHelpers(Step):
    """Ask how the programs that were started did: from here on the container may rely on them. waitpid(2).

    Without the `spare` ones it can do: if another server has the port of dnsmasq, there are only fewer names.
    """

    lane = "outside"
    man = "waitpid(2)"

    spare: tuple[str, ...] = ("dnsmasq.conf",)

    def apply(self, world: World) -> str:
        told = []
        while world.helpers:
            script, (pid, said) = world.helpers.popitem()
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with open(said, encoding="utf-8", errors="replace") as file:
                file.seek(0)
                words = " ".join(file.read().split())
            name = os.path.basename(script)
            if code and name in self.spare:
                told.append(f"without {name}: {words}")
                continue
            if code:
                raise NotPossibleHere(f"what {script} says was refused", condition=words[:600], cure="read it on the host")
            told.append(name)
        return ", ".join(told)
