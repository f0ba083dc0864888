"""lxc-ls(1)."""

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from ... import lxc_config
from ...container import Container
from ...errors import InvalidOption, SandboxError
from ...linux import syscalls
from ...listing import Info, containers
from ...store import Home
from ..info import COLUMNS, FANCY, Row, names_text, table_text
from . import Terminal

PURPOSE = "list containers"
USAGE = """
[-P lxcpath] [--active] [--running] [--frozen] [--stopped] [--nesting] [-g groups] [--filter regex]
[-1] [-P lxcpath] [--active] [--running] [--frozen] [--stopped] [--nesting] [-g groups] [--filter regex]
[-f] [-P lxcpath] [--active] [--running] [--frozen] [--stopped] [--nesting] [-g groups] [--filter regex]"""
NAMED = "optional"

#: What --active and the others let through.
STATES = {"running": ("RUNNING",), "frozen": ("FROZEN",), "stopped": ("STOPPED",), "active": ("RUNNING", "FROZEN")}
#: Where a container has containers of its own, below its root: ours, and LXC's.
NESTED = ("var/lib/container-sandbox/containers", "var/lib/lxc")


def arguments(parser: argparse.ArgumentParser) -> None:
    """-1, -f, -F, --active and the other states, --defined, --nesting, --filter and -g."""
    parser.add_argument("-1", "--line", action="store_true", help="show one entry per line")
    parser.add_argument("-f", "--fancy", action="store_true", help="use a fancy, column-based output")
    columns = ", ".join(COLUMNS)
    parser.add_argument("-F", "--fancy-format", metavar="COLUMNS", default=",".join(FANCY),
                        help=f"with -f: comma separated list of columns, of\n{columns}")  # fmt: skip
    for word in STATES:
        parser.add_argument(f"--{word}", dest="states", action="append_const", const=word, help=f"list only {word} containers")
    parser.add_argument("--defined", action="store_true", help="list only defined containers")
    parser.add_argument("--nesting", metavar="NUM", nargs="?", type=int, const=5, default=0,
                        help="list nested containers up to NUM (default is 5) levels of nesting")  # fmt: skip
    parser.add_argument("--filter", metavar="REGEX", default="", help="filter container names by regular expression")
    parser.add_argument("-g", "--groups", metavar="GROUPS", default="",
                        help="comma separated list of groups a container must have to be displayed")  # fmt: skip


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """List them."""
    columns = [column.strip().upper() for column in asked.fancy_format.split(",")]
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise InvalidOption(f"Invalid key: {unknown[0]}", cure=f"choose of {', '.join(COLUMNS)}")
    try:
        wanted = re.compile(asked.filter)
    except re.error as error:
        raise InvalidOption(f"--filter {asked.filter}: {error}") from None
    states = {state for word in asked.states or STATES for state in STATES[word]}
    groups = {group.strip() for group in asked.groups.split(",") if group.strip()}
    shown = []
    for row in _rows(asked.home, look=asked.fancy and not {"INTERFACE", "IPV4", "IPV6"}.isdisjoint(columns)):
        name = row.info.name
        if row.info.state in states and wanted.search(name) and groups <= set(row.groups) and asked.name in (None, name) \
                and (not asked.defined or os.path.isdir(asked.home.folder(name))):  # fmt: skip
            shown += [row, *_nested(asked.home, row, asked.nesting)]
    if asked.fancy:
        print(table_text(shown, columns), end="")
    else:
        width = os.get_terminal_size(1).columns if os.isatty(1) else 80 if io.notebook else 0
        print(names_text((row.info for row in shown), line=asked.line, width=width), end="")
    return 0


def _rows(home: Home, look: bool) -> Iterator[Row]:
    """All containers; with `look`, also at the network of those that run."""
    for info in containers(home=home):
        row = Row(Container(info.name, home).info() if look and info.pid else info)
        path = f"{home.folder(info.name)}/config"
        with suppress(SandboxError):  # what is wrong with it is told by whoever needs it
            if os.path.exists(path):
                config = lxc_config.Config.read(path)
                start = lxc_config.autostart(config)
                namespaces = lxc_config.spec(config, info.name, home.folder(info.name)).namespaces
                row = Row(row.info, start.auto, start.groups, "user" in namespaces)
        yield row


def _nested(home: Home, row: Row, levels: int) -> Iterator[Row]:
    """The containers in a container, by what lies in its root. Whether they run, only the container itself could tell."""
    with suppress(SandboxError, OSError):
        root = os.open(home.load(row.info.name).root.path, os.O_PATH | os.O_DIRECTORY) if levels > 0 else -1
        yield from _below(root, "STOPPED" if row.info.state == "STOPPED" else "", 1, levels)


def _below(root: int, state: str, depth: int, levels: int) -> Iterator[Row]:
    """Those in a root that is open, which is hostile; closes it."""
    try:
        for place in NESTED if root >= 0 and depth <= levels else ():
            with suppress(OSError):
                folder = syscalls.openat2(root, place, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,62}", name))
                finally:
                    os.close(folder)
                for name in names:
                    yield Row(Info(name, state), depth=depth)
                    inner = syscalls.openat2(root, f"{place}/{name}/rootfs", os.O_PATH | os.O_DIRECTORY)
                    yield from _below(inner, state, depth + 1, levels)
    finally:
        if root >= 0:
            os.close(root)
