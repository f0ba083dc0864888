"""lxc-unfreeze(1)."""

import argparse

from ...container import Container
from . import Terminal

PURPOSE = "unfreezes a container with the identifier NAME"
USAGE = "--name=NAME"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Let it go on. One that is not frozen goes on anyway."""
    Container(asked.name, asked.home).unfreeze()
    return 0
