"""lxc-create: a new container on the shelf, from a template. lxc-create(1).

    config          in LXC's format: the truth about the container
    rootfs/         its root file system; empty with -B overlay, where overlay/ has what it writes over the template's layer
    tmp_root_pass   root's password, until somebody changes it

All this is made under another name, and renamed at the end: whatever happens, there is no half-made container.
"""

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from .. import disk_copy, lxc_config
from ..errors import InvalidOption, NotFound, NotPossibleHere
from ..images import layers
from ..linux import passwords
from ..store import Home
from . import roots, templates, tool
from .templates import Tell

#: Where a root file system can be kept, in LXC's words; and what of LXC's there is not: it needs volumes made beforehand.
BACKINGS = {"dir": "dir", "none": "dir", "best": "dir", "overlay": "overlay"}
_OTHERS = ("btrfs", "loop", "lvm", "rbd", "zfs")
#: Without what looks like something else. 32: five bits of a random byte choose one.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"

_WELCOME = """
The temporary password of root is in

        '{folder}/tmp_root_pass'

To start the container and log in as root:

        lxc-start -n {name}
"""
_CHROOT = """
To give root a password of your own before:

        chroot {folder}/rootfs {passwd}
"""

_ONE_ID = """
Here, that login fails: it sets groups, and root will be the only user there is, as you have no range in /etc/subuid (see
newuidmap(1)). To get a shell without one:

        lxc-attach -n {name}
"""


def create(home: Home, name: str, template: str, arguments: Sequence[str] = (), *, backing: str = "dir",
           config_file: str = "", network: str = "", progress: Tell = lambda text: None) -> None:  # fmt: skip
    """Make a container of that name. Interrupted, or ended by SIGTERM, this leaves nothing behind.

    Args:
        template: one of `templates.names()`; the path of a program that does it as LXC's own templates do; or "none", for a
            container that has only its config.
        arguments: the template's own options. If they ask for help, that is told, and nothing made.
        backing: "dir", a folder of its own; or "overlay", a folder for what it writes, over the template's layer.
        config_file: a file in LXC's format that its config begins with, instead of the default.
        network: one of our networks, or a bridge of the host, that it is connected to if that file names none; "" for none.
        progress: gets what is to be told.

    Raises:
        AlreadyExists, InvalidOption, NotFound, NotPossibleHere: refused.
        SandboxError: the template failed, or the disk is full.
    """
    kept = _backing(backing, template)
    base = lxc_config.Config.read(config_file) if config_file else None
    ours = template != "none" and "/" not in template
    if ours and (answer := templates.read(template, arguments).answer):
        progress(answer)
        return
    last = ""
    with _termination_interrupts(), home.build(name) as folder:
        new = _New(home, name, folder, base, network, progress)
        if ours:
            last = new.from_template(template, arguments, kept)
        elif template == "none":
            (base or lxc_config.Config()).write(f"{folder}/config")
        else:
            new.from_program(template, arguments)
        layers.sync(folder)
    if last:
        progress(last)


def _backing(backing: str, template: str) -> str:
    there = "use dir or overlay"
    if backing in _OTHERS:
        raise NotPossibleHere(f"{backing}: there is no such backing store here", cure=there)
    if backing not in BACKINGS:
        raise InvalidOption(f"{backing} is not a valid backing storage type", cure=there)
    if backing == "overlay" and "/" in template:
        raise InvalidOption(f"{template} fills a folder, and has no layer to lay an overlay over", cure="use dir")
    return BACKINGS[backing]


@dataclass(frozen=True)
class _New:
    """A container in the making, in `folder`."""

    home: Home
    name: str
    folder: str
    base: lxc_config.Config | None
    network: str
    tell: Tell

    def config(self, folder: str, lines: tuple[str, ...] = ()) -> lxc_config.Config:
        """As it is to begin with, where the container lies in `folder`."""
        return lxc_config.default(self.name, f"{folder}/rootfs", network=self.network, base=self.base, lines=lines)

    def from_template(self, template: str, arguments: Sequence[str], backing: str) -> str:
        """Fill it from one of ours; returns what is to be told at the end."""
        made = templates.get(template).make(self.home, templates.read(template, arguments), self.tell)
        final = self.home.folder(self.name)
        if backing == "dir":
            self.tell(f"Copying rootfs to {final}/rootfs ...")
            own, path = f"{self.folder}/rootfs", f"dir:{final}/rootfs"
            disk_copy.copy_tree(made.layer, own)
        else:
            self.tell(f"Laying {final}/{roots.UPPER} over {made.layer} ...")
            own, path = f"{self.folder}/{roots.UPPER}", f"overlay:{made.layer}:{final}/{roots.UPPER}"
            for part in ("rootfs", roots.UPPER, roots.WORK):
                layers.folder_at(f"{self.folder}/{part}")
        config = self.config(final, made.config)
        config.set("lxc.rootfs.path", path)
        config.write(f"{self.folder}/config")
        password = "".join(_LETTERS[byte & 31] for byte in os.urandom(12))
        layers.write(f"{self.folder}/tmp_root_pass", f"{password}\n".encode(), 0o600)
        _make_own(made.layer, own, self.name, password)
        hints = _WELCOME + (_CHROOT if backing == "dir" and made.passwd else "") + (_ONE_ID if _has_one_id() else "")
        return hints.format(folder=final, name=self.name, passwd=made.passwd)

    def from_program(self, program: str, arguments: Sequence[str]) -> None:
        """Let a program of LXC's kind do it: it fills rootfs/, and writes to the config what it likes. lxc-create(1), -t"""
        from .copying import settle  # it needs most of the house, and nothing else here does

        if not os.access(program, os.X_OK):
            raise NotFound(f'Template "{program}" not found', cure="give the path of a program, or the name of a template")
        self.config(self.folder).write(f"{self.folder}/config")
        layers.folder_at(f"{self.folder}/rootfs")
        where = (f"--path={self.folder}", f"--name={self.name}", f"--rootfs={self.folder}/rootfs")
        tool.run((program, *where, *arguments), self.tell)
        settle(self.folder, self.home.folder(self.name))


def _has_one_id() -> bool:
    if os.geteuid() == 0:
        return False
    from ..host import mapping_mode  # what it needs is loaded by the start only, otherwise

    return mapping_mode() == "single"


def _make_own(layer: str, root: str, name: str, password: str) -> None:
    """What no two containers share: the name, and root's password. shadow(5)."""
    with open(f"{layer}/etc/shadow", encoding="ascii") as file:
        lines = file.readlines()
    # The last change was today; then: no minimum age, no maximum to speak of, a week's warning.
    secret = f"{passwords.sha512_crypt(password, os.urandom(8).hex())}:{int(time.time()) // 86400}:0:99999:7:::\n"
    lines = [f"root:{secret}" if line.startswith("root:") else line for line in lines]
    _write_over(layer, root, "etc/shadow", "".join(lines))
    _write_over(layer, root, "etc/hostname", f"{name}\n")


def _write_over(layer: str, root: str, name: str, text: str) -> None:
    """A file of the layer with another text. In an overlay's upper folder it is new, and gets the mode and owner it had."""
    folder, path = os.path.dirname(f"{root}/{name}"), f"{root}/{name}"
    if not os.path.isdir(folder):
        layers.folder_at(folder)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    before = os.stat(f"{layer}/{name}")
    if os.geteuid() == 0:
        os.chown(path, before.st_uid, before.st_gid)
    os.chmod(path, stat.S_IMODE(before.st_mode))


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end what is under way as Ctrl-C does, with a clean-up. Only the main thread can. signal(7)"""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
