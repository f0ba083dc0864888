"""The LXC walk-through, line by line, as somebody types it at a terminal."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from sandbox import Container
from sandbox.images import busybox
from tests.lxc.commands.links import make_links
from tests.shell import PATIENCE, Shell, until

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_userns,
    pytest.mark.skipif(not any(map(busybox.is_static, busybox.PLACES)), reason="needs busybox: apt install busybox-static"),
]  # fmt: skip

PROMPT = "typed$ "
#: A shell's prompt in a container.
INSIDE = r"[#] (\x1b\[(6n|J))?$"


class Typist:
    """Somebody at an interactive shell, with LXC's names first in PATH."""

    def __init__(self, environment: dict[str, str]) -> None:
        environment.pop("PS1", None)  # else the shells in containers would get it
        self.terminal = pexpect.spawn("bash", ["--norc", "--noprofile"], env=environment, encoding="utf-8", timeout=PATIENCE,
                                      dimensions=(40, 200))  # fmt: skip
        self.terminal.delaybeforesend = None
        self.terminal.sendline(f"bind 'set enable-bracketed-paste off'; PS1='{PROMPT[:3]}''{PROMPT[3:]}'")
        self.terminal.expect_exact(PROMPT)

    def does(self, line: str) -> str:
        """What a command shows, until the shell is there again."""
        self.terminal.sendline(line)
        self.terminal.expect_exact(PROMPT)
        shown = self.terminal.before.replace("\r\n", "\n")
        return str(shown.partition("\n")[2])

    def code(self, line: str) -> int:
        """The exit code of a command."""
        return int(self.does(f"{line}; echo $?").splitlines()[-1])

    def logs_in(self, password: str) -> None:
        self.terminal.expect("login: $")
        self.terminal.sendline("root")
        self.terminal.expect("Password: ")
        self.terminal.sendline(password)
        self.terminal.expect(INSIDE)

    def asks(self, line: str) -> str:
        """What a command in a container's shell shows. The shell may draw its prompt twice, so our own word is waited for."""
        self.terminal.sendline(f"{line}; echo e''nd")
        self.terminal.expect_exact("\r\nend\r\n")
        shown = str(self.terminal.before.replace("\r\n", "\n").rpartition("e''nd")[2])
        self.terminal.expect(INSIDE)
        return shown.removeprefix("\n")


@pytest.fixture
def typist(home: Path, tmp_path: Path) -> Iterator[Typist]:
    shell = Shell(str(home))
    made = Typist(make_links(tmp_path / "bin", shell))
    yield made
    made.terminal.close(force=True)
    for name, state in shell.states().items():
        if state != "STOPPED":
            shell.run("kill", name)


def password(home: Path, name: str) -> str:
    return (home / f"containers/{name}/tmp_root_pass").read_text().strip()


def test_the_walk_through(typist: Typist, home: Path) -> None:
    shown = typist.does("lxc-create -t busybox -n myhost1")
    assert shown.startswith(f"Copying rootfs to {home}/containers/myhost1/rootfs")
    assert "tmp_root_pass" in shown
    assert typist.does(f"ls {home}/containers/myhost1").split() == ["config", "rootfs", "tmp_root_pass"]
    assert typist.code("lxc-create -t busybox -n myhost1") == 1
    secret = password(home, "myhost1")

    typist.terminal.sendline("lxc-start -n myhost1")  # in the foreground: somebody typed it
    typist.logs_in(secret)
    assert re.search(r" /$", typist.asks("df -h"), re.MULTILINE)
    assert "127.0.0.1/8" in typist.asks("ip a")
    assert typist.asks("tty; hostname; stty size").splitlines() == ["/dev/console", "myhost1", "40 200"]
    typist.terminal.sendline("poweroff")
    typist.terminal.expect_exact(PROMPT)
    assert typist.does("echo $?") == "0\n"

    assert typist.code("lxc-start -n myhost1 -d") == 0
    lines = typist.does("lxc-info -n myhost1").splitlines()
    assert lines[:2] == ["Name:           myhost1", "State:          RUNNING"]
    typist.terminal.sendline("lxc-console -n myhost1")
    typist.terminal.expect_exact("Connected to tty 1")
    typist.terminal.expect_exact("Type <Ctrl+a q> to exit the console, <Ctrl+a Ctrl+a> to enter Ctrl+a itself")
    typist.terminal.sendline("")
    typist.logs_in(secret)
    assert typist.asks("tty") == "/dev/tty1"
    typist.terminal.sendline("echo 1\x01\x01X")  # one Ctrl-a comes to the shell, which goes to the line's begin
    typist.terminal.expect("Xecho: not found")
    typist.terminal.expect(INSIDE)
    typist.terminal.send("\x01q")
    typist.terminal.expect_exact(PROMPT)

    assert typist.does("lxc-attach -n myhost1 -- hostname") == "myhost1\n"
    typist.terminal.sendline("lxc-attach -n myhost1")
    typist.terminal.expect(INSIDE)
    assert typist.asks("tty").startswith("/dev/pts/")
    typist.terminal.sendline("exit 3")
    typist.terminal.expect_exact(PROMPT)
    assert typist.does("echo $?") == "3\n"

    assert typist.code("lxc-stop -n myhost1") == 0
    assert "Created container myhost2 as copy of myhost1" in typist.does("lxc-clone -o myhost1 -n myhost2")
    assert typist.code("lxc-destroy -n myhost1") == 0
    assert typist.does("lxc-ls") == "myhost2\n"
    assert password(home, "myhost2") == secret
    typist.terminal.sendline("lxc-start -n myhost2")
    typist.logs_in(secret)
    assert typist.asks("hostname") == "myhost2"
    typist.terminal.sendline("halt")
    typist.terminal.expect_exact(PROMPT)
    assert typist.code("lxc-destroy -n myhost2") == 0
    assert typist.does("sandbox ledger") == "nothing is held\n"


def _connects(typist: Typist, tty: int) -> bool:
    """Whether somebody gets this terminal, and leaves it."""
    command = ["-n", "box", "-t", str(tty)]
    other = pexpect.spawn("lxc-console", command, env=typist.terminal.env, encoding="utf-8", timeout=PATIENCE)
    got = other.expect_exact([f"Connected to tty {tty}\r\n", pexpect.EOF]) == 0
    other.close(force=True)
    return got


def test_a_terminal_is_one_persons_and_each_gets_another(typist: Typist, home: Path) -> None:
    typist.does("lxc-create -t busybox -n box; lxc-start -n box -d")
    attached: list[Any] = []
    for number in range(1, 5):
        other = pexpect.spawn("lxc-console", ["-n", "box"], env=typist.terminal.env, encoding="utf-8", timeout=PATIENCE)
        other.expect_exact(f"Connected to tty {number}\r\n")
        attached.append(other)
    assert typist.code("lxc-console -n box") == 1
    assert "somebody is attached to tty2" in typist.does("lxc-console -n box -t 2")
    attached[1].send("\x01q")
    attached[1].expect(pexpect.EOF)
    typist.terminal.sendline("lxc-console -n box -e ^b")
    typist.terminal.expect_exact("Connected to tty 2")
    typist.terminal.expect_exact("Type <Ctrl+b q> to exit the console")
    typist.terminal.send("\x02q")
    typist.terminal.expect_exact(PROMPT)
    assert typist.code("lxc-console -n box -t 9") == 1
    attached[0].kill(signal.SIGKILL)  # its terminal is free again, and as it was
    until(lambda: _connects(typist, 1), "a free tty")
    assert Container("box").state == "RUNNING"
    typist.does("lxc-stop -k -n box")
    for other in attached:
        other.close(force=True)


def test_without_a_keyboard_there_is_no_console(typist: Typist, home: Path) -> None:
    typist.does("lxc-create -t busybox -n box; lxc-start -n box -d")
    assert "Failed to add stdin handler (standard input is no terminal" in typist.does("lxc-console -n box < /dev/null")
    assert typist.code("lxc-console -n box < /dev/null") == 1
    typist.does("lxc-stop -k -n box")


def test_a_reboot_from_inside_starts_it_again_at_the_same_terminal(typist: Typist, home: Path) -> None:
    typist.does("lxc-create -t busybox -n box")
    typist.terminal.sendline("lxc-start -n box")
    typist.logs_in(password(home, "box"))
    typist.terminal.sendline("reboot")
    typist.logs_in(password(home, "box"))
    typist.terminal.sendline("poweroff")
    typist.terminal.expect_exact(PROMPT)
    assert typist.code("lxc-start -d -n box") == 0
    first = Container("box").running()["pid"]
    assert typist.code("lxc-stop -r -t 15 -n box") == 0
    assert Container("box").running()["pid"] != first
    assert typist.code("lxc-stop -k -n box") == 0


def test_typed_at_a_terminal_a_start_can_still_be_a_daemon_and_from_a_script_the_foreground(
    typist: Typist, home: Path
) -> None:
    typist.does("lxc-create -t busybox -n box")
    assert typist.code("sh -c 'lxc-start -n box'") == 0  # no shell gives a script's command a process group
    assert Container("box").state == "RUNNING"
    typist.does("lxc-stop -k -n box")
    typist.terminal.sendline("sh -c 'lxc-start -n box -F; echo ended $?'")
    typist.logs_in(password(home, "box"))
    typist.terminal.sendline("halt")
    typist.terminal.expect_exact("ended 0")
    typist.terminal.expect_exact(PROMPT)


def test_an_ephemeral_copy_goes_when_it_stops(typist: Typist, home: Path) -> None:
    typist.does("lxc-create -t busybox -n box")
    assert typist.does("lxc-copy -n box -N passing -e") == "Created passing as clone of box\n"
    assert typist.does("lxc-ls --running") == "passing\n"
    assert typist.code("lxc-destroy -n box") == 1
    assert typist.code("lxc-stop -k -n passing") == 0
    until(lambda: not (home / "containers/passing").exists(), "its end")
    assert typist.does("lxc-copy -n box -N memory -e -t") == "Created memory as clone of box\n"
    assert typist.does("lxc-attach -n memory -- sh -c 'hostname; df / | tail -1'").split()[:2] == ["memory", "overlay"]
    assert typist.code("lxc-stop -k -n memory") == 0
    until(lambda: not (home / "containers/memory").exists(), "its end")
    shown = typist.does("lxc-copy -n box -e -m bind=/usr/share:/mnt:ro -- ls -d /mnt/doc")
    assert shown.splitlines()[-1] == "/mnt/doc"
    assert typist.does("lxc-copy -n box -N kept -e -D") == "Created kept as clone of box\n"
    assert typist.code("lxc-stop -k -n kept") == 0
    assert typist.does("lxc-ls -1").split() == ["box", "kept"]
    assert typist.code("lxc-destroy -n box -s") == 0
