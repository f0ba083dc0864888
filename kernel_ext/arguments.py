"""The line of `%%container`: the options that all doors share, and those that only a cell has."""

import argparse
import difflib
import shlex
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sandbox import InvalidOption, options

#: The shared options that make no sense here: a cell has no keyboard.
NOT_HERE = ("tty",)

OUTPUT_LIMIT = 1 << 20


class Parser(argparse.ArgumentParser):
    """One that raises instead of ending the process, and knows what was meant."""

    def __init__(self, program: str, description: str = "") -> None:
        super().__init__(program, description=description, add_help=False, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
        self.add_argument("-h", "--help", action="store_true", help="show this, and run nothing")

    def error(self, message: str) -> NoReturn:
        raise InvalidOption(f"{self.prog}: {message}", cure=f"`{self.prog} --help` lists the options")

    def parse_line(self, line: str) -> tuple[argparse.Namespace, list[str]]:
        """The options in a line, and the words that belong to none. Raises InvalidOption."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            self.error(f"{str(error).lower()} in {line!r}")
        found, rest = self.parse_known_args(words)
        for word in rest:
            if word.startswith("-"):
                known = [spelling for action in self._actions for spelling in action.option_strings]
                alike = difflib.get_close_matches(word.partition("=")[0], known, 1)
                cure = f"did you mean {alike[0]}?" if alike else f"`{self.prog} --help` lists the options"
                raise InvalidOption(f"{self.prog} has no option {word}", cure=cure)
        return found, rest


@dataclass
class Asked:
    """What a line of `%%container` asks for. `options` are those of `sandbox.spawn`."""

    image: str = "busybox"
    options: dict[str, Any] = field(default_factory=dict)
    inside: str | None = None  # the running container of --in
    stdin: str | None = None
    out: str | None = None
    limit: int = OUTPUT_LIMIT
    without: tuple[str, ...] = ()
    plan: bool = False
    trace: bool = False
    calls: bool = False
    check: bool = False
    keep: bool = False
    detach: bool = False
    help: bool = False


def _parser() -> Parser:
    parser = Parser(
        "%%container",
        "The cell's text is a script. It runs in a new container, made from IMAGE (busybox, if left out), by its /bin/sh,\n"
        'or by what its first line says ("#!/usr/bin/env python3"). {name} and $name in this line are Python variables.',
    )
    parser.usage = "%%container [IMAGE] [options]"
    shared = parser.add_argument_group("the container, as everywhere")
    options.add_arguments(shared, [option.name for option in options.OPTIONS if option.name not in NOT_HERE])
    cell = parser.add_argument_group("the cell")
    cell.add_argument("--in", dest="inside", metavar="NAME", help="run it in this container, which runs already")
    cell.add_argument("--stdin", metavar="VAR", help="what it reads: a Python variable, text or bytes")
    cell.add_argument("--out", metavar="VAR", help="put the Result (or the plan, or the handle) into a variable")
    cell.add_argument("--check", action="store_true", help="the cell fails where the script does")
    cell.add_argument("--output-limit", dest="limit", metavar="SIZE", help="how much output the cell shows (default 1m)")
    cell.add_argument("--plan", action="store_true", help="print the plan, and run nothing")
    cell.add_argument("--trace", action="store_true", help="print the steps that were made, with their times")
    cell.add_argument("--calls", action="store_true", help="the same, with the system calls of each step")
    cell.add_argument("--without", action="append", metavar="STEP", help="leave out a step, and see what breaks; repeatable")
    return parser


def parse(line: str) -> Asked:
    """What the line asks for. Raises InvalidOption."""
    found, words = _parser().parse_line(line)
    if len(words) > 1:
        raise InvalidOption(
            f"%%container takes one image, and these are {len(words)}: {' '.join(words)}",
            cure="the command goes into the cell, below the first line",
        )
    own = {name: value for name, value in vars(found).items() if name not in options.BY_NAME and value is not None}
    shared = options.given(found)
    asked = Asked(*words, options=shared, keep=shared.pop("keep", False), detach=shared.pop("detach", False), **own)
    asked.without = tuple(asked.without)
    if isinstance(asked.limit, str):
        asked.limit = options.BY_NAME["swap"].parse(asked.limit)
    _refuse_contradictions(asked, bool(words))
    return asked


def _refuse_contradictions(asked: Asked, image: bool) -> None:
    others = {
        "an image": image, "--keep": asked.keep, "--bg": asked.detach, "--plan": asked.plan, "--without": bool(asked.without)
    }  # fmt: skip
    for other, is_given in others.items():
        if asked.inside is not None and is_given:
            raise InvalidOption(f"--in and {other} exclude each other", condition=f"{asked.inside} runs already")
    if asked.detach:
        for name, is_given in (("--stdin", asked.stdin is not None), ("--check", asked.check)):
            if is_given:
                raise InvalidOption(f"--bg and {name} exclude each other", condition="nobody waits for it")


def help_text() -> str:
    """All options, as a table."""
    return _parser().format_help()
