"""The way out: NAT by nf_tables, one readable set of rules for each network. nft(8)."""

import struct
from collections.abc import Iterable
from contextlib import suppress

from ...errors import NotPossibleHere
from ...linux import constants as c
from ...linux.netlink import Netlink, attribute
from ...step import Step, World
from . import forwarding, helpers, state


def rules(bridge: str, addresses: Iterable[str], opened: Iterable[str]) -> str:
    """The rules of a network, as nft -f reads them. `opened` are devices of the host that forward only because of us."""
    table = f"table inet {table_of(bridge)}"
    # What only passes through a bridge of the host's comes by here too, where br_netfilter is on: its name is on both sides.
    closed = "".join(f'        iifname "{device}" oifname != "{device}" drop\n' for device in opened)
    subnets = [(family_of(address), address) for address in addresses]
    leaving = "".join(
        f'        {family} saddr {subnet} oifname != "{bridge}" masquerade\n'
        # Who is reached by a published port from its own network must see the host as its guest: or it answers past the NAT.
        f'        {family} saddr {subnet} oifname "{bridge}" ct status dnat masquerade\n'
        for family, subnet in subnets
    )
    return f"""{table}
delete {table}
{table} {{
    chain forwarded {{
        type filter hook forward priority filter; policy accept;
        iifname "{bridge}" oifname "{bridge}" accept
        ct state established,related accept
        ct status dnat accept
        oifname "{bridge}" drop
{closed}    }}
    chain leaving {{
        type nat hook postrouting priority srcnat; policy accept;
{leaving}        ip saddr 127.0.0.0/8 oifname "{bridge}" masquerade
    }}
    chain arriving {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    }}
}}
"""


def table_of(bridge: str) -> str:
    """The name of a network's table."""
    return f"bridge_{bridge}"


def family_of(address: str) -> str:
    """nft's word for the family of an address."""
    return "ip6" if ":" in address else "ip"


def has_table(name: str) -> bool:
    """Whether nf_tables has such a table: nft(8) would take 3 ms to say so."""
    with Netlink(c.NETLINK_NETFILTER) as net:
        head = struct.pack(">BxH", c.NFPROTO_INET, 0)  # struct nfgenmsg
        kind = c.NFNL_SUBSYS_NFTABLES << 8 | c.NFT_MSG_GETTABLE
        try:
            return bool(net.ask("NFT_MSG_GETTABLE", kind, 0, head + attribute(c.NFTA_TABLE_NAME, name), name))
        except FileNotFoundError:
            return False


class RaiseNat(Step):
    """Lead a network out: everybody in it is seen as the host, and nobody gets in, also from our other networks. nft(8)."""

    lane = "outside"
    man = "nft(8)"
    see = "nft list ruleset"

    bridge: str
    addresses: tuple[str, ...]

    def apply(self, world: World) -> str:
        if has_table(table_of(self.bridge)):
            return "it is there already"
        opened = forwarding.open_way(self.bridge, any(":" in address for address in self.addresses))
        script = f"{state.folder_of(self.bridge)}/rules.nft"
        helpers.start((find_nft(), "-f", "-"), script, rules(self.bridge, self.addresses, opened), world)
        return f"nft -f {script}" + (f"; {', '.join(opened)} forwards for it" if opened else "")

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 93:  # EPROTONOSUPPORT
            return (
                "this kernel has no nf_tables (CONFIG_NF_TABLES)",
                "a network without a way out: --internal",
            )
        if error.errno in (1, 13, 30):
            return "the settings of this network namespace can't be changed", "run as root, not inside Docker"
        return "", ""


def lower(bridge: str) -> None:
    """Take back what RaiseNat did."""
    helpers.wait_for(f"{state.folder_of(bridge)}/rules.nft")
    delete_table(table_of(bridge))
    forwarding.close_way(bridge)


def find_nft() -> str:
    """The path of nft(8). Raises NotPossibleHere."""
    if path := helpers.find_program("nft"):
        return path
    raise NotPossibleHere(
        "there is no way out for a network",
        condition="nft is not installed",
        cure="apt-get install nftables; or a network without a way out: sandbox network create --internal NAME",
    )


def delete_table(name: str) -> None:
    """Take a table away, if it is there."""
    with suppress(OSError):
        if has_table(name):
            helpers.call(find_nft(), "delete", "table", "inet", name)
