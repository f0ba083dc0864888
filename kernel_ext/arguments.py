"""The line of `%%container`: the options that all doors share, and those that only a cell has."""

from dataclasses import dataclass, field
from typing import Any

from sandbox import InvalidOption, options, values

from .parser import Parser
from .streaming import OUTPUT_LIMIT

#: The shared options that make no sense here: a cell has no keyboard.
NOT_HERE = ("tty",)


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
    timeline: bool = False
    check: bool = False
    step: bool = False
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
    options.add_arguments(parser, [option.name for option in options.OPTIONS if option.name not in NOT_HERE])
    cell = parser.add_argument_group("the cell")
    cell.add_argument("--in", dest="inside", metavar="NAME", help="run it in this container, which runs already")
    cell.add_argument("--stdin", metavar="VAR", help="what it reads: a Python variable, text or bytes")
    cell.add_argument("--out", metavar="VAR", help="put the Result (or the plan, or the handle) into a variable")
    cell.add_argument("--check", action="store_true", help="the cell fails where the script does")
    cell.add_argument("--output-limit", dest="limit", metavar="SIZE", help="how much output the cell shows (default 1m)")
    cell.add_argument("--plan", action="store_true", help="print the plan, and run nothing")
    cell.add_argument("--step", action="store_true", help="make it step by step: the step debugger, which waits for nobody")
    cell.add_argument("--trace", action="store_true", help="print the steps that were made, with their times")
    cell.add_argument("--calls", action="store_true", help="the same, with the system calls of each step")
    cell.add_argument("--timeline", action="store_true", help="draw the steps to scale; with --calls, the calls in them")
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
    shared = options.given(found)
    asked = Asked(
        image=words[0] if words else Asked.image,
        keep=shared.pop("keep", False),
        detach=shared.pop("detach", False),
        options=shared,
        inside=found.inside,
        stdin=found.stdin,
        out=found.out,
        limit=OUTPUT_LIMIT if found.limit is None else values.size(found.limit),
        without=tuple(found.without or ()),
        plan=found.plan,
        trace=found.trace,
        calls=found.calls,
        timeline=found.timeline,
        check=found.check,
        step=found.step,
        help=found.help,
    )
    _refuse_contradictions(asked, bool(words))
    return asked


def _refuse_contradictions(asked: Asked, image: bool) -> None:
    others = {
        "an image": image, "--keep": asked.keep, "--bg": asked.detach, "--plan": asked.plan, "--without": bool(asked.without)
    }  # fmt: skip
    for other, is_given in others.items():
        if asked.inside is not None and is_given:
            raise InvalidOption(f"--in and {other} exclude each other", condition=f"{asked.inside} runs already")
    if asked.step:
        shows, waits = "the step debugger shows that itself", "the step debugger waits for whoever steps"
        reasons = {
            "--in": (asked.inside is not None, "the step debugger makes a container, and that one is made already", ""),
            "--bg": (asked.detach, waits, "its picture needs no running cell"),
            "--keep": (asked.keep, "reset undoes all that was made", "leave --step out to keep it"),
            "--plan": (asked.plan, shows, "print(stepper) is the plan"),
            "--trace": (asked.trace, shows, "print(stepper.run().trace)"),
            "--calls": (asked.calls, shows, "print(stepper.run().trace)"),
            "--without": (
                bool(asked.without),
                "there it is chosen while one steps",
                f's.skip("{"".join(asked.without[:1])}")',
            ),
            "--stdin": (
                asked.stdin is not None,
                "a program that is stepped to reads nothing",
                "write its input into the script",
            ),
            "--check": (asked.check, "the cell ends before the program begins", "look at stepper.run().exit_code"),
        }
        for other, (is_given, why, cure) in reasons.items():
            if is_given:
                raise InvalidOption(f"--step and {other} exclude each other", condition=why, cure=cure)
    if asked.detach:
        for name, is_given in (("--stdin", asked.stdin is not None), ("--check", asked.check)):
            if is_given:
                raise InvalidOption(f"--bg and {name} exclude each other", condition="nobody waits for it")


def help_text() -> str:
    """All options, as a table."""
    return _parser().format_help()
