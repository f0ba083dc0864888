"""Terminal: a pair of the container's own; the slave is its console, the master goes out to whoever attaches. pty(7)."""

import fcntl
import os
import stat
import struct
import termios

from ..errors import KernelRefused
from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World


class OpenConsole(Step):
    """Open a pair in the container's own devpts: so its name (/dev/pts/0) is true inside. pts(4).

    `bind`: also make it /dev/console (only while the root is still being put together). `more`: so many further pairs, which
    become /dev/tty1 and so on: whoever logs in there is let in by the container's own getty(8).

    The slave goes out beside the master and is kept open there. Otherwise a master whose slave nobody has open just now (one
    getty has ended, the next has not begun) gives EIO, and an init that sees its console hang up may wait for it for long.
    """

    man = "pty(7)"
    see = "tty"
    touches = "mount"

    columns: int = 80
    rows: int = 24
    bind: bool = True
    more: int = 0

    def apply(self, world: World) -> str:
        for number in range(1 + self.more):
            master, slave, name = self._open(world)
            world.terminals.append((master, slave))
            if self.bind:
                self._bind(slave, world.at(f"/dev/tty{number}" if number else "/dev/console"))
        console = world.terminals[0][1]
        for standard in (0, 1, 2):
            os.dup2(console, standard)
        return name if not self.more else f"/dev/pts/0 … {name}"

    def _open(self, world: World) -> tuple[int, int, str]:
        """A pair: its master, its slave, its name inside."""
        multiplexer = world.at("/dev/pts/ptmx")
        master = os.open(multiplexer, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
        status = os.fstat(master)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(5, 2):
            raise KernelRefused("OpenConsole", "open", 19, path="/dev/pts/ptmx", condition="it is not the multiplexer (c 5:2)")
        fcntl.ioctl(master, c.TIOCSPTLCK, struct.pack("i", 0))
        number = struct.unpack("i", fcntl.ioctl(master, c.TIOCGPTN, struct.pack("i", 0)))[0]
        # The slave by its master, never by its name, which the container could have redirected (CVE-2025-52565).
        slave = fcntl.ioctl(master, c.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        return master, slave, f"/dev/pts/{number}"

    @staticmethod
    def _bind(slave: int, path: str) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        syscalls.mount(f"/proc/self/fd/{slave}", path, None, c.MS_BIND)


class TakeTerminal(Step):
    """Lead a new session whose controlling terminal is standard input: so ^C reaches the container. ioctl_tty(2)."""

    man = "ioctl_tty(2), TIOCSCTTY"
    see = "ps -o pid,sid,tty"

    def apply(self, world: World) -> None:
        os.setsid()
        fcntl.ioctl(0, c.TIOCSCTTY, 0)
