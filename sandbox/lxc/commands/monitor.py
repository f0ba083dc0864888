"""lxc-monitor(1)."""

import argparse
import contextlib
import re
from typing import Any

from ... import home
from ...errors import InvalidOption
from ...states import AGAIN, Change, Watcher
from . import Terminal

PURPOSE = "monitors the state of the NAME container"
USAGE = "[--name=NAME]"
NAMED = "optional"


class _More(argparse.Action):
    """-P may be given more than once."""

    def __call__(self, parser: argparse.ArgumentParser, asked: argparse.Namespace, value: Any, option: str | None = None
                 ) -> None:  # fmt: skip
        asked.lxcpath, asked.paths = value, [*(getattr(asked, "paths", None) or []), value]


def arguments(parser: argparse.ArgumentParser) -> None:
    """-Q, and more than one -P."""
    parser.add_argument("-Q", "--quit", action="store_true", help="nothing: no daemon has to be told to quit")
    parser.add_argument("-P", "--lxcpath", action=_More, metavar="PATH", help="use the containers in PATH, too")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Print a line for every change, until ^C."""
    if asked.quit:
        return 0
    try:
        wanted = re.compile(asked.name or ".*")
    except re.error as error:
        raise InvalidOption(f"Failed to compile the regex {asked.name!r}", condition=str(error), cure="see regex(7)") from None
    homes = [home.at(path) for path in getattr(asked, "paths", [])] or [asked.home]
    with contextlib.ExitStack() as opened:
        watchers = [opened.enter_context(Watcher(each, lambda name: bool(wanted.fullmatch(name)))) for each in homes]
        while True:
            for watcher in watchers:  # several take turns
                for change in watcher.poll(AGAIN if len(watchers) > 1 else None):
                    tell(change)


def tell(change: Change) -> None:
    """One change, in LXC's words."""
    if change.exit_code is not None:
        print(f"'{change.name}' exited with status [{change.exit_code}]")
    print(f"'{change.name}' changed state to [{change.state}]", flush=True)
