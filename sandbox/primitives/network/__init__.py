"""Network: cables, bridges, addresses, the way out, and names.

A new network namespace holds one link, lo, and it is down. Everything else is brought: a cable (veth) whose one end lies in
the container, the other on a bridge of the host; addresses on both; a route; NAT, so that the world sees only the host; a
server that gives addresses (DHCP) and knows names (DNS). network_namespaces(7), veth(4), rtnetlink(7), nft(8), dnsmasq(8)
"""

from .bridge import MakeBridge
from .cable import MoveLink, PlugMacvlan, PlugVeth
from .helpers import AwaitHelpers, find_program
from .link import BringUpLoopback, ConfigureLink, addresses, read, routes
from .names import ServeNames, hwaddr_of
from .nat import RaiseNat
from .publish import Publish
from .usermode import CarryPackets

__all__ = [
    "AwaitHelpers", "BringUpLoopback", "CarryPackets", "ConfigureLink", "MakeBridge", "MoveLink", "PlugMacvlan", "PlugVeth",
    "Publish", "RaiseNat", "ServeNames", "addresses", "find_program", "hwaddr_of", "read", "routes",
]  # fmt: skip
