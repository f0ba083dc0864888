"""lxc-stop(1)."""

import argparse
import sys
import time

from ...container import Container
from ...errors import InvalidOption, NotFound
from . import Terminal, complain

PURPOSE = "stops a container with the identifier NAME"
USAGE = "--name=NAME"

#: Seconds that it is given to end by itself, and what that is called: without an end, as LXC has it.
PATIENCE, FOREVER = 60, -1
#: The exit code for a container that is there and does not run.
NOT_RUNNING = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """-r, -W, -t, -k, --nolock and --nokill."""
    parser.add_argument("-r", "--reboot", action="store_true", help="reboot the container")
    parser.add_argument("-W", "--nowait", action="store_true", help="don't wait for shutdown or reboot to complete")
    parser.add_argument("-t", "--timeout", metavar="T", type=int, help=f"wait T seconds before hard-stopping ({PATIENCE})")
    parser.add_argument("-k", "--kill", action="store_true", help="kill container rather than request clean shutdown")
    parser.add_argument("--nolock", action="store_true", help="Avoid using API locks (there is none here that a stop takes)")
    parser.add_argument("--nokill", action="store_true", help="Only request clean shutdown, don't force kill after timeout")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Ask it to halt or to reboot, wait, kill it; or kill it at once."""
    _check(asked)
    found = Container(asked.name, asked.home)
    if found.entry is None:
        complain(
            asked, "is not running" if found.on_shelf else NotFound("there is no such container", cure="lxc-ls lists them")
        )
        return NOT_RUNNING
    timeout = 0 if asked.nowait else PATIENCE if asked.timeout is None else asked.timeout
    if asked.kill:
        found.kill()
        return 0
    if asked.reboot:
        return _reboot(found, timeout, asked.nowait)
    # Never to give up is a year: what waits for an answer has no end in mind either.
    ended = found.stop(
        365 * 86400.0 if timeout == FOREVER else timeout, kill=not (asked.nokill or asked.nowait or timeout == 0)
    )
    return 0 if ended is not None or timeout == 0 else 1


def _check(asked: argparse.Namespace) -> None:
    """Raises InvalidOption for what makes no sense together."""
    for wrong, what in (
        (asked.kill and asked.nokill, "-k can't be used with --nokill"),
        (asked.kill and asked.reboot, "-k can't be used with -r"),
        (asked.kill and asked.timeout, "-k doesn't allow timeouts"),
        (asked.nolock and not asked.kill, "--nolock may only be used with -k"),
        (not asked.kill and (asked.timeout or 0) < FOREVER, "Invalid timeout"),
    ):
        if wrong:
            raise InvalidOption(what, cure="lxc-stop --help")


def _reboot(found: Container, timeout: int, nowait: bool) -> int:
    """Ask for a reboot, and wait until another init runs."""
    before = found.running()["pid"]
    found.reboot()
    end = None if timeout == FOREVER else time.monotonic() + timeout
    while not nowait:
        entry = found.entry
        if entry and entry["pid"] != before:
            return 0
        if end is not None and time.monotonic() >= end:
            print("Reboot did not complete before timeout", file=sys.stderr)
            return 1
        time.sleep(0.05)
    return 0
