"""The door to the kernel's network: links, addresses and routes, by rtnetlink(7) messages on a netlink(7) socket.

A message is a header, a fixed part, and attributes of the form (length, kind, value). The kernel answers each request at once.
A socket belongs for ever to the network namespace in which it was made.
"""

import errno
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Self

from . import constants as c
from .syscalls import SyscallError, note, setns

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, device type, index, flags, which of them change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=8BI")  # struct rtmsg: family, two lengths, tos, table, protocol, scope, type; flags
_ADD = c.NLM_F_CREATE | c.NLM_F_EXCL

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}  # enum macvlan_mode, linux/if_link.h


@dataclass(frozen=True)
class Link:
    """A network device as the kernel describes it. `kind` is "bridge", "veth" …, or "" for hardware and loopback."""

    index: int
    name: str
    kind: str
    up: bool
    mtu: int
    hwaddr: str
    master: int  # index of the bridge that it is a port of, or 0
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


@dataclass(frozen=True)
class Setting:
    """What a link shall be like. What is left out stays as it is."""

    name: str = ""
    up: bool | None = None
    mtu: int = 0
    hwaddr: str = ""
    master: int = 0  # index of the bridge that it becomes a port of
    netns_pid: int = 0  # into the network namespace of this process
    netns_fd: int = -1  # or into the one that this descriptor refers to

    def message(self, index: int = 0) -> bytes:
        """The body of RTM_NEWLINK and the like."""
        up, change = (c.IFF_UP if self.up else 0), (0 if self.up is None else c.IFF_UP)
        wanted: tuple[tuple[bool, int, bytes | str | int], ...] = (
            (bool(self.name), c.IFLA_IFNAME, self.name),
            (bool(self.mtu), c.IFLA_MTU, self.mtu),
            (bool(self.hwaddr), c.IFLA_ADDRESS, bytes.fromhex(self.hwaddr.replace(":", ""))),
            (bool(self.master), c.IFLA_MASTER, self.master),
            (bool(self.netns_pid), c.IFLA_NET_NS_PID, self.netns_pid),
            (self.netns_fd >= 0, c.IFLA_NET_NS_FD, self.netns_fd),
        )
        return _LINK.pack(0, 0, index, up, change) + b"".join(attribute(kind, value) for on, kind, value in wanted if on)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value not in ("", 0, -1, None))


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One attribute, padded to four bytes: a number of 32 bits, a text that ends with NUL, or bytes as they are."""
    raw = struct.pack("=I", value) if isinstance(value, int) else value.encode() + b"\0" if isinstance(value, str) else value
    return struct.pack("=HH", len(raw) + 4, kind) + raw + bytes(-len(raw) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | c.NLA_F_NESTED, b"".join(inner))


def attributes(raw: bytes) -> dict[int, bytes]:
    """The values of a run of attributes, by kind."""
    found, at = {}, 0
    while at + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, at)
        found[kind & ~c.NLA_F_NESTED] = raw[at + 4 : at + length]
        at += max(length + 3 & ~3, 4)
    return found


class Netlink:
    """A socket to this network namespace's links, addresses and routes. Use it in a `with`.

    What the kernel refuses is raised as a SyscallError whose `call` is the message's name; `told` has the kernel's own words.
    """

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.setsockopt(c.SOL_NETLINK, c.NETLINK_EXT_ACK, 1)
        self.socket.setsockopt(c.SOL_NETLINK, c.NETLINK_CAP_ACK, 1)  # do not send our own words back with an error

    @classmethod
    def of(cls, netns: int) -> Self:
        """A socket to the network namespace that the descriptor `netns` refers to, although we are not in it."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(netns, c.CLONE_NEWNET)
            return cls()
        finally:
            setns(own, c.CLONE_NEWNET)  # into our own, if we never left it
            os.close(own)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def add_link(self, kind: str, wanted: Setting, *, peer: Setting | None = None, link: int = 0, mode: str = "") -> None:
        """Make a link: a "bridge"; a "veth" with its `peer`, which may be born elsewhere; a "macvlan" of the device `link`."""
        info = [attribute(c.IFLA_INFO_KIND, kind)]
        if peer:
            info.append(nested(c.IFLA_INFO_DATA, nested(c.VETH_INFO_PEER, peer.message())))
        if mode:
            info.append(nested(c.IFLA_INFO_DATA, attribute(c.IFLA_MACVLAN_MODE, MACVLAN_MODES[mode])))
        body = wanted.message() + (attribute(c.IFLA_LINK, link) if link else b"") + nested(c.IFLA_LINKINFO, *info)
        shown = f"{kind}, {wanted}" + (f", peer: {peer}" if peer else f", link={link}" if link else "")
        self.ask("RTM_NEWLINK", c.RTM_NEWLINK, _ADD, body, shown, wanted.name)

    def set_link(self, index: int, wanted: Setting) -> None:
        """Change a link."""
        self.ask("RTM_NEWLINK", c.RTM_NEWLINK, 0, wanted.message(index), f"{index}, {wanted}", wanted.name)

    def reflect(self, index: int) -> None:
        """Let a bridge's port send back to where it came from: "hairpin" of bridge(8)."""
        body = _LINK.pack(socket.AF_BRIDGE, 0, index, 0, 0) + nested(c.IFLA_PROTINFO, attribute(c.IFLA_BRPORT_MODE, b"\1"))
        self.ask("RTM_SETLINK", c.RTM_SETLINK, 0, body, f"{index}, hairpin on")

    def delete_link(self, index: int) -> None:
        """Take a link away; of a pair, both ends. The kernel waits until nobody uses it: tens of milliseconds."""
        self.ask("RTM_DELLINK", c.RTM_DELLINK, 0, Setting().message(index), str(index))

    def link(self, name: str) -> Link | None:
        """The link of that name, if there is one."""
        try:
            found = self.ask("RTM_GETLINK", c.RTM_GETLINK, 0, Setting(name).message(), repr(name))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(found[0])

    def links(self, master: int = 0) -> list[Link]:
        """All links, or the ports of one bridge."""
        wanted = Setting(master=master)
        return [_link(body) for body in self.ask("RTM_GETLINK", c.RTM_GETLINK, c.NLM_F_DUMP, wanted.message(), str(wanted))]

    def add_address(self, index: int, address: str) -> None:
        """Give a link an address, "10.0.3.5/24" or "fd00::5/64"; it is usable at once."""
        family, raw, length = parse(address)
        # Nobody else has it: so without IPv6's search for duplicates, which would take a second.
        head = _ADDRESS.pack(family, length, c.IFA_F_NODAD if family == socket.AF_INET6 else 0, 0, index)
        values = attribute(c.IFA_LOCAL, raw) + attribute(c.IFA_ADDRESS, raw)
        self.ask("RTM_NEWADDR", c.RTM_NEWADDR, _ADD, head + values, f"{index}, {address}", address)

    def addresses(self) -> list[tuple[int, str]]:
        """The addresses of all links: (index of the link, "10.0.3.5/24")."""
        found = []
        for body in self.ask("RTM_GETADDR", c.RTM_GETADDR, c.NLM_F_DUMP, _ADDRESS.pack(0, 0, 0, 0, 0), "all"):
            family, length, _, _, index = _ADDRESS.unpack_from(body)
            values = attributes(body[_ADDRESS.size :])
            raw = values.get(c.IFA_LOCAL) or values[c.IFA_ADDRESS]
            found.append((index, f"{socket.inet_ntop(family, raw)}/{length}"))
        return found

    def add_default_route(self, index: int, gateway: str) -> None:
        """What is for nobody near goes to this neighbour."""
        family, raw, _ = parse(gateway)
        head = _ROUTE.pack(family, 0, 0, 0, c.RT_TABLE_MAIN, c.RTPROT_BOOT, c.RT_SCOPE_UNIVERSE, c.RTN_UNICAST, 0)
        body = head + attribute(c.RTA_GATEWAY, raw) + attribute(c.RTA_OIF, index)
        self.ask("RTM_NEWROUTE", c.RTM_NEWROUTE, _ADD, body, f"default via {gateway}", gateway)

    def ask(self, call: str, kind: int, flags: int, body: bytes, shown: str, what: str = "") -> list[bytes]:
        """Send one request; returns the bodies of what comes back. `what` is named in the error."""
        start, result = time.monotonic_ns(), 0
        try:
            while (bodies := self._once(call, kind, flags, body, what)) is None:
                pass
            return bodies
        except OSError as error:
            result = -(error.errno or 0)
            raise
        finally:
            note(call, shown, result, start)

    def _once(self, call: str, kind: int, flags: int, body: bytes, what: str) -> list[bytes] | None:
        """The same; None for a dump into which somebody's change fell."""
        flags |= c.NLM_F_REQUEST | (0 if flags & c.NLM_F_DUMP == c.NLM_F_DUMP else c.NLM_F_ACK)
        self.socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        bodies, torn, answer = [], 0, 0
        while answer not in (c.NLMSG_ERROR, c.NLMSG_DONE):  # an acknowledgement is an error of number 0
            raw, at = self.socket.recv(self.socket.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)), 0
            while at < len(raw):
                length, answer, marks, _, _ = _HEADER.unpack_from(raw, at)
                content = raw[at + _HEADER.size : at + length]
                torn |= marks & c.NLM_F_DUMP_INTR
                if answer == c.NLMSG_ERROR:
                    _check(call, content, marks, what)
                elif answer != c.NLMSG_DONE:
                    bodies.append(content)
                at += length + 3 & ~3
        return None if torn else bodies


def _check(call: str, content: bytes, flags: int, what: str) -> None:
    """Raise what an acknowledgement says, unless it says that all is well."""
    if number := -int.from_bytes(content[:4], sys.byteorder, signed=True):
        error = SyscallError(call, number, what or None)
        words = attributes(content[4 + _HEADER.size :]).get(c.NLMSGERR_ATTR_MSG) if flags & c.NLM_F_ACK_TLVS else None
        if words:
            error.add_note(words.rstrip(b"\0").decode("utf-8", "replace"))
        raise error


def told(error: OSError) -> str:
    """What the kernel itself said of a refusal, or nothing."""
    return "; ".join(getattr(error, "__notes__", ()))


def parse(address: str) -> tuple[int, bytes, int]:
    """(family, the address as bytes, length of the prefix). Raises OSError for what is no address."""
    text, _, length = address.partition("/")
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    raw = socket.inet_pton(family, text)
    return family, raw, int(length or len(raw) * 8)


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body[_LINK.size :])
    info = attributes(found.get(c.IFLA_LINKINFO, b""))
    name, kind = (raw.rstrip(b"\0").decode() for raw in (found[c.IFLA_IFNAME], info.get(c.IFLA_INFO_KIND, b"")))
    mtu, master = (int.from_bytes(found.get(number, b""), sys.byteorder) for number in (c.IFLA_MTU, c.IFLA_MASTER))
    in_packets, out_packets, received, sent = struct.unpack_from("=4Q", found.get(c.IFLA_STATS64, bytes(32)))
    hwaddr = found.get(c.IFLA_ADDRESS, b"").hex(":")
    return Link(index, name, kind, bool(flags & c.IFF_UP), mtu, hwaddr, master, received, sent, in_packets, out_packets)
