"""The porter does what a command would do itself: same output, same exit code, same rights; and only for whom it may."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cli import knock
from sandbox.linux import files
from tests.conftest import REPOSITORY
from tests.lxc.folders import make_lxc
from tests.shell import Shell, until


def porters(source: str) -> list[int]:
    """The porters of the code in this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = files.read(f"/proc/{pid}/cmdline").split("\0")
            if f"sys.path.insert(0, {source!r})" in words[-2] and files.parent(pid) == 1:
                found.append(int(pid))
        except (OSError, IndexError):  # it ended just now; or it is a kernel thread
            continue
    return found


def door(source: Path) -> Path | None:
    """The socket at which they stand."""
    code = "from sandbox.cli import knock; print(knock.folder() + '/' + knock.name(knock.identity()))"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, text=True)
    path = Path(told.stdout.strip() or "/nowhere")
    return path if path.exists() else None


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell whose code lies in a folder of its own: so its porter is its own, too."""
    source = tmp_path / "source"
    shutil.copytree(REPOSITORY / "sandbox", source / "sandbox")
    yield Shell(str(home), source=str(source))
    for pid in porters(str(source)):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not porters(str(source)), "the end of the porter")
    if left := door(source):
        left.unlink()


@pytest.fixture
def with_porter(shell: Shell) -> Shell:
    """The same, with a porter that stands at the door."""
    assert shell.text("lxc-ls") == ""
    until(lambda: door(Path(shell.source)), "a porter at the door")
    return shell


def doers(shell: Shell) -> list[int]:
    """The processes of commands that its porter has under way."""
    (porter,) = porters(shell.source)
    return [int(word) for word in files.read(f"/proc/{porter}/task/{porter}/children").split()]


def test_the_first_command_leaves_a_porter_for_the_next(shell: Shell) -> None:
    assert porters(shell.source) == []
    shell.text("lxc-ls")
    until(lambda: len(porters(shell.source)) == 1, "a porter")


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_what_it_does_looks_as_if_the_command_did_it_itself(with_porter: Shell, tmp_path: Path) -> None:
    box = make_lxc("box")
    alone = Shell(with_porter.home, source=with_porter.source, extra={"SANDBOX_PORTER": "no"})
    box.start()
    script = "cat; pwd; echo $COLOUR >&2; exit 7"
    for words in (
        ("lxc-info", "-n", "box", "-s"), ("lxc-info", "-n", "nobody"), ("lxc-ls", "-f"), ("lxc-stop", "-r", "-k", "box"),
        ("lxc-info", "--nosuch"), ("lxc-attach", "-n", "box", "-v", "COLOUR=blue", "--", "sh", "-c", script), ("lxc-foo",),
        ("lxc-info", "-P", "relative", "-n", "box"), ("lxc-config", "lxc.lxcpath"), ("lxc-ls", "--help"),
    ):  # fmt: skip
        one, other = (each.run(*words, stdin=b"given\n") for each in (with_porter, alone))
        assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr), words
    box.kill()


def test_folder_environment_and_umask_are_those_of_whoever_knocked(with_porter: Shell, tmp_path: Path) -> None:
    make_lxc("box")
    script = f"umask 027; cd {tmp_path}; {sys.executable} -m sandbox lxc-info -n nobody -o log/file"
    (tmp_path / "log").mkdir()
    done = subprocess.run(["sh", "-c", script], env=with_porter.environment, capture_output=True)
    assert done.returncode == 1
    assert (tmp_path / "log/file").stat().st_mode & 0o777 == 0o640
    assert len(porters(with_porter.source)) == 1


def test_whoever_goes_away_has_the_command_ended(with_porter: Shell) -> None:
    make_lxc("box")
    process = with_porter.begin("lxc-wait", "-n", "box", "-s", "RUNNING")
    (doer,) = until(lambda: doers(with_porter), "somebody who waits")
    process.kill()
    process.communicate()
    until(lambda: doers(with_porter) == [], f"the end of {doer}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_come_to_whoever_does_it(with_porter: Shell, number: signal.Signals) -> None:
    make_lxc("box")
    process = with_porter.begin("lxc-wait", "-n", "box", "-s", "RUNNING")
    until(lambda: doers(with_porter), "somebody who waits")
    time.sleep(0.3)  # it must have begun to wait
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert doers(with_porter) == []


def test_a_porter_that_is_killed_is_told(with_porter: Shell) -> None:
    make_lxc("box")
    process = with_porter.begin("lxc-wait", "-n", "box", "-s", "RUNNING")
    until(lambda: doers(with_porter), "somebody who waits")
    (porter,) = porters(with_porter.source)
    os.kill(porter, signal.SIGKILL)
    _, said = process.communicate(timeout=60)  # until nobody holds its streams any more: the doer has ended, too
    assert (process.returncode, said) == (1, b"sandbox: the porter was killed: nobody knows how the command ended\n")
    assert with_porter.text("lxc-ls") == "box"  # whoever finds none does it alone


@pytest.mark.needs_root
def test_it_does_nothing_for_who_has_other_rights_or_is_elsewhere(with_porter: Shell) -> None:
    make_lxc("box")
    for prefix in (("unshare", "--net"), ("setpriv", "--bounding-set=-net_admin"), ("setpriv", "--no-new-privs")):
        other = Shell(with_porter.home, (*prefix, *with_porter.words), with_porter.source)
        process = other.begin("lxc-wait", "-n", "box", "-s", "RUNNING")
        time.sleep(1.0)  # by now it waits, wherever that is
        assert process.poll() is None
        assert doers(with_porter) == [], prefix
        process.kill()
        process.communicate()


def test_code_that_was_changed_is_not_the_porters(with_porter: Shell) -> None:
    module = Path(with_porter.source, "sandbox/lxc/commands/ls.py")
    module.write_text(module.read_text().replace("def run(", "print('changed')\n\n\ndef run("))
    assert with_porter.text("lxc-ls") == "changed"


def test_a_keyboard_is_for_the_command_itself() -> None:
    assert knock.is_short(["lxc-info"])
    assert not knock.is_short(["lxc-console"])
    assert not knock.is_short(["run"])


def test_of_many_at_once_each_gets_its_own_answer(with_porter: Shell) -> None:
    names = [f"nobody{number}" for number in range(24)]
    processes = [with_porter.begin("lxc-info", "-n", name) for name in names]
    for name, process in zip(names, processes, strict=True):
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said.split(b":")[1].strip().decode()) == (1, name)


def test_nonsense_at_the_door_does_no_harm(with_porter: Shell) -> None:
    path = str(door(Path(with_porter.source)))
    for nonsense in (b"", b"\xff\xff\xff\xff", b"\x04\0\0\0abcd", b"\x01"):
        with socket.socket(socket.AF_UNIX) as guest:
            guest.connect(path)
            guest.send(nonsense)
    assert with_porter.text("lxc-ls") == ""
    assert len(porters(with_porter.source)) == 1


def test_it_goes_when_nobody_comes(with_porter: Shell) -> None:
    (first,) = porters(with_porter.source)
    os.kill(first, signal.SIGTERM)
    until(lambda: not porters(with_porter.source), "its end")
    code = "from sandbox.cli import porter; porter.IDLE = 0.2; porter.main()"
    done = subprocess.run([sys.executable, "-c", code], env=with_porter.environment, cwd="/", timeout=60)
    assert done.returncode == 0
    assert door(Path(with_porter.source)) is None


def test_a_folder_that_others_may_enter_is_nobodys_door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "container-sandbox").mkdir(mode=0o700)
    assert knock.folder() is None, "it belongs to somebody else"
