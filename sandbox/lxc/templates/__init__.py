"""Templates: what lxc-create -t fills a new container with. `ls` this folder: each file is one, and one put here is one more.

A template is a module:

    PURPOSE = "…"                          one line, for people who choose
    def arguments(parser): …               its own options, those after "--" in lxc-create -t NAME … -- OPTIONS
    def make(home, asked, tell): …         what a container of it begins with; tell(text) says what goes on

What all containers of a template have in common is a layer: a folder on the shelf, made once. A container gets a copy of it,
or with -B overlay sees it through its own. What each has for itself (name, password) is put in by `create`.
"""

import importlib
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from ...errors import NotFound
from ...store import Home
from ..commands.parser import Parser

#: Says one line to whoever waits.
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """`layer` is the folder that the root file system begins as, `config` are lines for the config file."""

    layer: str
    config: tuple[str, ...]
    passwd: str = "passwd"  # what gives root another password in a chroot, or ""


class Template(Protocol):
    """What every module here has."""

    PURPOSE: str

    def arguments(self, parser: ArgumentParser) -> None: ...

    def make(self, home: Home, asked: Namespace, tell: Tell) -> Made: ...


def names() -> tuple[str, ...]:
    """Of all templates, sorted."""
    files = os.listdir(os.path.dirname(__file__))
    return tuple(sorted(name.removesuffix(".py") for name in files if name.endswith(".py") and name[0] != "_"))


def get(name: str) -> Template:
    """The template of that name. Raises NotFound."""
    if name not in names():
        raise NotFound(f'Template "{name}" not found', cure=f"there are: {', '.join(names())}, and none")
    return cast(Template, importlib.import_module(f".{name}", __name__))


def listing() -> str:
    """All templates with what they are for, one a line."""
    return "".join(f"{name:10} {get(name).PURPOSE}\n" for name in names())


def read(name: str, words: Sequence[str]) -> Namespace:
    """A template's own options; `answer` is the text that --help asks for, or "". Raises NotFound, InvalidOption."""
    template = get(name)
    parser = Parser(f"lxc-create -t {name}", "-n NAME -- [OPTION...]", f"makes {template.PURPOSE}", common=False)
    template.arguments(parser)
    asked = parser.read(words)
    if asked.words:
        parser.refuse(f"{asked.words[0]!r} is no option")
    return asked
