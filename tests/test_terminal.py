"""`sandbox` on a real terminal: a shell in a container feels like one at home, and our own terminal comes back as it was."""

import os
import signal
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from sandbox.errors import InvalidOption
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.terminal import DetachKeys, detach_keys
from tests.conftest import NOBODY, as_nobody
from tests.shell import Shell, until

pytestmark = pytest.mark.needs_userns

PROMPT = "[$#] "
LEAVE = "\x10\x11"

Spawn = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(str(home))


def spawner(shell: Shell) -> Iterator[Spawn]:
    begun: list[pexpect.spawn[str]] = []

    def spawn(*words: str, rows: int = 24, columns: int = 80) -> "pexpect.spawn[str]":
        program, *rest = (*shell.words, *words)
        made = pexpect.spawn(
            program, rest, env=shell.environment, cwd="/", dimensions=(rows, columns), timeout=60, encoding="utf-8"
        )
        begun.append(made)
        return made

    yield spawn
    for each in begun:
        each.close(force=True)


@pytest.fixture
def spawn(shell: Shell) -> Iterator[Spawn]:
    """Calls `sandbox` on a terminal of its own."""
    yield from spawner(shell)
    try:
        until(shell.is_empty, "the ledger should be empty")
    finally:  # a test that failed leaves containers
        for name, state in shell.states().items():
            if state != "STOPPED":
                shell.run("kill", name)


def typed(session: "pexpect.spawn[str]", line: str) -> str:
    """What a command prints: typed at the prompt, read up to the next one."""
    session.sendline(f"{line}; echo =$?=")
    session.expect(r"(?s)echo =\$\?=\r\n(.*)=(\d+)=\r\n")
    shown = session.match[1]
    session.expect(PROMPT)
    return str(shown).strip()


def is_raw(session: "pexpect.spawn[str]") -> bool:
    """Whether every key goes straight to the container: before, the terminal itself would echo it."""
    return not termios.tcgetattr(session.child_fd)[3] & (termios.ICANON | termios.ECHO)


def attached(session: "pexpect.spawn[str]") -> "pexpect.spawn[str]":
    """The session, once its shell is at the prompt. It does not show that again by itself."""
    until(lambda: is_raw(session), "it should be attached")
    session.send("\r")
    session.expect(PROMPT)
    return session


def ended(session: "pexpect.spawn[str]") -> int:
    session.expect(pexpect.EOF)
    session.close()
    return int(session.exitstatus)


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_shell_has_a_terminal_of_its_own_with_our_size(spawn: Spawn) -> None:
    session = spawn("run", "-it", "busybox", rows=33, columns=101)
    session.expect(PROMPT)
    assert typed(session, "tty") == "/dev/pts/0"
    assert typed(session, "stty size") == "33 101"
    assert typed(session, "id -u") == "0"
    session.setwinsize(50, 132)
    until(lambda: typed(session, "stty size") == "50 132", "the size should follow ours")
    session.sendline("exit 7")
    assert ended(session) == 7


def test_control_c_interrupts_a_program_and_not_the_shell(spawn: Spawn) -> None:
    session = spawn("run", "-it", "busybox")
    session.expect(PROMPT)
    session.sendline("echo go; sleep 100")
    session.expect("\ngo\r\n")
    begun = time.monotonic()
    time.sleep(0.1)  # until sleep is what runs
    session.send("\x03")
    session.expect(PROMPT)
    assert time.monotonic() - begun < 50
    assert typed(session, "echo $((6 * 7))") == "42"
    session.send("\x04")
    assert ended(session) == 0


def test_a_session_is_left_and_taken_up_again(spawn: Spawn, shell: Shell) -> None:
    session = spawn("run", "-it", "--name", "away", "busybox")
    session.expect(PROMPT)
    typed(session, "MARK=here")
    session.send(LEAVE)
    session.expect("sandbox attach away")
    assert ended(session) == 0
    assert shell.states() == {"away": "RUNNING"}
    again = attached(spawn("attach", "away", rows=30, columns=90))
    assert typed(again, "echo $MARK") == "here"
    until(lambda: typed(again, "stty size") == "30 90", "the size should be the new one's")
    other = spawn("attach", "away")
    other.expect("somebody is attached")
    assert ended(other) == 125
    again.sendline("exit 3")
    assert ended(again) == 3


def test_what_is_shown_while_somebody_is_attached_is_in_the_log_too(spawn: Spawn, shell: Shell) -> None:
    session = spawn("run", "-it", "--name", "told", "busybox")
    session.expect(PROMPT)
    typed(session, "echo in-the-$((0))foreground")
    session.send(LEAVE)
    assert ended(session) == 0
    again = attached(spawn("attach", "told"))
    assert typed(again, "echo in-$((1))attach") == "in-1attach"
    again.sendline("exit")
    assert ended(again) == 0
    text = shell.run("logs", "told").stdout
    assert b"in-the-0foreground" in text
    assert b"in-1attach" in text


def test_killing_who_is_attached_leaves_the_container_and_its_terminal(spawn: Spawn, shell: Shell) -> None:
    assert shell.text("run", "-dt", "--name", "stays", "busybox") == "stays"
    session = attached(spawn("attach", "stays"))
    typed(session, "MARK=$((40 + 2))")
    session.kill(signal.SIGKILL)
    session.close()
    assert shell.states()["stays"] == "RUNNING"
    again = attached(spawn("attach", "stays"))
    assert typed(again, "echo $MARK") == "42"
    again.sendline("exit")
    assert ended(again) == 0


def test_killing_who_runs_it_in_the_foreground_ends_the_container(spawn: Spawn, shell: Shell) -> None:
    session = spawn("run", "-it", "--name", "falls", "busybox")
    session.expect(PROMPT)
    session.kill(signal.SIGKILL)
    session.close()
    until(shell.is_empty, "the ledger should be empty")


def test_exec_gives_a_second_terminal(spawn: Spawn, shell: Shell) -> None:
    shell.text("run", "-dt", "--name", "two", "busybox")
    session = spawn("exec", "-it", "two", "sh", rows=31, columns=97)
    session.expect(PROMPT)
    assert typed(session, "tty") == "/dev/pts/1"
    until(lambda: typed(session, "stty size") == "31 97", "the size should be ours")
    assert "sh" in typed(session, "ps -o comm")
    session.sendline("exit 9")
    assert ended(session) == 9
    shell.text("stop", "-t", "0", "two")


def test_killing_who_execs_ends_that_process_and_nothing_else(spawn: Spawn, shell: Shell, home: Path) -> None:
    shell.text("run", "-d", "--name", "calm", "busybox", "sleep", "100")
    launcher = client.ask(open_home(), {"do": "hello"})[0]["pid"]
    session = spawn("exec", "-it", "calm", "yes")  # it writes on when nobody reads
    session.expect("y\r\ny\r\n")
    session.kill(signal.SIGKILL)
    session.close()
    until(lambda: "yes" not in shell.text("exec", "calm", "ps"), "yes should be gone")
    left = spawn("exec", "-it", "calm", "sh", "-c", "while sleep 0.05; do echo y; done")
    left.expect("y\r\ny\r\n")
    left.send(LEAVE)
    left.expect("it goes on")
    assert ended(left) == 0
    assert "while" in shell.text("exec", "calm", "ps")
    shell.text("stop", "-t", "0", "calm")
    assert client.ask(open_home(), {"do": "hello"})[0]["pid"] == launcher  # it took no harm


def test_other_detach_keys_can_be_chosen(spawn: Spawn, shell: Shell) -> None:
    session = spawn("run", "-it", "--name", "keys", "--detach-keys", "ctrl-a,d", "busybox")
    session.expect(PROMPT)
    typed(session, "echo \x10")  # with others chosen, ^P is the shell's own
    session.send("\x01d")
    session.expect("sandbox attach keys")
    assert ended(session) == 0
    shell.text("kill", "keys")


@pytest.mark.needs_cgroup("memory")
def test_a_flood_reaches_the_terminal_whole(spawn: Spawn) -> None:
    session = spawn("run", "-t", "busybox", "seq", "20000")
    session.expect(pexpect.EOF)
    assert session.before.split() == [str(n) for n in range(1, 20001)]
    session.close()
    assert session.exitstatus == 0


# --- our own terminal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["exit", "detach", "signal", "no such program", "killed from elsewhere"])
def test_our_terminal_comes_back_as_it_was(spawn: Spawn, shell: Shell, how: str) -> None:
    words = ("run", "-it", "--name", "raw", "busybox", *(("no-such-program",) if how == "no such program" else ()))
    # The shell in between keeps the terminal open, and shows its settings when `sandbox` has ended.
    line = " ".join(f"'{word}'" for word in (*shell.words, *words))
    session = pexpect.spawn("/bin/sh", ["-c", f"stty -a; {line}; echo ended=$?; stty -a; read wait"],
                            env=shell.environment, cwd="/", timeout=60, encoding="utf-8")  # fmt: skip
    session.expect("(?s)(speed.*)\r\n")
    if how != "no such program":
        session.expect("/ # ")
        assert is_raw(session)
    if how == "exit":
        session.sendline("exit")
    elif how == "detach":
        session.send(LEAVE)
    elif how == "signal":
        os.kill(until(lambda: child_of(session.pid), "it should run"), signal.SIGTERM)
    elif how == "killed from elsewhere":
        shell.text("kill", "raw")
    session.expect(r"ended=(\d+)\r\n")
    expected = {"exit": "0", "detach": "0", "no such program": "127", "killed from elsewhere": "137"}
    assert session.match[1] == expected.get(how, session.match[1])
    mode = termios.tcgetattr(session.child_fd)
    assert mode[3] & termios.ICANON
    assert mode[3] & termios.ECHO
    assert mode[0] & termios.ICRNL
    assert mode[1] & termios.OPOST
    session.close(force=True)
    if how == "detach":
        shell.text("kill", "raw")


def child_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(text[0]) if text else 0


def test_it_without_a_terminal_of_ours_is_refused(shell: Shell) -> None:
    done = shell.run("run", "-it", "busybox", "true")
    assert done.returncode == 125
    assert b"no terminal" in done.stderr


def test_t_alone_needs_no_terminal_of_ours(shell: Shell) -> None:
    assert shell.run("run", "-t", "busybox", "tty").stdout == b"/dev/pts/0\r\n"


# --- the keys that detach ----------------------------------------------------------------------------------------------


def test_detach_keys_are_found_wherever_the_typing_is_cut() -> None:
    for cut in range(6):
        keys = DetachKeys(b"\x10\x11")
        whole = b"ab\x10c\x10\x11after"
        handed = keys.feed(whole[:cut]) + keys.feed(whole[cut:])
        assert (handed, keys.pressed) == (b"ab\x10c", True)
    none = DetachKeys(b"")
    assert (none.feed(b"\x10\x11"), none.pressed) == (b"\x10\x11", False)


def test_detach_keys_are_written_as_docker_writes_them() -> None:
    assert detach_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert detach_keys("ctrl-[,a,ctrl-@") == b"\x1ba\x00"
    assert detach_keys("") == b""
    with pytest.raises(InvalidOption, match="no key"):
        detach_keys("alt-x")


# --- ordinary users -------------------------------------------------------------------------------------------------


def test_an_ordinary_user_has_a_shell_too(user_python: str, user_source: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sandbox-user-") as folder:
        os.chown(folder, NOBODY if os.geteuid() == 0 else -1, -1)
        words = (*as_nobody(user_python), "-m", "sandbox")
        shell = Shell(f"{folder}/home", words, str(user_source), {"HOME": folder})
        for spawn in spawner(shell):
            session = spawn("run", "-it", "busybox", rows=29, columns=77)
            session.expect(PROMPT)
            assert typed(session, "tty") == "/dev/pts/0"
            until(lambda session=session: typed(session, "stty size") == "29 77", "the size should be ours")
            assert typed(session, "id -u") == "0"
            session.sendline("exit 11")
            assert ended(session) == 11
        until(shell.is_empty, "the ordinary user's ledger should be empty")
