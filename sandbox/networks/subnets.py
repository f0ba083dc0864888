"""Subnets as numbers, and which of them are free on this host. (The standard library's ipaddress takes 5 ms to load.)"""

import os
import socket
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, Self

from ..errors import InvalidOption, NotPossibleHere
from ..linux import files
from ..linux.netlink import Netlink, parse


class Subnet(NamedTuple):
    """A range of addresses that share the first `length` bits."""

    family: int
    base: int
    length: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Of "10.0.3.0/24" or of any address in it, "10.0.3.7/24". Raises InvalidOption."""
        try:
            family, raw, length = parse(text)
            bits = len(raw) * 8
            if not 0 <= length <= bits:
                raise ValueError
        except (OSError, ValueError):
            raise InvalidOption(f"{text!r} is no subnet", cure="write 10.0.3.0/24, or fd00:1234::/64") from None
        return cls(family, int.from_bytes(raw, "big") >> bits - length << bits - length, length)

    @property
    def bits(self) -> int:
        return 128 if self.family == socket.AF_INET6 else 32

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return 1 << self.bits - self.length

    def at(self, number: int) -> str:
        """The address of a number, counted from the subnet's own: "10.0.3.7/24"."""
        return f"{socket.inet_ntop(self.family, (self.base + number).to_bytes(self.bits // 8, 'big'))}/{self.length}"

    def number_of(self, address: str) -> int:
        """The number of an address in it; 0 for one of another subnet."""
        other = Subnet.of(f"{address.partition('/')[0]}/{self.bits}") if (":" in address) == (self.bits == 128) else None
        return other.base - self.base if other and 0 < other.base - self.base < self.size else 0

    def overlaps(self, other: "Subnet") -> bool:
        """Whether an address lies in both."""
        shift = self.bits - min(self.length, other.length)
        return self.family == other.family and self.base >> shift == other.base >> shift

    def __str__(self) -> str:
        return self.at(0)


#: Those of which we choose: 10.208.0.0/12 has 4,096 of 254 addresses.
_FIRST, _COUNT = Subnet.of("10.208.0.0/24").base, 4096


def in_use() -> Iterator[tuple[Subnet, str]]:
    """The subnets that this host knows, each with a word on where."""
    with Netlink() as net:
        for _, address in net.addresses():
            yield Subnet.of(address), f"the host has the address {address}"
    for line in files.read("/proc/net/route").splitlines()[1:]:
        device, destination, _, _, _, _, _, mask, *_ = line.split()
        # As the kernel prints them: numbers in the order of this machine's bytes. proc_pid_net(5)
        base, ones = (int.from_bytes(bytes.fromhex(word)[::-1], "big") for word in (destination, mask))
        if ones:
            found = Subnet(socket.AF_INET, base, ones.bit_count())
            yield found, f"the host has a route to {found} by {device}"


def clash(wanted: Subnet, others: Iterable[tuple[Subnet, str]]) -> str:
    """What stands against a subnet, or nothing."""
    return next((why for other, why in others if wanted.overlaps(other)), "")


def choose(seed: str, others: Iterable[tuple[Subnet, str]]) -> Subnet:
    """One that clashes with nothing; the same seed leads to the same, so that two shelves rarely choose one. RFC 1918"""
    known, start = list(others), zlib.crc32(seed.encode())
    for i in range(_COUNT):
        wanted = Subnet(socket.AF_INET, _FIRST + ((start + i) % _COUNT << 8), 24)
        if not clash(wanted, known):
            return wanted
    raise NotPossibleHere(
        "no subnet is free for a network", condition="the host has routes to all of 10.208.0.0/12", cure="give one: --subnet"
    )


def unique_local() -> Subnet:
    """An IPv6 subnet that nobody else has, by chance. RFC 4193"""
    return Subnet(socket.AF_INET6, int.from_bytes(b"\xfd" + os.urandom(5), "big") << 80, 64)


def has_ipv6() -> bool:
    """Whether this host uses IPv6. ip-sysctl"""
    with suppress(FileNotFoundError):
        return all(files.read(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").strip() == "0" for which in ("all", "default"))
    return False
