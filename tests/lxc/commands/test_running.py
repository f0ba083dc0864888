"""lxc-start, lxc-stop, lxc-attach, lxc-execute from a script: streams, exit codes, states."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.linux import files
from sandbox.lxc.commands import Terminal, main
from tests.lxc.commands.links import make_links
from tests.lxc.folders import make_lxc
from tests.shell import Shell, until

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root]

#: An init that does not listen.
DEAF = "lxc.init.cmd = /bin/sh -c 'trap \"\" TERM PWR; while :; do sleep 1; done'"


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    """A script's shell; what it started ends with the test."""
    made = Shell(str(home))
    yield made
    for name, state in made.states().items():
        if state != "STOPPED":
            made.run("kill", name)


@pytest.fixture
def box(shell: Shell) -> Container:
    return make_lxc("box")


def test_started_from_a_script_it_is_a_daemon(shell: Shell, box: Container, tmp_path: Path) -> None:
    done = shell.run("lxc-start", "-n", "box", "-p", f"{tmp_path}/pid")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert box.state == "RUNNING"
    assert int((tmp_path / "pid").read_text()) == box.running()["pid"]
    done = shell.run("lxc-start", "-n", "box")
    assert (done.returncode, done.stderr) == (0, b"lxc-start: box: Container is already running\n")


def test_what_does_not_exist_is_not_started(shell: Shell) -> None:
    done = shell.run("lxc-start", "-n", "nobody", "-d")
    assert (done.returncode, done.stderr.split(b" (")[0]) == (1, b"lxc-start: nobody: No container config specified")


def test_a_line_without_effect_is_named_at_the_start(shell: Shell, box: Container, tmp_path: Path) -> None:
    config = Path(box.home.folder("box"), "config")
    config.write_text(f"{config.read_text()}lxc.colour = blue\n")
    done = shell.run("lxc-start", "-n", "box", "-d", "-o", f"{tmp_path}/log")
    assert done.returncode == 0
    assert (
        done.stderr.decode() == f"lxc-start: box: {config}:{len(config.read_text().splitlines())}: "
        "lxc.colour: LXC 5 has no such key; the line is kept\n"
    )
    assert " WARN     " in (tmp_path / "log").read_text()


def test_what_is_defined_at_the_start_counts_only_then(shell: Shell, box: Container) -> None:
    before = Path(box.home.folder("box"), "config").read_text()
    words = ["-s", "lxc.uts.name=other", "-s", "lxc.environment = COLOUR=blue"]
    assert shell.run("lxc-start", "-n", "box", "-d", *words).returncode == 0
    assert shell.text("lxc-attach", "-n", "box", "--clear-env", "--", "sh", "-c", "hostname; echo $COLOUR") == "other\nblue"
    assert Path(box.home.folder("box"), "config").read_text() == before
    done = shell.run("lxc-start", "-n", "x", "-f", box.home.folder("box") + "/config", "-s", "nonsense")
    assert (done.returncode, done.stderr.split(b" (")[0]) == (1, b"lxc-start: x: -s nonsense: there is no '='")


def test_another_program_can_be_its_first(shell: Shell, box: Container) -> None:
    assert shell.run("lxc-start", "-n", "box", "-d", "--", "/bin/sh", "-c", "exit 7").returncode == 0
    assert box.wait().exit_code == 7
    done = shell.run("lxc-start", "-F", "-n", "box", "--", "/bin/sh", "-c", "echo seen; exit 3")
    assert (done.returncode, done.stdout) == (3, b"seen\r\n")


def test_the_console_is_copied_to_a_file(shell: Shell, box: Container, tmp_path: Path) -> None:
    words = ["/bin/sh", "-c", "for n in 1 2 3; do echo line $n; done; sleep 0.5"]
    assert shell.run("lxc-start", "-n", "box", "-d", "-L", f"{tmp_path}/console", "--", *words).returncode == 0
    until(lambda: (tmp_path / "console").read_bytes() == b"line 1\r\nline 2\r\nline 3\r\n", "the console's text in the file")


def test_stopped_with_each_exit_code_of_the_man_page(shell: Shell, box: Container) -> None:
    done = shell.run("lxc-stop", "-n", "box")
    assert (done.returncode, done.stderr) == (2, b"lxc-stop: box: is not running\n")
    box.start()
    assert shell.run("lxc-stop", "-n", "box").returncode == 0
    assert box.state == "STOPPED"


def test_one_that_does_not_listen_is_killed_after_its_time_or_left(shell: Shell) -> None:
    deaf = make_lxc("deaf", DEAF)
    deaf.start()
    time.sleep(0.3)  # it must have begun not to listen
    assert shell.run("lxc-stop", "-n", "deaf", "-t", "1", "--nokill").returncode == 1
    assert shell.run("lxc-stop", "-n", "deaf", "-W").returncode == 0
    assert deaf.state == "RUNNING"
    assert shell.run("lxc-stop", "-n", "deaf", "-t", "1").returncode == 0
    assert deaf.state == "STOPPED"
    deaf.start()
    deaf.freeze()
    assert shell.run("lxc-stop", "-n", "deaf", "-k").returncode == 0
    assert deaf.state == "STOPPED"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-k", "-r"], "-k can't be used with -r"),
        (["-k", "--nokill"], "-k can't be used with --nokill"),
        (["-k", "-t", "3"], "-k doesn't allow timeouts"),
        (["--nolock"], "--nolock may only be used with -k"),
        (["-t", "-2"], "Invalid timeout"),
        (["-t", "soon"], "invalid value 'soon' for option '-t'"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_makes_no_sense_together_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-stop", ["-n", "box", *words]) == 1
    assert told in capsys.readouterr().err


def test_attach_hands_on_streams_and_the_exit_code(shell: Shell, box: Container) -> None:
    box.start()
    done = shell.run("lxc-attach", "-n", "box", "--", "sh", "-c", "cat; echo oops >&2; exit 7", stdin=b"given\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given\n", b"oops\n")
    assert shell.run("lxc-attach", "-n", "box", "nosuch").returncode == 127
    assert shell.run("lxc-attach", "-n", "box", "/etc/passwd").returncode == 126
    assert shell.run("lxc-attach", "-n", "box", "--", "sh", "-c", "kill -9 $$").returncode == 137
    done = shell.run("lxc-attach", "-n", "box", stdin=b"echo $0; exit 4\n")  # without a command: the shell of its passwd
    assert (done.returncode, done.stdout) == (4, b"/bin/sh\n")


def test_attach_to_what_does_not_run_fails(shell: Shell, box: Container) -> None:
    done = shell.run("lxc-attach", "-n", "box", "--", "true")
    assert (done.returncode, done.stderr.split(b" (")[0]) == (1, b"lxc-attach: box: the container 'box' is not running")


def test_attach_gives_the_environment_that_is_asked_for(shell: Shell, box: Container) -> None:
    box.start()
    ours = Shell(shell.home, extra={"OURS": "1", "KEPT": "2", "BASH_FUNC_x%%": "() { :; }"})
    everything = ours.text("lxc-attach", "-n", "box", "-v", "MORE=3=4", "--", "env").splitlines()
    assert {"OURS=1", "KEPT=2", "MORE=3=4", "container=lxc"} <= set(everything)
    some = ours.text("lxc-attach", "-n", "box", "--clear-env", "--keep-var", "KEPT", "--", "env").splitlines()
    assert {"KEPT=2", "container=lxc"} <= set(some)
    assert "OURS=1" not in some
    assert shell.run("lxc-attach", "-n", "box", "-v", "nonsense", "--", "true").returncode == 1


def test_attach_as_another_user(shell: Shell, box: Container) -> None:
    box.start()
    assert shell.text("lxc-attach", "-n", "box", "-u", "12", "-g", "34", "--", "id", "-u") == "12"
    assert shell.text("lxc-attach", "-n", "box", "-u", "12", "-g", "34", "--", "id", "-g") == "34"
    assert shell.text("lxc-attach", "-n", "box", "-u", "12", "--", "id", "-g") == "12"


def test_attach_to_single_namespaces_keeps_the_others_of_the_host(shell: Shell, box: Container) -> None:
    box.start()
    pid = box.running()["pid"]

    def kinds(*words: str) -> dict[str, bool]:
        """Which namespaces are the container's."""
        read = "for k in mnt pid_for_children net uts; do readlink /proc/self/ns/$k; done"
        links = shell.text("lxc-attach", "-n", "box", *words, "--", "sh", "-c", read).splitlines()
        names = ("mnt", "pid", "net", "uts")
        return {name: os.readlink(f"/proc/{pid}/ns/{name}") == link for name, link in zip(names, links, strict=True)}

    assert kinds("-s", "NETWORK") == {"mnt": False, "pid": False, "net": True, "uts": False}
    assert kinds("--namespaces=UTSNAME|NETWORK") == {"mnt": False, "pid": False, "net": True, "uts": True}
    assert kinds("-e") == {"mnt": True, "pid": True, "net": True, "uts": True}
    assert kinds("-eCAP") == {"mnt": True, "pid": True, "net": True, "uts": True}
    assert shell.run("lxc-attach", "-n", "box", "-s", "NONSENSE", "--", "true").returncode == 1
    mounts = files.read("/proc/self/mountinfo")
    shown = shell.text("lxc-attach", "-n", "box", "-s", "PID|NETWORK", "-R", "--", "cat", "/proc/1/comm")
    assert shown == Path(f"/proc/{pid}/comm").read_text().strip()
    assert files.read("/proc/self/mountinfo") == mounts


def test_a_cell_prints_what_a_command_prints(shell: Shell, box: Container, capsys: pytest.CaptureFixture[str]) -> None:
    box.start()
    shown: list[tuple[str, bytes]] = []
    cell = Terminal(interactive=False, notebook=True, show=lambda job: shown.extend(job.output()))
    assert main("lxc-attach", ["-n", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 5"], cell) == 5
    assert sorted(shown) == [("stderr", b"err\n"), ("stdout", b"out\n")]
    assert main("lxc-attach", ["-n", "box", "-s", "NETWORK", "--", "sh", "-c", "echo out; echo err >&2; exit 6"], cell) == 6
    assert capsys.readouterr().out == "out\nerr\n"
    make_lxc("other")
    for words in (["lxc-console", "-n", "box"], ["lxc-start", "-F", "-n", "other"], ["lxc-attach", "-n", "box", "-e"]):
        assert main(words[0], words[1:], cell) == 1
        assert "a cell is no terminal" in capsys.readouterr().err


def test_execute_runs_a_command_in_a_container_of_its_own(shell: Shell, box: Container) -> None:
    done = shell.run("lxc-execute", "-n", "box", "--", "sh", "-c", "cat; echo $$; cat /proc/1/comm; exit 6", stdin=b"in\n")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (6, [b"in", b"2"])
    assert box.state == "STOPPED"
    done = shell.run("lxc-execute", "-n", "passing", "--", "sh", "-c", "hostname; ls -d /usr/bin; exit 5")
    assert (done.returncode, done.stdout) == (5, b"passing\n/usr/bin\n")
    assert shell.text("lxc-ls", "-1") == "box"
    assert shell.run("lxc-execute", "-n", "box", "--", "nosuch").returncode == 127
    done = shell.run("lxc-execute", "-n", "box")
    assert (done.returncode, done.stderr.split(b" (")[0]) == (1, b"lxc-execute: box: missing command to execute")


def test_execute_takes_command_and_user_from_where_they_are(shell: Shell) -> None:
    box = make_lxc("box", "lxc.execute.cmd = id -u")
    assert shell.text("lxc-execute", "-n", "box") == "0"
    assert shell.text("lxc-execute", "-n", "box", "-u", "77") == "77"
    config = box.home.folder("box") + "/config"
    assert shell.text("lxc-execute", "-n", "box", "-f", config, "-s", "lxc.uts.name=there", "--", "hostname") == "there"


def test_executed_as_a_daemon_it_goes_on(shell: Shell, box: Container) -> None:
    for name in ("box", "passing"):
        assert shell.run("lxc-execute", "-n", name, "-d", "--", "sleep", "100").returncode == 0
        assert shell.text("lxc-info", "-n", name, "-sH") == "RUNNING"
        assert shell.run("lxc-stop", "-n", name, "-k").returncode == 0


def test_a_start_in_the_foreground_ends_with_whoever_asked_for_it(shell: Shell, box: Container) -> None:
    with shell.begin("lxc-start", "-F", "-n", "box") as process:
        until(lambda: box.entry is not None, "the start")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    until(lambda: box.entry is None, "the end")


def test_scripts_that_others_wrote_for_lxc_run(shell: Shell, tmp_path: Path) -> None:
    """The usual loop of such scripts: over names, states and pids, with exit codes."""
    environment = make_links(tmp_path / "bin", shell)
    make_lxc("web")
    script = """
set -eu
lxc-start -n web
lxc-wait -n web -s RUNNING -t 10
pid=$(lxc-info -n web -p -H)
[ -d /proc/$pid ]
for c in $(lxc-ls --running); do lxc-attach -n $c -- hostname; done
lxc-ls --fancy | awk 'NR > 1 { print $1, $2 }'
lxc-stop -n web
lxc-stop -n web 2>/dev/null || [ $? -eq 2 ]
lxc-copy -n web -N web2
lxc-destroy -n web
if lxc-info -n web 2>/dev/null; then exit 1; fi
lxc-ls -1
"""
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "web\nweb RUNNING\nweb2\n", "")
