"""What there is: containers that run, rest or have ended, what they use, and what is held for them."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from .errors import NotFound, SandboxError, plain
from .home import home as open_home
from .immutable import immutable
from .job import explain
from .launcher import client
from .launcher.ledger import SPARE, Entry, Ledger, directories, is_alive
from .linux.netlink import Netlink
from .primitives import cgroups, network
from .spec import Spec
from .store import Home


@immutable
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


def info(name: str, entry: dict[str, Any] | None, home: Home, *, linked: bool = True) -> Info:
    """What is known of one container: of a running one from the kernel, of a finished one from its record.

    Without `linked`, neither its network nor the kernel's own memory is looked at: that is as much work as all the rest.
    """
    if entry is None:
        last = home.last_record(name)
        if last is None and not os.path.isdir(home.folder(name)):
            raise NotFound(f"there is no container called {name!r}")
        return Info(name, "STOPPED", image=home.load(name, aside=False).image) if last is None else _ended(last)
    places = directories(entry)
    used = cgroups.usage(places) if linked else cgroups.glance(places)
    ips = network.addresses(entry["pid"]) if linked or entry["spec"].get("networks") else ()
    link, rx, tx = _link(entry) if linked else ("", None, None)
    io = None if used.io_read is None else used.io_read + (used.io_written or 0)
    frozen = cgroups.frozen(places)
    return Info(
        name, "FROZEN" if frozen else "RUNNING", entry["pid"], entry["spec"]["image"], ips, used.cpu_seconds, io, used.memory,
        used.kernel, used.pids, link, tx, rx, entry["begun"],
    )  # fmt: skip


def _link(entry: dict[str, Any]) -> tuple[str, int | None, int | None]:
    """Its first network device, and the bytes that it received and sent. Of a cable, the host's end: its name is the one to
    watch, and what came in there the container has sent."""
    for data in entry["undo"]:
        if data["step"] == "PlugVeth":
            cable = network.PlugVeth.from_json(data)
            with Netlink() as door:
                if found := door.link(cable.host_end):
                    return found.name, found.tx_bytes, found.rx_bytes
    for name, (rx, tx) in network.read(entry["pid"]).items():
        if name != "lo":
            # Its root may call a device what it likes, and a terminal would obey an escape sequence.
            return plain(name), rx, tx
    return "", None, None


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


def containers(all: bool = True, home: Home | None = None) -> list[Info]:
    """Every container that runs, and with `all` those that rest on the shelf, each with what it uses."""
    home = home or open_home()
    found = {}
    for entry in running(home):
        with contextlib.suppress(OSError):  # it ended while we looked
            found[entry["name"]] = info(entry["name"], entry, home, linked=False)
    if all:
        for name in home.names():
            if name not in found:
                try:
                    found[name] = info(name, None, home)
                except SandboxError:  # what is wrong with it is told to whoever starts it
                    found[name] = Info(name, "STOPPED")
    return sorted(found.values(), key=lambda each: each.name)


def running(home: Home) -> Iterator[Entry]:
    """What the ledger says of each container that runs."""
    return (entry for entry in Ledger(home.ledger).entries() if "in" not in entry and is_alive(entry))


def ledger() -> list[dict[str, Any]]:
    """Every kernel object that is held for a container; empty when nothing is left of any.

    Entries of containers that are gone are first undone: by their launcher, which may be at it, or by a new one.
    """
    book = Ledger(open_home().ledger)
    entries = list(book.entries())
    if any(not is_alive(entry) for entry in entries) or book.entry(SPARE):
        client.ask(open_home(), {"do": "settle"})
        entries = list(book.entries())
    return entries
