"""lxc-create(1)."""

import argparse

from ...errors import InvalidOption
from .. import create, templates
from . import Terminal

PURPOSE = "creates a container"
USAGE = "--name=NAME --template=TEMPLATE [OPTION...] [-- template-options]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-f, -t, -B and --dir; what LXC has for volumes is refused by name."""
    parser.add_argument("-f", "--config", metavar="CONFIG", default="", help="Initial configuration file")
    what = f"Template to use to setup container (none: only a config)\n{templates.listing().rstrip()}"
    parser.add_argument("-t", "--template", metavar="TEMPLATE", help=what)
    parser.add_argument("-B", "--bdev", metavar="BDEV", default="dir", help="Backing store type to use: dir, overlay or best")
    parser.add_argument("--dir", metavar="DIR", default="", help="Place rootfs directory under DIR")


def more_help(asked: argparse.Namespace) -> str:
    """The help of a template that is named beside --help."""
    answer = templates.read(asked.template, ["--help"]).answer if asked.template else ""
    return f"\n\n{answer}" if answer else ""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Make it, and tell what goes on."""
    if not asked.template:
        cure = f'there are: {", ".join(templates.names())}; use "none" if you really want a container without a rootfs'
        raise InvalidOption("A template must be specified", cure=cure)
    create.create(asked.home, asked.name, asked.template, asked.words, backing=asked.bdev, config_file=asked.config,
                  progress=(lambda line: None) if asked.quiet else print)  # fmt: skip
    return 0
