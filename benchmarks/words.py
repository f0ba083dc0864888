"""LXC's words: ours, called from a process that is warm as a notebook's is, beside LXC's own commands on the same root.

LXC's containers are privileged, as Debian's lxc-create makes them, without a network and without AppArmor; ours have a user
namespace, as always. "login" is the time until a getty has written `login:` on the console.
"""

import itertools
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ours import clock
from peers import Absent, Measure, Place, need_root, program, spawn

import sandbox
from sandbox.home import home as open_home
from sandbox.lxc import copying, create, destroying

LARGE = 1 << 30

CONFIG = """\
lxc.include = /usr/share/lxc/config/common.conf
lxc.rootfs.path = dir:{rootfs}
lxc.uts.name = {name}
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.signal.halt = {halt}
lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed
"""


class Pair:
    """A container of ours, and the same root as a container of LXC's."""

    def __init__(self, place: Place, role: str, template: str = "busybox", halt: str = "SIGUSR1") -> None:
        need_root()
        self.home, self.name = open_home(), f"bench-{role}"
        self.names = (f"{self.name}-{number}" for number in itertools.count())
        if not os.path.exists(self.home.folder(self.name)):
            create.create(self.home, self.name, template)
            place.undo.callback(destroying.destroy, self.home, self.name, force=True)
        self.path = place.path / "lxc"
        self.config = CONFIG.format(rootfs=self.path / self.name / "rootfs", name=self.name, halt=halt)
        self.place = place

    @property
    def container(self) -> sandbox.Container:
        return sandbox.Container(self.name)

    def lxc(self, command: str, *words: str, name: str = "") -> tuple[str, ...]:
        """One of LXC's commands, about its copy of our container, which is made at first."""
        folder = self.path / self.name
        if not folder.exists():
            folder.mkdir(parents=True)
            subprocess.run(["cp", "-a", f"{self.home.folder(self.name)}/rootfs", folder], check=True)
            (folder / "config").write_text(self.config)
        return program(command), "-P", str(self.path), "-n", name or self.name, *words


def login(place: Place, template: str, halt: str = "SIGUSR1") -> Measure:
    """Ours: from the call until `login:`."""
    pair = Pair(place, f"login-{template}", template, halt)

    def measure() -> int:
        seen = bytearray()

        def boot() -> None:
            while b"login:" not in seen:
                seen.extend(b"".join(data for _, data in job.poll(10)))

        took = clock(lambda: setattr(measure, "job", pair.container.start_job()))
        job = measure.job  # type: ignore[attr-defined]
        took += clock(boot)
        job.abandon()
        return took

    return measure


def lxc_login(place: Place, template: str, halt: str = "SIGUSR1") -> Measure:
    """LXC's: `lxc-start -F`, until `login:`."""
    pair = Pair(place, f"login-{template}", template, halt)
    command = pair.lxc("lxc-start", "-F")

    def boot() -> tuple[int, int]:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(command[0], command)
        seen = b""
        while b"login:" not in seen:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                raise Absent(f"lxc-start: {seen.decode('utf-8', 'replace').strip()[-200:]}") from None
        return pid, terminal

    def measure() -> int:
        made: list[int] = []
        took = clock(lambda: made.extend(boot()))
        spawn(*pair.lxc("lxc-stop", "-k"))
        os.waitpid(made[0], 0)
        os.close(made[1])
        return took

    return measure


def _running(pair: Pair) -> None:
    if pair.container.state == "STOPPED":
        pair.container.start()


def _lxc_running(pair: Pair) -> None:
    if b"RUNNING" not in subprocess.run(pair.lxc("lxc-info", "-s"), capture_output=True).stdout:
        spawn(*pair.lxc("lxc-start", "-d"))
        pair.place.undo.callback(spawn, *pair.lxc("lxc-stop", "-k"))


def attach(place: Place) -> Measure:
    pair = Pair(place, "runs")

    def measure() -> int:
        _running(pair)
        return clock(lambda: pair.container.exec(["true"]))

    return measure


def lxc_attach(place: Place) -> Measure:
    pair = Pair(place, "runs")

    def measure() -> int:
        _lxc_running(pair)
        return spawn(*pair.lxc("lxc-attach", "--", "/bin/true"))

    return measure


def info(place: Place) -> Measure:
    pair = Pair(place, "runs")

    def measure() -> int:
        _running(pair)
        return clock(lambda: pair.container.info())

    return measure


def lxc_info(place: Place) -> Measure:
    pair = Pair(place, "runs")

    def measure() -> int:
        _lxc_running(pair)
        return spawn(*pair.lxc("lxc-info"))

    return measure


def make(place: Place) -> Measure:
    pair = Pair(place, "rests")

    def measure() -> int:
        name = next(pair.names)
        took = clock(lambda: create.create(pair.home, name, "busybox"))
        destroying.destroy(pair.home, name)
        return took

    return measure


def lxc_make(place: Place) -> Measure:
    pair = Pair(place, "rests")

    def measure() -> int:
        name = next(pair.names)
        took = spawn(*pair.lxc("lxc-create", "-t", "busybox", name=name))
        spawn(*pair.lxc("lxc-destroy", name=name))
        return took

    return measure


def clone(place: Place, backing: str = "dir", pair: Pair | None = None, *, destroys: bool = False) -> Measure:
    """A clone of ours; or, with `destroys`, its end."""
    of = pair or Pair(place, "rests")

    def measure() -> int:
        name = next(of.names)
        made = clock(lambda: copying.copy(of.home, of.name, name, backing=backing))
        gone = clock(lambda: destroying.destroy(of.home, name))
        return gone if destroys else made

    return measure


def lxc_clone(place: Place, *options: str, pair: Pair | None = None, destroys: bool = False) -> Measure:
    of = pair or Pair(place, "rests")

    def measure() -> int:
        name = next(of.names)
        made = spawn(*of.lxc("lxc-copy", "-N", name, *options))
        gone = spawn(*of.lxc("lxc-destroy", name=name))
        return gone if destroys else made

    return measure


class Large(Pair):
    """The busybox with 1 GiB more in it."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "rests")
        plain, self.name = self.name, "bench-large"
        self.config = self.config.replace(plain, self.name)
        if not os.path.exists(self.home.folder(self.name)):
            if shutil.disk_usage(self.home.path).free < 8 * LARGE:
                raise Absent("8 GiB of disk are needed")
            copying.copy(self.home, plain, self.name)
            place.undo.callback(destroying.destroy, self.home, self.name, force=True)
            with open(f"{self.home.folder(self.name)}/rootfs/large", "wb") as file:
                for _ in range(LARGE >> 20):
                    file.write(os.urandom(1 << 20))


def shell(place: Place, command: str) -> Measure:
    """A whole process of the shell command, the interpreter's start included."""
    pair = Pair(place, "runs")
    words = (f"{Path(sys.executable).parent}/sandbox", command, *(() if command == "lxc-ls" else ("-n", pair.name)))
    return lambda: spawn(*words)


#: What is measured: ours, then LXC's.
WORDS: dict[str, Callable[[Place], Measure]] = {
    "login: busybox": lambda place: login(place, "busybox"),
    "lxc-start, busybox": lambda place: lxc_login(place, "busybox"),
    "attach": attach, "lxc-attach": lxc_attach, "info": info, "lxc-info": lxc_info,
    "create": make, "lxc-create": lxc_make,
    "clone": clone, "lxc-copy": lxc_clone,
    "destroy": lambda place: clone(place, destroys=True), "lxc-destroy": lambda place: lxc_clone(place, destroys=True),
    "sandbox lxc-info": lambda place: shell(place, "lxc-info"), "sandbox lxc-ls": lambda place: shell(place, "lxc-ls"),
}  # fmt: skip

#: The same, of what takes long: few rounds.
SLOW: dict[str, Callable[[Place], Measure]] = {
    "login: debian": lambda place: login(place, "debian", "SIGRTMIN+3"),
    "lxc-start, debian": lambda place: lxc_login(place, "debian", "SIGRTMIN+3"),
    "clone 1 GiB": lambda place: clone(place, pair=Large(place)),
    "clone 1 GiB, overlay": lambda place: clone(place, "overlay", Large(place)),
    "lxc-copy 1 GiB": lambda place: lxc_clone(place, pair=Large(place)),
    "lxc-copy 1 GiB, overlay": lambda place: lxc_clone(place, "-s", "-B", "overlay", pair=Large(place)),
}  # fmt: skip
