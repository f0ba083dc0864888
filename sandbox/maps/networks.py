"""The map of networks: bridges, the cables between them and containers, the way out, and the rules that let through or not."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .. import networks
from ..cabling import USER, devices
from ..columns import columns
from ..errors import plain
from ..home import home as open_home
from ..immutable import immutable
from ..linux import files
from ..linux.netlink import Link, Netlink
from ..listing import running
from ..primitives import network
from ..primitives.network import names, nat
from ..spec import Spec
from ..step import Step
from . import rules


@immutable
class Cable:
    """What leads from a container's `device` to `plugged`, a bridge or device of the host, or "" for nowhere.

    `kind` is "veth", "macvlan", "phys", or the program that carries the packets. `host_end` is the name of the end that the
    host sees. Bytes and packets are counted as the container sees them, since the cable was plugged in.
    """

    container: str
    device: str
    kind: str
    plugged: str
    host_end: str
    addresses: tuple[str, ...]
    received: int = 0
    sent: int = 0
    packets_received: int = 0
    packets_sent: int = 0


@immutable
class Bridge:
    """A bridge of the host. `network` is the name of ours that it belongs to, "" for somebody else's; `server` the pid of its
    dnsmasq; `strangers` are its ports that are no container's of this shelf."""

    name: str
    network: str
    addresses: tuple[str, ...]
    internal: bool = False
    server: int = 0
    strangers: tuple[str, ...] = ()


@immutable
class NetworkMap:
    """What is plugged into what. `ways` are the host's default routes; `lonely` says of containers without a cable why;
    `published` are (host address or "", port, container, its address, its port, protocol); `rules` are tables as nft(8)
    lists them; `at` is in seconds of the machine's monotonic clock."""

    at: float
    ways: tuple[str, ...]
    bridges: tuple[Bridge, ...]
    cables: tuple[Cable, ...]
    lonely: dict[str, str]
    published: tuple[tuple[str, int, str, str, int, str], ...]
    rules: dict[str, str]

    def rates(self, before: "NetworkMap") -> dict[tuple[str, str], tuple[float, float]]:
        """Bytes per second, received and sent, of each cable since an earlier look."""
        seconds, earlier = self.at - before.at, {(cable.container, cable.device): cable for cable in before.cables}
        return {
            (now.container, now.device): ((now.received - old.received) / seconds, (now.sent - old.sent) / seconds)
            for now in self.cables
            if seconds > 0 and (old := earlier.get((now.container, now.device))) and now.received >= old.received
        }

    def with_rules(self, known: dict[str, str]) -> "NetworkMap":
        """The same map, with rules that are known from before."""
        return replace(self, rules=known)

    def explained(self, bridge: str) -> list[str]:
        """What the rules of a bridge's network do, in sentences."""
        return rules.explained(self.rules.get(nat.table_of(bridge), ""))

    def apart(self) -> list[str]:
        """Which of our networks can't reach one another, in sentences."""
        ours = [bridge for bridge in self.bridges if bridge.network]
        both = {name for name in (cable.container for cable in self.cables)
                if len({cable.plugged for cable in self.cables if cable.container == name}) > 1}  # fmt: skip
        told = [f"{bridge.network} has no way out: it is internal" for bridge in ours if bridge.internal]
        if len(ours) > 1:
            told.append(f"{', '.join(bridge.network for bridge in ours)} are apart: no packet goes from one to the other")
        if both:
            told.append(f"on several at once: {', '.join(sorted(both))}")
        return told

    def __str__(self) -> str:
        return "\n".join(plain(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"the host's way out: {'; '.join(self.ways) or 'none'}"
        for bridge in self.bridges:
            kind = f"network {bridge.network}" if bridge.network else "not ours"
            more = [*bridge.addresses, *(["internal"] if bridge.internal else []),
                    *([f"dnsmasq is pid {bridge.server}"] if bridge.server else []),
                    *([f"other ports: {', '.join(bridge.strangers)}"] if bridge.strangers else [])]  # fmt: skip
            yield f"bridge {bridge.name} ({kind}): {', '.join(more) or 'no address'}"
        yield ""
        head = ("PLUGGED INTO", "HOST'S END", "KIND", "DEVICE", "CONTAINER", "ADDRESSES", "RECEIVED", "SENT")
        yield columns([head, *map(_row, self.cables)]) if self.cables else "no container has a cable"
        yield from (f"{name}: {why}" for name, why in self.lonely.items())
        yield ""
        yield from self.apart()
        for host, port, container, address, inside, protocol in self.published:
            yield f"port {host + ':' if host else ''}{port}/{protocol} of the host leads to {container}, {address}:{inside}"
        for table, text in self.rules.items():
            yield from (f"table inet {table}:", *(f"    {told}" for told in rules.explained(text)))
        yield "see it yourself: ip address; bridge link; nft list ruleset"


def _row(cable: Cable) -> tuple[str, ...]:
    counted = (f"{cable.received:,} B ({cable.packets_received})", f"{cable.sent:,} B ({cable.packets_sent})")
    return (
        cable.plugged or "nothing",
        cable.host_end,
        cable.kind,
        cable.device,
        cable.container,
        " ".join(cable.addresses),
        *counted,
    )


def network_map(*, with_rules: bool = True) -> NetworkMap:
    """The map of the networks, now. Without rules no program is started: so it can be asked for often."""
    home = open_home()
    with Netlink() as door:
        links, addresses = door.links(), door.addresses()
    at, entries = time.monotonic(), list(running(home))
    cables = [cable for entry in entries for cable in _cables(entry, links)]
    kept = [networks.get(home, name) for name in networks.names(home)] if os.geteuid() == 0 else []
    bridges = [_bridge(link, kept, links, addresses, cables) for link in links if link.kind == "bridge"]
    wired = {cable.container for cable in cables}
    made = [(entry["name"], step) for entry in entries for step in map(Step.from_json, entry["undo"])
            if isinstance(step, network.Publish)]  # fmt: skip
    wanted = [*(nat.table_of(bridge.name) for bridge in bridges if bridge.network), *(step.table for _, step in made)]
    published = [(host, port, name, address, inside, protocol)
                 for name, step in made for host, port, address, inside, protocol in step.ports]  # fmt: skip
    return NetworkMap(
        at, tuple(route for route in network.routes() if route.startswith("default")), tuple(bridges), tuple(cables),
        {entry["name"]: _why_lonely(entry) for entry in entries if entry["name"] not in wired}, tuple(published),
        rules.read(wanted) if with_rules else {},
    )  # fmt: skip


def _cables(entry: dict[str, Any], links: list[Link]) -> Iterator[Cable]:
    """The cables of one container, as the ledger and its Spec tell."""
    spec, pid = Spec.from_json(entry["spec"]), entry["pid"]
    steps = [Step.from_json(data) for data in entry["undo"]]
    ends = {step.device: step.host_end for step in steps if isinstance(step, network.PlugVeth)}
    by_name = {link.name: link for link in links}
    try:
        inside = network.read(pid)
    except OSError:  # it has ended
        return
    for device, net in devices(spec):
        kind, plugged, end = net.type if net.mode != USER else _carrier(steps), net.link, ends.get(device, "")
        found = by_name.get(end)
        received, sent = (found.tx_bytes, found.rx_bytes) if found else inside.get(device, (0, 0))
        packets = (found.tx_packets, found.rx_packets) if found else (0, 0)
        addresses = net.addresses or (network.addresses(pid) if len(spec.networks) == 1 else ())
        yield Cable(entry["name"], device, kind, plugged, end, addresses, received, sent, *packets)


def _carrier(steps: Iterable[Step]) -> str:
    """The program that carries an ordinary user's packets, with its pid."""
    for step in steps:
        if isinstance(step, network.CarryPackets):
            with suppress(OSError, ValueError):
                pid = step.carrier()
                return f"{files.name(pid)} (pid {pid})"
    return USER


def _bridge(
    link: Link, kept: list[networks.Net], links: list[Link], addresses: list[tuple[int, str]], cables: list[Cable]
) -> Bridge:
    net = next((net for net in kept if net.bridge == link.name), None)
    own = tuple(address for index, address in addresses if index == link.index and not address.startswith("fe80:"))
    plugged = {cable.host_end for cable in cables}
    ports = tuple(port.name for port in links if port.master == link.index and port.name not in plugged)
    if net is None:
        return Bridge(link.name, "", own, strangers=ports)
    return Bridge(link.name, net.name, own, net.internal, names.server(link.name), ports)


def _why_lonely(entry: dict[str, Any]) -> str:
    spec = entry["spec"]
    if spec.get("join_network"):
        return f"in the network of {spec['join_network']}"
    if "network" not in spec.get("namespaces", ("network",)):
        return "in the host's network"
    return "no network but its own loopback"
