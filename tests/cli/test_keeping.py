"""The life of a container in the background, command by command."""

import json
import time

import pytest

from tests.shell import Shell, until

pytestmark = pytest.mark.needs_userns


def test_a_detached_container_outlives_the_command_and_can_be_worked_with(shell: Shell) -> None:
    assert shell.text("run", "-d", "--name", "bg", "busybox", "sh", "-c", "echo begun; sleep 100; true") == "bg"
    assert shell.states() == {"bg": "RUNNING"}
    assert "bg" in shell.text("ps").splitlines()[1]
    assert shell.text("ps", "-q") == "bg"
    assert shell.text("exec", "bg", "sh", "-c", "cat /proc/1/comm") == "sh"
    assert shell.run("exec", "bg", "sh", "-c", "exit 4").returncode == 4
    assert shell.run("exec", "bg", "no-such-program").returncode == 127
    assert shell.run("exec", "-i", "-e", "A=b", "bg", "sh", "-c", "cat; echo $A", stdin=b"in ").stdout == b"in b\n"
    assert "pid:" in shell.text("info", "bg")
    assert json.loads(shell.text("ledger", "--json"))[0]["name"] == "bg"
    assert "to be undone" in shell.text("ledger")
    done = shell.run("rm", "bg")
    assert done.returncode == 1
    assert b"is running" in done.stderr
    assert shell.text("stop", "-t", "0", "bg") == "bg"
    assert shell.is_empty()
    assert shell.text("logs", "bg") == "begun"
    assert shell.text("wait", "bg") == "137"
    assert shell.text("ps", "-q") == ""
    assert shell.run("exec", "bg", "true").returncode == 125


def test_a_created_container_is_started_again_with_what_it_wrote(shell: Shell) -> None:
    script = "cat /kept; echo $$ >> /kept; exit 6"
    assert shell.text("create", "--name", "box", "busybox", "sh", "-c", script) == "box"
    assert shell.states() == {"box": "STOPPED"}
    assert "created" in shell.text("ps", "-a")
    first, second = shell.run("start", "-a", "box"), shell.run("start", "-a", "box")
    assert (first.returncode, first.stdout) == (6, b"")
    assert (second.returncode, second.stdout) == (6, b"1\n")
    assert "exited (6)" in shell.text("ps", "-a")
    assert shell.text("rm", "box") == "box"
    assert shell.run("start", "box").returncode == 1


def test_names_that_are_not_there_are_told_and_the_others_are_done(shell: Shell) -> None:
    shell.text("create", "--name", "there", "busybox")
    done = shell.run("rm", "nobody", "there")
    assert (done.returncode, done.stdout) == (1, b"there\n")
    assert b"no container called 'nobody'" in done.stderr
    for word in ("stop", "logs", "info", "wait", "freeze"):
        assert shell.run(word, "nobody").returncode == 1


@pytest.mark.needs_cgroup("freezer")
def test_a_frozen_container_stands_still_until_it_may_go_on(shell: Shell) -> None:
    shell.text("run", "-d", "--name", "ice", "busybox", "sh", "-c", "while sleep 0.02; do echo; done")
    for freeze, unfreeze in (("freeze", "unfreeze"), ("pause", "unpause")):
        shell.text(freeze, "ice")
        assert shell.states() == {"ice": "FROZEN"}
        before = shell.run("logs", "ice").stdout
        assert shell.run("logs", "ice").stdout == before
        shell.text(unfreeze, "ice")
        until(lambda before=before: len(shell.run("logs", "ice").stdout) > len(before), "it should write again")
    shell.text("freeze", "ice")
    begun = time.monotonic()
    shell.text("kill", "ice")
    assert time.monotonic() - begun < 20
    assert shell.is_empty()


def test_kill_sends_any_signal(shell: Shell) -> None:
    script = "trap 'echo hup; exit 5' HUP; echo ready; while :; do sleep 0.05; done"
    shell.text("run", "-d", "--name", "sig", "busybox", "sh", "-c", script)
    until(lambda: shell.text("logs", "sig") == "ready", "it should be ready")
    shell.text("kill", "-s", "SIGHUP", "sig")
    assert shell.text("wait", "sig") == "5"
    assert shell.run("kill", "-s", "NONSENSE", "sig").returncode == 1


def test_an_ordinary_user_runs_and_execs(user: Shell) -> None:
    done = user.run("run", "busybox", "id", "-u")  # limits that can't be had are told on standard error
    assert (done.returncode, done.stdout) == (0, b"0\n")
    assert user.run("run", "busybox", "no-such-program").returncode == 127
    assert user.run("run", "-d", "--name", "mine", "busybox", "sleep", "100").stdout == b"mine\n"
    assert user.run("exec", "mine", "sh", "-c", "echo $$ > /file; id -u").stdout == b"0\n"
    assert user.run("exec", "-i", "mine", "sh", "-c", "test -s /file && cat; exit 40", stdin=b"in").returncode == 40
    assert user.states()["mine"] == "RUNNING"
    assert user.run("stop", "-t", "0", "mine").stdout == b"mine\n"
