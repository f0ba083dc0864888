"""/etc: who I am, who the others are, whom to ask. hostname(5), hosts(5), resolv.conf(5)."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from ..errors import WrongState
from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World

#: The first line of what we wrote, and may write again.
MARK = "# written by container-sandbox at each start; take this line out, and it stays as it is"
_END = "# end of what container-sandbox wrote"
_MOST = 1 << 20


class WriteEtc(Step):
    """Write /etc/hostname, /etc/hosts and /etc/resolv.conf where they are missing, empty or our own; hosts(5) gets a part.

    The image is hostile: no symbolic link is followed, nothing but plain files is opened, and what is new is written beside
    and renamed.
    """

    man = "hosts(5), resolv.conf(5)"
    see = "cat /etc/hosts /etc/resolv.conf"
    touches = "mount"

    hostname: str
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (address, names)
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    def apply(self, world: World) -> str:
        if not world.root:
            raise WrongState("there is no new root yet: this /etc is the host's", cure="the step that brings one was left out")
        root = os.open(world.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileExistsError):
                os.mkdir("etc", 0o755, dir_fd=root)
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY
                etc = syscalls.openat2(root, "etc", flags, resolve=c.RESOLVE_IN_ROOT | c.RESOLVE_NO_SYMLINKS)
            except (OSError, NotADirectoryError):
                return "/etc is no plain folder in this image"
        finally:
            os.close(root)
        try:
            wanted = {"hostname": self._hostname, "hosts": self._hosts, "resolv.conf": self._resolv_conf}
            return ", ".join(name for name, text in wanted.items() if self._write(etc, name, text)) or "all is there already"
        finally:
            os.close(etc)

    def _hostname(self, old: str) -> str:
        # It can hold no comment: so what is there stays.
        return old or f"{self.hostname}\n"

    def _hosts(self, old: str) -> str:
        before, _, rest = old.partition(f"{MARK}\n")
        after = rest.partition(f"{_END}\n")[2] if rest else ""
        lines = [f"{address}\t{' '.join(names)}" for address, names in self.hosts]
        if not before.strip():
            lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", *lines]
        return "\n".join([before.rstrip("\n"), MARK, *lines, _END, after]).lstrip("\n") if lines else old

    def _resolv_conf(self, old: str) -> str:
        if (old.strip() and not old.startswith(MARK)) or not self.nameservers:
            return old
        search = [f"search {' '.join(self.search)}"] if self.search else []
        return "\n".join([MARK, *search, *(f"nameserver {address}" for address in self.nameservers), ""])

    @staticmethod
    def _write(etc: int, name: str, make: Callable[[str], str]) -> bool:
        """Whether there was something to write."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=etc)
        except FileNotFoundError:
            old = ""
        except OSError:  # a symbolic link, and whoever made it will know why
            return False
        else:
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return False
                old = os.read(fd, _MOST).decode("utf-8", "surrogateescape")
            finally:
                os.close(fd)
        if (new := make(old)) == old:
            return False
        beside = f".{name}.{os.urandom(4).hex()}"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=etc)
        try:
            os.write(fd, new.encode("utf-8", "surrogateescape"))
        finally:
            os.close(fd)
        os.rename(beside, name, src_dir_fd=etc, dst_dir_fd=etc)
        return True
