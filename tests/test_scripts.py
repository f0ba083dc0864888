"""A script becomes the arguments that run it."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import InvalidOption
from sandbox.scripts import LONGEST_ARGUMENT, interpreter, script


def test_a_script_is_run_by_the_shell_if_nothing_else_is_said() -> None:
    assert script("echo hi; id") == ("/bin/sh", "-c", "echo hi; id")


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("#!/usr/bin/python3", ("/usr/bin/python3", "-c")),
        ("#!/usr/bin/env python3.12", ("/usr/bin/env", "python3.12", "-c")),
        ("#!/usr/bin/env -S bash -e", ("/usr/bin/env", "bash", "-e", "-c")),
        ("#! /bin/bash -eu", ("/bin/bash", "-eu", "-c")),
        ("#!/bin/busybox sh", ("/bin/busybox", "sh", "-c")),
        ("#!/usr/bin/perl", ("/usr/bin/perl", "-e")),
    ],
)
def test_a_first_line_that_names_an_interpreter_is_respected(first: str, words: tuple[str, ...]) -> None:
    text = f"{first}\nwhatever"
    assert script(text) == (*words, text)


def test_the_option_goes_before_the_first_line() -> None:
    assert script("#!/bin/sh\n1", interpreter("python3 -u")) == ("python3", "-u", "-c", "#!/bin/sh\n1")


@pytest.mark.parametrize("line", ["#!", "#!/usr/bin/env", "#!/usr/bin/awk -f", "#!/bin/rm"])
def test_an_interpreter_that_takes_no_program_as_an_argument_is_refused(line: str) -> None:
    with pytest.raises(InvalidOption, match="is no interpreter"):
        script(f"{line}\n")


def test_the_longest_script_is_the_longest_that_the_kernel_takes() -> None:
    longest = "#" * LONGEST_ARGUMENT
    assert subprocess.run(script(longest)).returncode == 0
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["/bin/sh", "-c", longest + "#"])
    with pytest.raises(InvalidOption, match="put it into a file"):
        script(longest + "#")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_the_text_arrives_as_it_was(text: str) -> None:
    assert script(text, interpreter("bash"))[-1] == text


@pytest.mark.parametrize("text", ["echo \0", "echo \ud800"])
def test_what_no_argument_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="echo"):
        script(text)
