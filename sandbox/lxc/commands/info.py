"""lxc-info(1)."""

import argparse
import os
import sys

from ... import lxc_config
from ...container import Container
from ...errors import NotFound
from ...lxc_config.keys import TABLE
from ..info import PARTS, info_text
from . import Terminal

PURPOSE = "display some information about a container with the identifier NAME"
USAGE = "--name=NAME"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-c, -i, -p, -S, -s and -H."""
    parser.add_argument("-c", "--config", metavar="KEY", action="append", help="show configuration variable KEY")
    for option, part, what in (("-i", "ips", "the IP addresses"), ("-p", "pid", "the process id of the init container"),
                               ("-S", "stats", "usage stats"), ("-s", "state", "the state of the container")):  # fmt: skip
        parser.add_argument(option, f"--{part}", dest="parts", action="append_const", const=part, help=f"shows {what}")
    parser.add_argument("-H", "--no-humanize", action="store_true", help="shows stats as raw numbers, not humanized")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """What is asked for, in the order of the man page; without any such option, everything."""
    container = Container(asked.name, asked.home)
    last = asked.home.last_record(asked.name)
    if last and last["spec"].get("system") and not container.on_shelf and container.entry is None:
        raise NotFound("there is no such container", condition="it was destroyed", cure="lxc-ls lists those that there are")
    found = container.info()
    parts = [part for part in PARTS if part in (asked.parts or ())]
    keys = asked.config or []
    bare = asked.no_humanize and len(parts) + len(keys) == 1
    if parts or not keys:
        print(info_text(found, parts, humanize=not asked.no_humanize), end="")
    path = f"{asked.home.folder(asked.name)}/config"
    config = lxc_config.Config.read(path) if keys and os.path.exists(path) else lxc_config.Config()
    for key in keys:
        value = "\n".join(config.all(key))
        if not value and key not in TABLE:
            print(f"{key} invalid", file=sys.stderr)
        else:
            print(value if bare else f"{key} = {value}")
    return 0
