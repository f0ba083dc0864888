"""lxc-wait(1)."""

import argparse
import time

from ...errors import InvalidOption
from ...states import STATES, Watcher
from . import Terminal

PURPOSE = "waits for NAME container state to reach STATE"
USAGE = "--name=NAME --state=STATE"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-s and -t."""
    shown = f"ORed states to wait for\n{', '.join(STATES[:4])},\n{', '.join(STATES[4:])}"
    parser.add_argument("-s", "--state", metavar="STATE", help=shown)
    parser.add_argument("-t", "--timeout", metavar="TMO", type=int, help="Seconds to wait for state changes; 0: only look")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Wait; 0 once it is in such a state (a container that there is not is STOPPED), 1 when the time is over."""
    if not asked.state:
        raise InvalidOption("missing state option to wait for", cure="lxc-wait -n NAME -s 'RUNNING|STOPPED'")
    states = asked.state.split("|")
    for state in states:
        if state not in STATES:
            raise InvalidOption(f"invalid state {state!r}", cure=f"one of {' '.join(STATES)}, or several with | between them")
    limited = asked.timeout is not None and asked.timeout >= 0
    end = time.monotonic() + (asked.timeout if limited else 0)
    with Watcher(asked.home, asked.name.__eq__) as watcher:
        if watcher.states.get(asked.name, "STOPPED") in states:
            return 0
        while not limited or time.monotonic() < end:
            changes = watcher.poll(end - time.monotonic() if limited else None)
            if any(change.state in states for change in changes):
                return 0
    return 1
