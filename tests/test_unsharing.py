"""A command of the host in new namespaces: what the plan says, and what it does. lxc-unshare, lxc-usernsexec."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import unsharing
from sandbox.lanes import Plan
from sandbox.lxc.commands import Terminal, main
from tests.conftest import as_nobody
from tests.shell import Shell

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.needs_userns

RANGE = "b:0:100000:1000"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """None of these commands needs a home, and none may make one."""
    return Shell(str(tmp_path / "home"))


def names(made: Plan) -> list[str]:
    return [step.name for step in made]


def test_the_plan_is_a_birth_a_barrier_and_the_program() -> None:
    assert names(unsharing.plan(["uts"], ["true"])) == ["Clone", "Go", "WaitForGo", "Exec"]
    whole = unsharing.plan(["user", "mount", "pid", "uts"], ["true"], uid=((0, 1, 1),), gid=((0, 1, 1),), user=0, hostname="x",
                           remount=True)  # fmt: skip
    assert [name for name in names(whole) if name != "MountFilesystem"] == [
        "Clone", "MapIds", "Go", "WaitForGo", "MakePrivate", "SetHostname", "BecomeRoot", "Exec",
    ]  # fmt: skip
    assert Plan.from_json(whole.to_json()) == whole


@pytest.mark.needs_root
def test_a_command_has_namespaces_of_its_own_and_otherwise_our_world(shell: Shell, tmp_path: Path) -> None:
    name = os.uname().nodename
    done = shell.run("lxc-unshare", "-s", "UTSNAME", "-H", "other", "--", "sh", "-c", "hostname; pwd; echo $MARK; cat; exit 4",
                     stdin=b"typed\n")  # fmt: skip
    assert (done.returncode, done.stdout.decode().split(), done.stderr) == (4, ["other", "/", "typed"], b"")
    assert os.uname().nodename == name
    assert not (tmp_path / "home").exists()


@pytest.mark.needs_root
def test_what_it_mounts_anew_shows_only_its_own_processes_and_nothing_outside(shell: Shell) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    done = shell.run("lxc-unshare", "-s", "MOUNT|PID|IPC", "-M", "--", "sh", "-c", "echo $$; ls -d /proc/[0-9]*; ls /dev/shm")
    assert done.stdout.decode().splitlines()[:2] == ["1", "/proc/1"]
    assert Path("/proc/self/mountinfo").read_text() == mounts


@pytest.mark.needs_root
def test_a_signal_is_told_as_shells_do(shell: Shell) -> None:
    assert shell.run("lxc-unshare", "-s", "IPC", "--", "sh", "-c", "kill -TERM $$").returncode == 128 + 15
    assert shell.run("lxc-unshare", "-s", "IPC", "--", "sh", "-c", "yes | head -1").stderr == b""  # SIGPIPE is not ignored


@pytest.mark.needs_root
def test_in_a_user_namespace_it_is_whoever_was_asked_for(shell: Shell) -> None:
    assert shell.run("lxc-unshare", "-s", "USER", "--", "id", "-u").stdout == b"65534\n"
    assert shell.run("lxc-unshare", "-s", "USER", "-u", "1", "--", "id", "-u").stdout == b"1\n"
    assert shell.run("lxc-unshare", "-s", "UTSNAME", "-u", "nobody", "--", "id", "-u").stdout == b"65534\n"


@pytest.mark.needs_root
def test_a_daemon_is_not_waited_for(shell: Shell, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = shell.run("lxc-unshare", "-s", "IPC", "-d", "--", "sh", "-c", f"exec >/dev/null 2>&1; echo done > {fifo}")
    assert done.returncode == 0
    assert fifo.read_text() == "done\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-s", "UTSNAME"], "A command to execute in the new namespace is required"),
        (["--", "id"], "A namespace to execute command is required"),
        (["-s", "UTSNAME|FOO", "--", "id"], "there is no namespace 'FOO'"),
        (["-s", "PID", "-H", "x", "--", "id"], "-H <hostname> needs -s UTSNAME option"),
        (["-s", "PID", "-M", "--", "id"], "-M needs -s MOUNT option"),
        (["-s", "PID", "-i", "eth0", "--", "id"], "-i <interfacename> needs -s NETWORK option"),
        (["-s", "PID", "-u", "no-such-user", "--", "id"], "invalid user 'no-such-user'"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-unshare", words) == 1
    assert capsys.readouterr().err.startswith(f"lxc-unshare: {told}")


@pytest.mark.needs_root
@pytest.mark.parametrize(("program", "told"), [("no-such-program", "ENOENT"), ("/etc/passwd", "EACCES")])
def test_a_program_that_can_not_run_is_told_by_its_step(shell: Shell, program: str, told: str) -> None:
    done = shell.run("lxc-unshare", "-s", "UTSNAME", "--", program)
    assert done.returncode == 1
    assert done.stderr.startswith(f"lxc-unshare: Exec: execve {program}: {told}".encode())


@pytest.mark.needs_root
def test_a_step_that_would_change_the_host_is_refused() -> None:
    # An edited plan: a name, where the uts namespace is still the host's.
    script = """if True:
        from sandbox import unsharing
        from sandbox.errors import KernelRefused
        from sandbox.primitives.namespaces import SetHostname
        from sandbox.lanes import Plan
        made = unsharing.plan(["ipc"], ["true"])
        wait, program = made.inside
        try:
            unsharing.carry_out(Plan(made.outside, (wait, SetHostname("spoiled"), program)))
        except KernelRefused as refused:
            print(refused)
    """
    name = os.uname().nodename
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "this is still the host's own uts namespace" in done.stdout, done.stderr
    assert os.uname().nodename == name


@pytest.mark.needs_root
def test_at_a_terminal_it_is_our_own_with_job_control(shell: Shell) -> None:
    words = ["-m", "sandbox", "lxc-unshare", "-s", "UTSNAME", "-H", "other", "--", "/bin/sh"]
    terminal = pexpect.spawn(sys.executable, words, env=shell.environment, encoding="utf-8", timeout=60)
    terminal.sendline("echo name $(hostname) on $(tty)")
    terminal.expect(r"name other on (/dev/pts/\d+)\r")
    terminal.sendline("echo sleeping; sleep 100; echo woken $?")
    terminal.expect("sleeping\r\n")
    while True:  # it may not sleep yet
        terminal.sendintr()
        if terminal.expect(["[#$] $", pexpect.TIMEOUT], timeout=0.5) == 0:
            break
    terminal.sendline("exit 5")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 5


# --- lxc-usernsexec -------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
def test_root_of_a_user_namespace_is_whom_the_map_says(shell: Shell) -> None:
    done = shell.run("lxc-usernsexec", "-m", RANGE, "-s", "--", "sh", "-c", "id -u; id -g; cat /proc/self/uid_map; exit 3")
    assert done.returncode == 3
    uid, gid, *rows = done.stdout.decode().splitlines()
    assert (uid, gid) == ("0", "0")
    assert [row.split() for row in rows] == [["0", "100000", "1000"], ["1000", "0", "1"]]


@pytest.mark.needs_root
def test_root_there_can_mount_and_nothing_of_it_shows_here(shell: Shell, tmp_path: Path) -> None:
    command = "mount -t tmpfs none /mnt && touch /mnt/x && ls /mnt"
    assert shell.run("lxc-usernsexec", "-m", RANGE, "--", "sh", "-c", command).stdout == b"x\n"
    assert not Path("/mnt/x").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-m", "b:0:100000"], "'b:0:100000' is no map"),
        (["-m", "u:0:100000:10"], "group 0 is not mapped"),
        (["-m", "b:1:100000:10"], "user 0 is not mapped"),
    ],
)
def test_maps_that_make_no_sense_are_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-usernsexec", [*words, "--", "id"]) == 1
    assert capsys.readouterr().err.startswith(f"lxc-usernsexec: {told}")


def test_without_a_map_and_without_a_grant_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sandbox.host.subid_ranges", lambda: None)
    assert main("lxc-usernsexec", ["--", "id"]) == 1
    assert "Failed to find subuid or subgid allocation" in capsys.readouterr().err
    monkeypatch.setattr("sandbox.host.subid_ranges", lambda: (range(5000, 5100), range(6000, 6100)))
    assert main("lxc-usernsexec", ["--plan"]) == 0
    assert "MapIds" in capsys.readouterr().out


@pytest.mark.needs_root
def test_an_ordinary_user_maps_itself(user_python: str, user_source: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.lxc.commands import main; "
        "sys.exit(main('lxc-usernsexec', ['-m', 'b:0:65534:1', '--', 'id', '-u']))"
    )
    done = subprocess.run(as_nobody(user_python, "-I", "-c", script, str(user_source)), capture_output=True, cwd="/")
    assert (done.returncode, done.stdout) == (0, b"0\n"), done.stderr


@pytest.mark.needs_root
def test_in_a_cell_another_process_does_it_and_its_output_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cell = Terminal(False, notebook=True)
    assert main("lxc-usernsexec", ["-m", RANGE, "--", "sh", "-c", "id -u; echo wrong >&2; exit 4"], cell) == 4
    assert capsys.readouterr().out == "0\nwrong\n"
    assert main("lxc-unshare", ["-s", "UTSNAME", "--", "no-such-program"], cell) == 1
    assert "Exec: execve no-such-program: ENOENT" in capsys.readouterr().out
    assert main("lxc-unshare", ["-s", "UTSNAME", "-d", "--", "sleep", "0.1"], cell) == 0
