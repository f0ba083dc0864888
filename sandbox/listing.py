"""What there is: containers that run, rest or have ended, what they use, and what is held for them."""

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from .errors import NotFound
from .home import home as open_home
from .job import explain
from .launcher import client
from .launcher.ledger import SPARE, Ledger, is_alive
from .primitives import cgroups, network
from .spec import Spec
from .store import Home


@dataclass(frozen=True)
class Info:
    """What LXC's lxc-info shows. Times are seconds, sizes bytes; None: there is no such value."""

    name: str
    state: str
    pid: int | None = None
    image: str = ""
    ips: tuple[str, ...] = ()
    cpu_use: float | None = None
    blkio_use: int | None = None
    memory_use: int | None = None
    kmem_use: int | None = None
    pids: int | None = None
    link: str = ""
    tx_bytes: int | None = None
    rx_bytes: int | None = None
    begun: float | None = None  # seconds since the epoch
    exit_code: int | None = None
    reason: str = ""


def directories(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The cgroups of a running container, from its entry in the ledger."""
    return tuple((controller, path) for controller, path in entry["cgroups"])


def info(name: str, entry: dict[str, Any] | None, home: Home, *, linked: bool = True) -> Info:
    """What is known of one container: of a running one from the kernel, of a finished one from its record.

    Without `linked`, its network is not looked at: that is as much work as all the rest.
    """
    if entry is None:
        last = home.last_record(name)
        if last is None and not os.path.isdir(home.folder(name)):
            raise NotFound(f"there is no container called {name!r}")
        return Info(name, "STOPPED", image=home.load(name).image) if last is None else _ended(last)
    places = directories(entry)
    used = cgroups.glance(places)
    links = {link: count for link, count in network.read(entry["pid"]).items() if link != "lo"} if linked else {}
    link = next(iter(links), "")
    rx, tx = links.get(link, (None, None))
    io = None if used.io_read is None else used.io_read + (used.io_written or 0)
    frozen = cgroups.frozen(places)
    return Info(
        name, "FROZEN" if frozen else "RUNNING", entry["pid"], entry["spec"]["image"], (), used.cpu_seconds, io, used.memory,
        used.kernel, used.pids, link, tx, rx, entry["begun"],
    )  # fmt: skip


def _ended(record: dict[str, Any]) -> Info:
    """A finished run, from its record."""
    reason = explain(record, Spec.from_json(record["spec"])) or record.get("error", {}).get("message", "")
    return Info(
        record["name"], "STOPPED", image=record["image"], begun=record["begun"], exit_code=record["exit_code"], reason=reason
    )


def finished() -> list[Info]:
    """The last runs that ended, the newest first; 20 are kept, their files are not."""
    ledger()  # what is ending just now is put away by then
    return [_ended(record) for record in open_home().records()]


def containers(all: bool = True) -> list[Info]:
    """Every container that runs, and with `all` those that rest on the shelf, each with what it uses."""
    home = open_home()
    found = {}
    for entry in Ledger(home.ledger).entries():
        if "in" not in entry and is_alive(entry):
            with contextlib.suppress(OSError):  # it ended while we looked
                found[entry["name"]] = info(entry["name"], entry, home, linked=False)
    if all:
        for name in home.names():
            if name not in found:
                found[name] = info(name, None, home)
    return sorted(found.values(), key=lambda each: each.name)


def ledger() -> list[dict[str, Any]]:
    """Every kernel object that is held for a container; empty when nothing is left of any.

    Entries of containers that are gone are first undone: by their launcher, which may be at it, or by a new one.
    """
    book = Ledger(open_home().ledger)
    entries = list(book.entries())
    if any(not is_alive(entry) for entry in entries) or book.entry(SPARE):
        client.ask(open_home(), {"do": "hello"})
        entries = list(book.entries())
    return entries
