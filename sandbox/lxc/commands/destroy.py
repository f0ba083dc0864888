"""lxc-destroy(1)."""

import argparse

from .. import destroying
from . import Terminal

PURPOSE = "destroys a container with the identifier NAME"
USAGE = "--name=NAME [-f] [-P lxcpath]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-s and -f."""
    parser.add_argument("-s", "--snapshots", action="store_true", help="destroy including all snapshots (and overlay clones)")
    parser.add_argument("-f", "--force", action="store_true", help="stop and destroy the container if it's still running")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Destroy it, and say nothing, as LXC does."""
    destroying.destroy(asked.home, asked.name, force=asked.force, snapshots=asked.snapshots)
    return 0
