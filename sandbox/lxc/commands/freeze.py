"""lxc-freeze(1)."""

import argparse

from ...container import Container
from . import Terminal

PURPOSE = "freezes a container with the identifier NAME"
USAGE = "--name=NAME"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Freeze it. One that is frozen stays so, as with LXC."""
    Container(asked.name, asked.home).freeze()
    return 0
