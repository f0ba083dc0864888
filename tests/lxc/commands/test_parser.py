"""LXC's words are read as getopt_long(3) reads them, and help looks like LXC's."""

import pytest

from sandbox.errors import InvalidOption
from sandbox.lxc.commands.parser import Parser


@pytest.fixture
def parser() -> Parser:
    made = Parser("lxc-try", "--name=NAME", "tries out")
    made.add_argument("-s", "--state", action="store_true", help="the state\nof it")
    made.add_argument("-S", "--stats", action="store_true", help="what it used")
    made.add_argument("-t", "--timeout", type=int, metavar="T", help="seconds")
    made.add_argument("-v", "--set-var", action="append", default=[], help="a variable")
    made.add_argument("-e", "--elevated", nargs="?", const="ALL", help="more rights")
    made.add_argument("--kind", choices=("a", "b"), help="one of two")
    return made


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-n", "box"], {"name": "box", "words": []}),
        (["-nbox", "-sS"], {"name": "box", "state": True, "stats": True}),
        (["--name=box"], {"name": "box"}),
        (["--name", "box", "--tim=5"], {"name": "box", "timeout": 5}),
        (["-st", "-7"], {"state": True, "timeout": -7}),
        (["box", "-s", "other", "--", "-S", "--"], {"state": True, "stats": False, "words": ["box", "other", "-S", "--"]}),
        (["-v", "--", "-v", "-s"], {"set_var": ["--", "-s"], "state": False}),
        (["-e", "box"], {"elevated": "ALL", "words": ["box"]}),
        (["-eCAP", "-"], {"elevated": "CAP", "words": ["-"]}),
        (["--elevated=CAP"], {"elevated": "CAP"}),
        (["--kind", "b", "-q"], {"kind": "b", "quiet": True}),
        ([], {"name": None, "timeout": None, "set_var": [], "answer": "", "words": []}),
    ],
)
def test_words_are_read_as_getopt_reads_them(parser: Parser, words: list[str], expected: dict[str, object]) -> None:
    found = vars(parser.read(words))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-x"], "invalid option -- 'x'"),
        (["-sx"], "invalid option -- 'x'"),
        (["--nosuch"], "unrecognized option '--nosuch'"),
        (["--st"], "option '--st' is ambiguous; possibilities: --state --stats"),
        (["--state=1"], "option '--state' doesn't allow an argument"),
        (["-t"], "option requires an argument -- 't'"),
        (["-t", "soon"], "invalid value 'soon' for option '-t'"),
        (["--kind=c"], "option '--kind' takes a, b, not 'c'"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_getopts_words(parser: Parser, words: list[str], told: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        parser.read(words)
    assert refused.value.message == told
    assert refused.value.cure == "lxc-try --help"


def test_help_has_lxcs_layout(parser: Parser) -> None:
    lines = parser.read(["-s", "--help", "--", "x"]).answer.splitlines()
    assert lines[:8] == [
        "Usage: lxc-try --name=NAME",
        "",
        "lxc-try tries out",
        "",
        "Options :",
        "  -s, --state                    the state",
        "                                 of it",
        "  -S, --stats                    what it used",
    ]
    assert "  -e, --elevated[=ELEVATED]      more rights" in lines
    assert lines[lines.index("Common options :") - 1] == ""
    assert "  -P, --lxcpath=PATH             use the containers in PATH" in lines
    assert parser.read(["--version"]).answer == "5.0.2"
    assert parser.read(["--usage"]).answer.startswith("Usage: lxc-try [-o|--logfile=FILE] [-l|--logpriority=LEVEL]")


def test_a_commands_own_option_takes_the_letter_from_the_common_one() -> None:
    parser = Parser("lxc-clone", "", "copies")
    parser.add_argument("-o", "--orig", help="the original")
    found = parser.read(["-o", "box", "--logfile", "file"])
    assert (found.orig, found.logfile) == ("box", "file")
    assert "      --logfile=FILE" in parser.read(["-?"]).answer


def test_some_commands_have_no_common_options() -> None:
    parser = Parser("lxc-unshare", "", "unshares", common=False)
    assert "lxcpath" not in parser.read([])
    assert "logfile" not in parser.read(["-h"]).answer
