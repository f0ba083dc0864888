"""lxc-snapshot(1)."""

import argparse

from ...errors import InvalidOption
from .. import snapshots
from . import Terminal

PURPOSE = "snapshots a container"
USAGE = "--name=NAME [-P lxcpath] [-L [-C]] [-c commentfile] [-r snapname [-N newname]]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-L, -r, -N, -d, -c and -C."""
    parser.add_argument("-L", "--list", action="store_true", help="list all snapshots")
    parser.add_argument("-r", "--restore", metavar="NAME", help="restore snapshot NAME, e.g. 'snap0'")
    parser.add_argument("-N", "--newname", metavar="NEWNAME", default="", help="NEWNAME for the restored container")
    parser.add_argument("-d", "--destroy", metavar="NAME",
                        help="destroy snapshot NAME, e.g. 'snap0'\nuse ALL to destroy all snapshots")  # fmt: skip
    parser.add_argument("-c", "--comment", metavar="FILE", default="", help="add FILE as a comment")
    parser.add_argument("-C", "--showcomments", action="store_true", help="show snapshot comments")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Take one; or list, restore, destroy them."""
    if asked.destroy:
        snapshots.destroy(asked.home, asked.name, asked.destroy)
    elif asked.restore:
        if len(asked.words) > (0 if asked.newname else 1):
            raise InvalidOption("Too many arguments", cure="lxc-snapshot --help")
        new = asked.newname or (asked.words[0] if asked.words else "")
        snapshots.restore(asked.home, asked.name, asked.restore, new)
    elif asked.list:
        found = snapshots.listed(asked.home, asked.name)
        for each in found:
            print(f"{each.name} ({each.place}) {each.taken}")
            if asked.showcomments:
                print(each.comment, end="")
        if not found:
            print("No snapshots")
    else:
        snapshots.take(asked.home, asked.name, asked.comment)
    return 0
