"""lxc-create(1)."""

import argparse
import os
import shutil
from collections.abc import Callable

from ...errors import InvalidOption, NotPossibleHere
from ...spec import DEFAULT_NETWORK
from ...store import Home
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
    parser.add_argument("--dir", metavar="DIR", default="", help="(refused: use -P, which keeps others out of the folder)")


def default_config(home: Home) -> str:
    """The file that a new container's config begins with, if there is one: LXC's default.conf. lxc.system.conf(5)"""
    return f"{home.path}/default.conf"


def default_network(tell: Callable[[str], None]) -> str:
    """What a new container is connected to where nothing else is said: $SANDBOX_NETWORK, or our own network; "" for nothing.

    Where this machine can't do that, it is told, and the container has only its loopback.
    """
    chosen = os.environ.get("SANDBOX_NETWORK", DEFAULT_NETWORK)
    if chosen == "none":
        return ""
    why = "only root can make a bridge" if os.geteuid() else "" if shutil.which("nft") else "apt-get install nftables"
    if why:
        tell(f"No network, only loopback: {why} ...")
    return "" if why else chosen


def more_help(asked: argparse.Namespace) -> str:
    """The help of a template that is named beside --help."""
    answer = templates.read(asked.template, ["--help"]).answer if asked.template else ""
    return f"\n\n{answer}" if answer else ""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Make it, and tell what goes on."""
    if not asked.template:
        cure = f'there are: {", ".join(templates.names())}; use "none" if you really want a container without a rootfs'
        raise InvalidOption("A template must be specified", cure=cure)
    if asked.dir:
        raise NotPossibleHere(
            "a root does not lie outside the folders of containers",
            condition="what a container's root makes set-uid there is the host root's, and only these are closed to others",
            cure=f"lxc-create -P {asked.dir} keeps the whole container there",
        )
    tell: Callable[[str], None] = (lambda line: None) if asked.quiet else print
    default = default_config(asked.home)
    create.create(asked.home, asked.name, asked.template, asked.words, backing=asked.bdev,
                  config_file=asked.config or (default if os.path.exists(default) else ""),
                  network=default_network(tell), progress=tell)  # fmt: skip
    return 0
