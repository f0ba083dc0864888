"""lxc-checkconfig(1)."""

import argparse
import os

from .. import checkconfig
from . import Terminal

PURPOSE = "shows what this machine allows: LXC's report, then what can be done here"
USAGE = ""
COMMON = False


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Print the report."""
    print(checkconfig.report(color=not io.notebook and os.isatty(1)), end="")
    return 0
