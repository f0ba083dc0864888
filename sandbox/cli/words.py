"""What the commands are made of: their list, the arguments that several take, and how they speak."""

import argparse
import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import KernelRefused, SandboxError, plain

if TYPE_CHECKING:
    from ..container import Container

#: What `docker run` returns when the program did not: we failed, it can't be run, there is none.
OURS, CANNOT_RUN, NO_PROGRAM = 125, 126, 127

Argument = tuple[tuple[str, ...], dict[str, Any]]
Action = Callable[[argparse.Namespace], int]
Choice = Callable[[set[str]], set[str]]


@dataclass(frozen=True)
class Command:
    """What one word does, a line about it, its own arguments, and what it takes from the vocabulary of `options`."""

    do: Action
    help: str
    arguments: tuple[Argument, ...]
    options: Choice | None


#: Every command by its name, in the order of the modules that fill it.
COMMANDS: dict[str, Command] = {}


def command(help: str, *arguments: Argument, options: Choice | None = None) -> Callable[[Action], Action]:
    """Make `do_NAME` the command NAME."""

    def register(do: Action) -> Action:
        COMMANDS[do.__name__.removeprefix("do_")] = Command(do, help, arguments, options)
        return do

    return register


def arg(*names: str, **settings: Any) -> Argument:
    """An argument, in argparse's words."""
    return names, settings


def flag(*names: str, help: str) -> Argument:
    """An argument that is there or not."""
    return names, {"action": "store_true", "help": help}


NAME = arg("name", metavar="NAME", help="the container")
NAMES = arg("names", nargs="+", metavar="NAME", help="the containers")
JSON = flag("--json", help="for scripts")


def get(name: str) -> "Container":
    """The container of that name. Raises NotFound."""
    from ..container import Container

    return Container.get(name)


def each(names: list[str], do: Callable[["Container"], object]) -> int:
    """Do it to each container, and print its name; what fails is told, and the others are done all the same."""
    code = 0
    for name in names:
        try:
            do(get(name))
            print(name)
        except SandboxError as error:
            complain(error)
            code = 1
    return code


def complain(error: SandboxError) -> int:
    """Say what went wrong, once; returns the exit code for it."""
    note(str(error))
    if isinstance(error, KernelRefused) and error.step == "Exec":
        return NO_PROGRAM if error.errno in (errno.ENOENT, errno.ENOTDIR) else CANNOT_RUN
    return OURS


def note(text: str) -> None:
    """Say something beside the output."""
    print(f"sandbox: {plain(text)}", file=sys.stderr)
