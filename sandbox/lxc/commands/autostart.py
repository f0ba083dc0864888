"""lxc-autostart(1)."""

import argparse
import os
import time
from typing import NamedTuple

from ... import lxc_config
from ...container import Container
from ...errors import SandboxError
from . import Terminal, complain

PURPOSE = "managed auto-started containers"
USAGE = ""
NAMED = False


class Candidate(NamedTuple):
    """A container that is looked at, and what its configuration says of autostart."""

    container: Container
    wish: lxc_config.Autostart


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which."""
    parser.add_argument("-k", "--kill", action="store_true", help="kill the containers instead of starting them")
    parser.add_argument("-L", "--list", action="store_true", help="list all affected containers and wait delay")
    parser.add_argument("-r", "--reboot", action="store_true", help="reboot the containers instead of starting them")
    parser.add_argument("-s", "--shutdown", action="store_true", help="shutdown the containers instead of starting them")
    parser.add_argument("-a", "--all", action="store_true", help="list all auto-started containers (ignore groups)")
    what = "ignore lxc.start.auto and select all matching containers"
    parser.add_argument("-A", "--ignore-auto", action="store_true", help=what)
    what = 'list of groups (comma separated) to select;\n"" is that of the containers without a group'
    parser.add_argument("-g", "--groups", action="append", help=what)
    parser.add_argument("-t", "--timeout", metavar="T", type=int, default=60, help="wait T seconds before hard-stopping")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Do it to each in its order; 0, or 2 if it failed for some, and 1 if for all that there are, be it none."""
    chosen = select(candidates(asked), asked.groups, asked.all)
    ending = asked.kill or asked.shutdown
    failed, pause = 0, 0
    for container, wish in reversed(chosen) if ending else chosen:
        if (container.entry is None) == (ending or asked.reboot):
            continue  # it is as it should be
        if asked.list:
            print(container.name if ending else f"{container.name} {wish.delay}", flush=True)
            continue
        time.sleep(pause)
        try:
            _do(container, asked)
            pause = 0 if ending else wish.delay
        except SandboxError as error:
            asked.name = container.name
            complain(asked, error)
            failed += 1
    return 1 if failed == len(asked.home.names()) else 2 if failed else 0


def candidates(asked: argparse.Namespace) -> list[Candidate]:
    """The containers that are started by themselves (with -A, all), in their order."""
    found = []
    for name in asked.home.names():
        path = f"{asked.home.folder(name)}/config"
        try:
            wish = lxc_config.autostart(lxc_config.Config.read(path)) if os.path.exists(path) else lxc_config.Autostart()
        except SandboxError as error:  # its start would fail; that of the others need not
            complain(asked, error)
            continue
        if wish.auto or asked.ignore_auto:
            found.append(Candidate(Container(name, asked.home), wish))
    return sorted(found, key=lambda each: (each.wish.order, each.container.name))


def select(found: list[Candidate], groups: list[str] | None, all: bool) -> list[Candidate]:
    """Those of these groups, group by group; without any, those that are in no group."""
    if all:
        return found
    wanted = dict.fromkeys(",".join(groups or [""]).split(","))
    chosen = (each for group in wanted for each in found if group in (each.wish.groups or ("",)))
    return list(dict.fromkeys(chosen))


def _do(container: Container, asked: argparse.Namespace) -> None:
    if asked.shutdown:
        container.stop(asked.timeout)
    elif asked.kill:
        container.kill()
    elif asked.reboot:
        container.reboot()
    else:
        container.start()
