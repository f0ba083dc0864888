"""Addresses for passing containers: $SANDBOX_HOME/cache/leases-NAME.json, which may be lost without harm.

Each in its turn: so that who was just talked to is not soon somebody else. Whether a container still runs, the ledger says;
one that is not there yet has a few seconds.
"""

import os
import time
from contextlib import suppress
from typing import Any

from .. import disk
from ..store import Home

#: Seconds from the lease to the start.
_YOUNG = 10.0
#: More than so many are not remembered without need.
_MANY = 512


def take(home: Home, network: str, container: str, numbers: range, kept: set[int]) -> int:
    """A number of these for a container that is about to start; 0: all are taken."""
    data, now = _read(home, network), time.time()
    entry = f"{home.ledger}/{container}"
    taken = {number: lease for number, lease in data["taken"].items() if lease[0] != entry}
    if len(taken) > _MANY:
        taken = {number: lease for number, lease in taken.items() if _is_live(lease, now, _YOUNG)}
    turn = max(data["next"] - numbers.start, 0) % len(numbers)
    for patience in (_YOUNG, 0.0):  # when all are taken, no longer for those that have not begun
        for number in (*numbers[turn:], *numbers[:turn]):
            if number not in kept and not _is_live(taken.get(str(number), ("", 0.0)), now, patience):
                taken[str(number)] = (entry, now)
                disk.write_json(_path(home, network), {"next": number + 1, "taken": taken}, durable=False)
                return int(number)
    return 0


def running(home: Home, network: str) -> dict[str, int]:
    """The containers that run with a lease, and the number that each has."""
    leases = _read(home, network)["taken"].items()
    return {os.path.basename(entry): int(number) for number, (entry, _) in leases if os.path.exists(entry)}


def forget(home: Home, network: str) -> None:
    """The network goes."""
    with suppress(FileNotFoundError):
        os.unlink(_path(home, network))


def _is_live(lease: tuple[str, float], now: float, patience: float) -> bool:
    entry, since = lease
    return bool(entry) and (now - since < patience or os.path.exists(entry))


def _read(home: Home, network: str) -> dict[str, Any]:
    try:
        data = disk.read_json(_path(home, network))
        return {"next": int(data["next"]), "taken": dict(data["taken"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {"next": 0, "taken": {}}


def _path(home: Home, network: str) -> str:
    return f"{home.cache}/leases-{network}.json"
