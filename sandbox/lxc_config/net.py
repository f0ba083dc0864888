"""The network: one device for each N of lxc.net.N.*, in the order of the numbers.

    no lxc.net at all      as in LXC 5: a network namespace with loopback alone
    type = none, alone     the host's network namespace
    link = NAME            a bridge of the host, or one of our own networks: who attaches it finds out which

Addresses, MAC addresses and names are checked here; whether there is such a device is not.
"""

import os
import re
import socket

from ..errors import InvalidOption
from ..spec import Network
from . import values
from .draft import Card, Draft, Row, kept
from .file import Config

#: The block of addresses that LXC's are taken from.
TEMPLATE = "00:16:3e:xx:xx:xx"

_TYPES = ("none", "empty", "veth", "macvlan", "phys")
_MODES = ("private", "vepa", "bridge", "passthru")


def new_hwaddr(template: str = TEMPLATE) -> str:
    """A MAC address: every x of the template is a random digit; never that of a group. lxc.container.conf(5), hwaddr"""
    digits = [os.urandom(1)[0] & 15 if letter in "xX" else letter for letter in template]
    if len(template) > 1 and template[1] in "xX":
        digits[1] = int(digits[1]) & 14  # the lowest bit of the first byte is for multicast
    return "".join(f"{digit:x}" if isinstance(digit, int) else digit for digit in digits)


def renew_hwaddrs(config: Config) -> None:
    """Give every device that has a MAC address another one: what a copy needs, in whose network the original may be."""
    for key, _ in config.items():
        if re.fullmatch(r"lxc\.net\.[0-9]+\.hwaddr", key):
            config.set(key, new_hwaddr())


def _card(draft: Draft, which: str) -> Card:
    return draft.cards.setdefault(values.whole(which, 0, 9999), Card())


def kind(draft: Draft, value: str, which: str) -> None:
    if value not in _TYPES:
        raise InvalidOption(f"a network device can't be of type {value!r}", cure=f"choose of: {', '.join(_TYPES)}")
    _card(draft, which).type = value


def link(draft: Draft, value: str, which: str) -> None:
    _card(draft, which).link = _interface(value, 63)  # of a host's device 15; a network of ours may have a longer name


def name(draft: Draft, value: str, which: str) -> None:
    _card(draft, which).name = _interface(value)


def pair(draft: Draft, value: str, which: str) -> None:
    _card(draft, which).pair = _interface(value)


def _interface(value: str, most: int = 15) -> str:
    """A name that the kernel takes: netdevice(7), dev_valid_name()."""
    if len(os.fsencode(value)) > most or value in (".", "..") or re.search(r"[\s/:]", value):
        raise InvalidOption(f"{value!r} is no name of a network device", cure=f"use at most {most} letters, digits, '-', '_'")
    return value


def flags(draft: Draft, value: str, which: str) -> None:
    _card(draft, which).up = True  # LXC knows no other flag, and does not look


def hwaddr(draft: Draft, value: str, which: str) -> None:
    if not re.fullmatch(r"[0-9a-fx]{2}(:[0-9a-fx]{2}){5}", value, re.IGNORECASE):
        raise InvalidOption(f"{value!r} is no MAC address", cure=f"write it as {TEMPLATE}; an x is a random digit")
    address = new_hwaddr(value)
    if int(address[1], 16) & 1:
        raise InvalidOption(f"{value!r} is the address of a group", cure="make the second digit an even one")
    _card(draft, which).hwaddr = address


def mtu(draft: Draft, value: str, which: str) -> None:
    _card(draft, which).mtu = values.whole(value, 68, 65535)  # IPv4's least; the most that an Ethernet device takes


def mode(draft: Draft, value: str, which: str) -> None:
    if value not in _MODES:
        raise InvalidOption(f"a macvlan has no mode {value!r}", cure=f"choose of: {', '.join(_MODES)}")
    _card(draft, which).mode = value


def ipv4_address(draft: Draft, value: str, which: str) -> None:
    """x.y.z.t/m; without /m by the class of the address. A broadcast address may follow: the kernel knows it anyway."""
    address, slash, prefix = value.split()[0].partition("/")
    first = _packed(socket.AF_INET, address)[0]
    bits = values.whole(prefix, 0, 32) if slash else 8 if first < 128 else 16 if first < 192 else 24
    _card(draft, which).addresses.append(f"{address}/{bits}")


def ipv6_address(draft: Draft, value: str, which: str) -> None:
    address, slash, prefix = value.partition("/")
    _packed(socket.AF_INET6, address)
    _card(draft, which).addresses.append(f"{address}/{values.whole(prefix, 0, 128) if slash else 64}")


def ipv4_gateway(draft: Draft, value: str, which: str) -> None:
    _gateway(draft, value, which, socket.AF_INET)


def ipv6_gateway(draft: Draft, value: str, which: str) -> None:
    _gateway(draft, value, which, socket.AF_INET6)


def _gateway(draft: Draft, value: str, which: str, family: int) -> None:
    """An address; or "auto": that of the bridge, for both families where no other is named."""
    if value == "dev":
        draft.note("no default route leads to a device without a gateway")
        return
    if value != "auto":
        _packed(family, value)
    gateways = _card(draft, which).gateways
    gateways[family] = value
    if len(set(gateways.values())) > 1 and "auto" in gateways.values():
        draft.note("auto has no effect beside a gateway that is named")


def _packed(family: int, address: str) -> bytes:
    try:
        return socket.inet_pton(family, address)
    except OSError:
        version = 4 if family == socket.AF_INET else 6
        raise InvalidOption(f"{address!r} is no address of IPv{version}") from None


def shares_host(draft: Draft) -> bool:
    """Whether it uses the host's network: `none` is meant where there is no other device."""
    return bool(draft.cards) and all(card.type == "none" for card in draft.cards.values())


def networks_of(draft: Draft) -> tuple[Network, ...]:
    """Its devices; those of a network namespace that it shares are not its own."""
    if "network" in draft.shared or draft.join_network:
        return ()
    return tuple(_network(draft.cards[number]) for number in sorted(draft.cards) if draft.cards[number].type != "none")


def _network(card: Card) -> Network:
    ways = tuple(way for way in card.gateways.values() if way != "auto")
    return Network(
        type=card.type,  # type: ignore[arg-type]  # one of _TYPES
        link=card.link,
        name=card.name,
        hwaddr=card.hwaddr,
        mtu=card.mtu,
        mode=card.mode or ("private" if card.type == "macvlan" else ""),
        pair=card.pair,
        addresses=tuple(card.addresses),
        gateways=ways or (("auto",) if card.gateways else ()),
        up=card.up,
    )


_NO_SCRIPT = "no script runs for a network device: lxc.hook.start-host and lxc.hook.post-stop do"
_NO_ROUTES = "the host's routes and neighbours are left as they are"
_NO_VLANS = "its bridge has no VLANs"
_OTHER_TYPE = "there are no devices of that type here"

ROWS: dict[str, Row] = {
    "lxc.net.N.type": kind,
    "lxc.net.N.link": link,
    "lxc.net.N.name": name,
    "lxc.net.N.flags": flags,
    "lxc.net.N.hwaddr": hwaddr,
    "lxc.net.N.mtu": mtu,
    "lxc.net.N.ipv4.address": ipv4_address,
    "lxc.net.N.ipv4.gateway": ipv4_gateway,
    "lxc.net.N.ipv6.address": ipv6_address,
    "lxc.net.N.ipv6.gateway": ipv6_gateway,
    "lxc.net.N.veth.pair": pair,
    "lxc.net.N.macvlan.mode": mode,
    "lxc.net.N.script.up": kept(_NO_SCRIPT),
    "lxc.net.N.script.down": kept(_NO_SCRIPT),
    "lxc.net.N.veth.mode": kept("a veth is put into a bridge", ("bridge",)),
    "lxc.net.N.veth.ipv4.route": kept(_NO_ROUTES),
    "lxc.net.N.veth.ipv6.route": kept(_NO_ROUTES),
    "lxc.net.N.l2proxy": kept(_NO_ROUTES, ("0",)),
    "lxc.net.N.veth.vlan.id": kept(_NO_VLANS, ("none",)),
    "lxc.net.N.veth.vlan.tagged.id": kept(_NO_VLANS),
    "lxc.net.N.vlan.id": kept(_OTHER_TYPE),
    "lxc.net.N.ipvlan.mode": kept(_OTHER_TYPE),
    "lxc.net.N.ipvlan.isolation": kept(_OTHER_TYPE),
}
