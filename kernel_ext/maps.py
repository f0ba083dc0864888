"""`%namespaces` and `%networks`: the maps of who shares what, and of which cable leads where."""

from typing import TYPE_CHECKING

from IPython.display import display

import sandbox
from sandbox import InvalidOption

from .parser import Parser

if TYPE_CHECKING:
    from .container_magic import Session


def namespaces(session: "Session", line: str) -> None:
    """Who is in which namespaces: `%namespaces` of all, `%namespaces NAME … --pid N` of these containers and processes."""
    parser = Parser(
        "%namespaces",
        "The namespaces of the host, of all containers and of whoever else has some of his own; with NAME or --pid of these\n"
        "alone, beside the host's. Any process may be asked for, also Docker's or LXC's.",
    )
    parser.usage = "%namespaces [NAME …] [--pid N]"
    parser.add_argument("--pid", type=int, action="append", metavar="N", help="a process, of whomever; repeatable")
    found, names = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    display(sandbox.namespaces(*names, pid=found.pid))  # type: ignore[no-untyped-call]


def networks(session: "Session", line: str) -> None:
    """Bridges, cables, containers, addresses, rules, and counters that move: `%networks`."""
    parser = Parser("%networks", "The networks of this machine's containers, as they are plugged together right now.")
    parser.usage = "%networks"
    found, words = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    if words:
        raise InvalidOption(f"%networks takes no name, and this is one: {words[0]}", cure="it shows all networks")
    display(sandbox.network_map())  # type: ignore[no-untyped-call]
