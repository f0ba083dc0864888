"""The line of %%container."""

import pytest

from kernel_ext import arguments
from sandbox import InvalidOption, options


def test_an_image_may_stand_anywhere_in_the_line():
    for line in ("host --memory 64m --init", "--memory 64m host --init", "--init --memory=64m host"):
        assert arguments.parse(line).image == "host", line
        assert arguments.parse(line).options == {"memory": "64m", "init": True}


def test_without_an_image_it_is_busybox():
    assert arguments.parse("").image == "busybox"


def test_every_shared_option_is_known_but_a_terminal():
    text = arguments.help_text()
    for option in options.OPTIONS:
        assert all(spelling in text for spelling in option.spellings) == (option.name not in arguments.NOT_HERE), option.name


def test_words_are_cut_as_a_shell_does():
    assert arguments.parse("-e 'A=b c' -e D=e").options == {"env": ["A=b c", "D=e"]}


def test_what_belongs_to_the_cell_is_kept_apart():
    asked = arguments.parse("--keep --stdin a --out b --trace --without Mask --without SetUser --output-limit 2m -m 64m")
    assert asked.options == {"memory": "64m"}
    assert (asked.keep, asked.stdin, asked.out, asked.trace, asked.calls) == (True, "a", "b", True, False)
    assert (asked.without, asked.limit) == (("Mask", "SetUser"), 2 << 20)


def test_bg_and_its_other_spellings_detach():
    for spelling in ("--bg", "-d", "--detach"):
        assert arguments.parse(spelling).detach


@pytest.mark.parametrize(
    ("line", "message", "cure"),
    [
        ("--memroy 64m", "%%container has no option --memroy", "did you mean --memory?"),
        ("--tracing", "%%container has no option --tracing", "did you mean --trace?"),
        ("--xyzzy", "%%container has no option --xyzzy", "--help"),
        ("--memory", "expected one argument", "--help"),
        ("busybox echo hi", "takes one image, and these are 3", "below the first line"),
        ("--hostname 'x", "no closing quotation", "--help"),
        ("--output-limit lots", "'lots' is no size", "64m"),
        ("--in a busybox", "--in and an image exclude each other", ""),
        ("--in a --keep", "--in and --keep exclude each other", ""),
        ("--in a --bg", "--in and --bg exclude each other", ""),
        ("--bg --stdin x", "--bg and --stdin exclude each other", ""),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(line, message, cure):
    with pytest.raises(InvalidOption) as caught:
        arguments.parse(line)
    assert message in caught.value.message
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("line", "why", "cure"),
    [
        ("--without Mask", "chosen while one steps", 's.skip("Mask")'),
        ("--bg", "waits for whoever steps", "no running cell"),
        ("--in a", "is made already", ""),
        ("--stdin x", "reads nothing", "into the script"),
    ],
)
def test_the_step_debugger_says_why_an_option_is_not_for_it(line, why, cure):
    with pytest.raises(InvalidOption, match="--step and") as caught:
        arguments.parse(f"--step {line}")
    assert why in caught.value.condition
    assert cure in caught.value.cure
