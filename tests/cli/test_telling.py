"""logs, ps, images, doctor, ledger, and what help says."""

import json
import time

import pytest

from sandbox.cli import front
from sandbox.errors import InvalidOption
from tests.shell import Shell

pytestmark = pytest.mark.needs_userns


def test_logs_f_shows_all_and_ends_with_the_container(shell: Shell) -> None:
    shell.text("run", "-d", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done; printf end")
    begun = time.monotonic()
    assert shell.text("logs", "-f", "talk").split() == ["1", "2", "3", "end"]
    assert time.monotonic() - begun < 10
    assert shell.text("logs", "-f", "talk").split() == ["1", "2", "3", "end"]


def test_logs_shows_the_last_lines_with_their_times_and_both_streams(shell: Shell) -> None:
    shell.run("run", "--name", "lines", "busybox", "sh", "-c", r"seq 100; printf 'raw\377\n'; sleep 0.1; echo err >&2")
    assert shell.run("logs", "--tail", "3", "lines").stdout == b"100\nraw\xff\n"
    done = shell.run("logs", "-t", "-n", "2", "lines")
    assert done.stdout.endswith(b"Z raw\xff\n")
    assert done.stderr.endswith(b"Z err\n")
    assert done.stdout[:4].isdigit()


def test_help_lists_every_command_and_each_explains_itself(shell: Shell) -> None:
    text = shell.text("--help")
    words = "run exec create start attach ps info logs images doctor ledger stop kill rm freeze unfreeze wait"
    for name in words.split():
        assert f"\n    {name} " in text
        assert name in front.COMMANDS
    assert "--memory" in shell.text("run", "--help")
    assert shell.text("--version").startswith("sandbox ")


def test_an_unknown_word_is_one_message_and_no_traceback(shell: Shell) -> None:
    for words in (["fly"], ["stop"], ["ps", "--fast"]):
        done = shell.run(*words)
        assert done.returncode == 1
        assert done.stderr.startswith(b"sandbox: ")
        assert b"Traceback" not in done.stderr


def test_images_doctor_and_an_empty_ledger_tell_what_there_is(shell: Shell) -> None:
    assert "busybox" in shell.text("images")
    assert {json.loads(line)["name"] for line in shell.text("images", "--json").splitlines()} >= {"busybox", "host"}
    assert "--- Namespaces ---" in shell.text("doctor")
    assert {"kernel", "namespace.user"} <= {finding["key"] for finding in json.loads(shell.text("doctor", "--json"))}
    assert shell.text("ledger") == "nothing is held"
    assert json.loads(shell.text("ledger", "--json")) == []


def test_the_words_of_a_command_are_the_vocabulary_of_options() -> None:
    made = front.parser("run", front.COMMANDS["run"])
    args = made.parse_args(["-it", "-m", "64m", "-e", "A=1", "--share", "net", "--rm", "busybox", "ls", "-l"])
    assert (args.image, args.command, args.memory, args.env, args.tty) == ("busybox", ["ls", "-l"], "64m", ["A=1"], True)
    with pytest.raises(InvalidOption, match="IMAGE"):
        made.parse_args([])
