"""Keeper and launcher that die at a moment which is named beforehand: just before the n-th thing that the launcher changes."""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import LauncherLost, WrongState
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.launcher.ledger import has_begun
from sandbox.linux import files
from sandbox.lxc.create import create
from tests.launcher.conftest import Shelf, until

#: Run by keeper, launcher and cradle as they begin. Whatever changes something is announced to an audit hook before it happens
#: (PEP 578), and so is every step of a plan. A page that they share with the test says who counts, how far, and who dies then.
_HOOK = """
import mmap, struct
page = mmap.mmap(os.open(sys.argv[2] + '/doom', os.O_RDWR), 4096)
CHANGES = {'os.mkdir', 'os.rmdir', 'os.remove', 'os.rename', 'socket.sendmsg', 'step'}
def hook(event, arguments):
    if event in CHANGES or event == 'open' and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE:
        who, left, victim = struct.unpack_from('3i', page)
        if who == os.getpid():
            struct.pack_into('i', page, 4, left - 1)
            if left == 1:
                os.kill(victim, 9)
from sandbox.launcher import inside
def announced(step, *words, apply=inside.run):
    sys.audit('step', step.name)
    apply(step, *words)
inside.run = announced
sys.addaudithook(hook)
"""
_MANY = 1 << 30


@dataclass
class Doom:
    """A container of lxc-create's, and the processes that it needs, of which one is to die."""

    shelf: Shelf
    box: Container
    page: mmap

    def changes(self, act: Callable[[], object]) -> int:
        """How many things the launcher changes while we `act`, after which it runs, or is put away."""
        struct.pack_into("3i", self.page, 0, self.shelf.launcher, _MANY, 0)
        act()
        if self.box.entry is None:
            self.shelf.assert_clean()
        count = _MANY - int(struct.unpack_from("i", self.page, 4)[0])
        struct.pack_into("i", self.page, 0, 0)
        self.works()
        return count

    @contextlib.contextmanager
    def kill(self, victim: str, number: int) -> Iterator[None]:
        """Let the victim ("launcher", "keeper" or "cradle") die just before the launcher's `number`-th change from now on.

        At the end it is dead, and who dies with it, too.
        """
        launcher = self.shelf.launcher
        doomed = {"launcher": [launcher], "keeper": [self.shelf.keeper, launcher], "cradle": self._cradle()}[victim]
        struct.pack_into("3i", self.page, 0, launcher, number, doomed[0])
        try:
            yield
            until(lambda: all(map(gone, doomed)), f"the {victim} should die at change {number}")
        finally:
            struct.pack_into("i", self.page, 0, 0)

    def _cradle(self) -> list[int]:
        until(lambda: self.shelf.of("sandbox-cradle"), "there should be a cradle")
        return [min(self.shelf.of("sandbox-cradle"), key=files.start_time)]  # a spare child bears its mother's name

    def asked(self, act: Callable[[], object]) -> bool:
        """Whether this was acknowledged. Otherwise the launcher was lost while it was at it."""
        try:
            act()
        except LauncherLost:
            return False
        return True

    def works(self) -> None:
        """The next commands find a consistent state: it runs, or it can be started; and then nothing is left of it."""
        # A child that lost its launcher before it became the program ends by itself, in a moment.
        until(self._settled, "who was never born should end")
        if self.box.entry is None:
            self.box.start()
        assert self.box.exec(["hostname"]).text == f"{self.box.name}\n"
        self.box.kill()
        self.shelf.assert_clean()
        assert os.listdir(self.shelf.home.containers) == [self.box.name]

    def _settled(self) -> bool:
        entry = self.box.entry
        with contextlib.suppress(OSError):  # it ended while we looked
            return entry is None or has_begun(entry)
        return False


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return files.is_zombie(pid)
    except OSError:
        return True


@contextlib.contextmanager
def doomed(backing: str) -> Iterator[Doom]:
    """A container, on a shelf whose launcher has not been started."""
    shelf = Shelf(open_home())
    path = Path(shelf.home.runtime, "doom")
    path.write_bytes(bytes(4096))
    name = shelf.name()
    create(shelf.home, name, "busybox", backing=backing)
    with open(path, "r+b") as file:
        made = Doom(shelf, Container(name), mmap(file.fileno(), 4096))
    keeper = client._KEEPER.replace("; from", f"; exec({_HOOK!r}); from", 1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "_KEEPER", keeper)
            yield made
    finally:
        with contextlib.suppress(LauncherLost, WrongState):
            made.box.kill()
        path.unlink()
