"""lxc-clone, the name that lxc-copy had in LXC 1."""

import argparse

from ...errors import InvalidOption
from . import Terminal, copy

PURPOSE = "creates a copy of a container (the old name of lxc-copy)"
USAGE = "[-s] [-B backingstore] [-K] [-M] [-p newlxcpath] -o ORIG -n NEW [-- hook options]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-o and -n, which mean something else elsewhere, and -p, -s, -B, -L, -K, -M and -H."""
    parser.add_argument("-o", "--orig", dest="name", metavar="ORIG", help="NAME of the container that is copied")
    parser.add_argument("-n", "--new", dest="newname", metavar="NEW", default="", help="NAME of the copy")
    parser.add_argument("-p", "--newpath", metavar="NEWPATH", default="", help="NEWPATH for the container to be stored")
    copy.copying_options(parser)
    parser.add_argument("-H", "--copyhooks", action="store_true", help="copy hooks of the container (always so)")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Copy it, and say so, as LXC 1 did."""
    new = asked.newname or (asked.words.pop(0) if asked.words else "")
    if not new:
        raise InvalidOption("You must provide a name for the copy", cure="lxc-clone -o ORIG -n NEW")
    copy.do_copy(asked, new, arguments=asked.words)
    if not asked.quiet:
        print(f"Created container {new} as copy of {asked.name}")
    return 0
