"""`sandbox run`: exit codes, streams, plans, signals; and what happens when somebody dies."""

import hashlib
import os
import signal
import subprocess
import time

import pytest

from sandbox.lanes import Plan
from tests.shell import Shell, until

pytestmark = pytest.mark.needs_userns

# --- exit codes and streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["busybox", "true"], 0),
        (["busybox", "sh", "-c", "exit 3"], 3),
        (["busybox", "no-such-program"], 127),
        (["busybox", "/bin/no/such"], 127),
        (["busybox", "/etc"], 126),
        (["busybox", "/etc/passwd"], 126),
        (["no-such-image", "true"], 125),
        (["--memory", "much", "busybox", "true"], 125),
        (["--no-such-option", "busybox", "true"], 125),
        (["--init", "busybox", "sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_run_returns_the_exit_code_that_docker_run_returns(shell: Shell, words: list[str], code: int) -> None:
    done = shell.run("run", *words)
    assert done.returncode == code, done
    if code >= 125 and code != 143:  # we say what went wrong, once
        assert done.stderr.startswith(b"sandbox: ")
        assert b"Traceback" not in done.stderr
        assert done.stdout == b""


@pytest.mark.needs_cgroup("memory")
def test_a_program_killed_for_its_memory_ends_with_137_and_the_reason(shell: Shell) -> None:
    done = shell.run("run", "--memory", "16m", "busybox", "sh", "-c", "x=$(yes | head -c 100000000)")
    assert done.returncode == 137
    assert b"out of memory, limit 16m" in done.stderr


@pytest.mark.needs_cgroup("memory")
def test_options_after_the_image_belong_to_the_command(shell: Shell) -> None:
    assert shell.text("run", "--hostname", "box", "busybox", "echo", "--hostname", "-it", "--", "-d") == "--hostname -it -- -d"
    assert shell.text("run", "--hostname=box", "busybox", "hostname") == "box"


@pytest.mark.needs_cgroup("memory")
def test_the_two_streams_and_every_byte_come_out_as_they_went_in(shell: Shell) -> None:
    done = shell.run("run", "busybox", "sh", "-c", r"printf 'out\377\033[1m\0'; printf 'err\200' >&2")
    assert (done.stdout, done.stderr) == (b"out\xff\x1b[1m\0", b"err\x80")


def test_standard_input_is_handed_on_as_it_comes(shell: Shell) -> None:
    with shell.begin("run", "-i", "busybox", "sh", "-c", "while read word; do echo got $word; done") as running:
        assert running.stdin
        assert running.stdout
        for word in (b"one", b"two"):
            running.stdin.write(word + b"\n")
            running.stdin.flush()
            assert running.stdout.readline() == b"got " + word + b"\n"
        running.stdin.close()
        assert running.wait(60) == 0


def test_five_megabytes_go_in_and_out_unchanged(shell: Shell) -> None:
    data = os.urandom(5 << 20)
    done = shell.run("run", "-i", "busybox", "cat", stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_program_that_reads_only_the_beginning_is_not_waited_for(shell: Shell) -> None:
    done = shell.run("run", "-i", "busybox", "head", "-c", "4", stdin=b"word" + bytes(1 << 20))
    assert (done.returncode, done.stdout) == (0, b"word")


def test_without_i_standard_input_is_empty(shell: Shell) -> None:
    assert shell.run("run", "busybox", "cat", stdin=b"not for it").stdout == b""


def test_a_reader_that_goes_away_ends_the_container(shell: Shell) -> None:
    with shell.begin("run", "busybox", "yes") as running:
        assert running.stdout
        assert running.stdout.readline() == b"y\n"
        running.stdout.close()
        assert running.wait(60) == 141
    until(shell.is_empty, "the ledger should be empty")


def test_what_is_printed_of_a_hostile_name_can_not_command_the_terminal(shell: Shell) -> None:
    done = shell.run("run", "busybox", "\x1b]52;c;ZXZpbA==\x07")
    assert done.returncode == 127
    assert b"\x1b" not in done.stderr
    assert rb"\x1b]52" in done.stderr


# --- plans and traces --------------------------------------------------------------------------------------------------


def test_plan_prints_the_plan_and_runs_nothing(shell: Shell) -> None:
    assert "PivotRoot()" in shell.text("run", "--plan", "busybox", "true")
    plan = Plan.from_json(shell.text("run", "--plan", "--json", "--without", "SetHostname", "busybox", "true"))
    assert "SetHostname" not in {step.name for step in plan}
    assert shell.states() == {}


def test_trace_prints_the_steps_that_were_made(shell: Shell) -> None:
    done = shell.run("run", "--calls", "busybox", "echo", "hi")
    assert done.stdout == b"hi\n"
    assert b"PivotRoot" in done.stderr
    assert b"pivot_root(" in done.stderr


def test_a_step_left_out_is_told_by_what_breaks(shell: Shell) -> None:
    done = shell.run("run", "--without", "MountOverlay", "busybox", "true")
    assert done.returncode == 125
    assert b"sandbox: " in done.stderr


@pytest.mark.needs_cgroup("memory")
def test_an_interpreter_takes_one_word_as_the_text_of_a_script(shell: Shell) -> None:
    assert shell.text("run", "--interpreter", "sh", "busybox", "echo $((6 * 7))") == "42"


# --- signals and sudden ends --------------------------------------------------------------------------------------------


def begin_and_wait(shell: Shell, script: str, *options: str) -> "subprocess.Popen[bytes]":
    """A container in the foreground that has printed "ready"."""
    running = shell.begin("run", *options, "busybox", "sh", "-c", f"{script}; echo ready; while :; do sleep 0.05; done")
    assert running.stdout
    assert running.stdout.readline() == b"ready\n"
    return running


@pytest.mark.parametrize(
    ("script", "code"), [("trap '' INT TERM", 137), ("trap 'exit 9' INT TERM", 9), ("trap true INT TERM", 137)]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_container_within_a_second(shell: Shell, script: str, code: int, number: int) -> None:
    with begin_and_wait(shell, script) as running:
        begun = time.monotonic()
        running.send_signal(number)
        assert running.wait(60) == code
        assert time.monotonic() - begun < 8  # a second, and not the ten of `stop`, however busy the machine is
    until(shell.is_empty, "the ledger should be empty")


def test_kill_9_of_the_command_ends_its_container(shell: Shell) -> None:
    with begin_and_wait(shell, "true", "--name", "orphan") as running:
        assert shell.states()["orphan"] == "RUNNING"
        running.kill()
    until(shell.is_empty, "the ledger should be empty")
    assert shell.states()["orphan"] == "STOPPED"


def test_of_two_with_the_same_name_exactly_one_wins(shell: Shell) -> None:
    words = ("run", "--name", "only", "busybox", "sleep", "1.5")
    both = [shell.begin(*words), shell.begin(*words)]
    ends = [(*running.communicate(timeout=60), running.returncode) for running in both]
    assert sorted(code for _, _, code in ends) == [0, 125]
    loser = next(stderr for _, stderr, code in ends if code)
    assert b"a container called 'only' is running" in loser
