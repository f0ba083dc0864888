"""Commands on networks of ours: network ls, create, inspect, rm, map."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..errors import InvalidOption, SandboxError
from .words import JSON, arg, command, complain, flag

if TYPE_CHECKING:
    from ..networks import Net

_ACTIONS = ("ls", "create", "inspect", "rm", "map")


@command(
    "list networks, make one, look at it, remove it, or see all: network ls | create NAME | inspect NAME | rm NAME | map",
    arg("action", choices=_ACTIONS, metavar="|".join(_ACTIONS), help="what to do"),
    arg("names", nargs="*", metavar="NAME", help="the network, or several"),
    arg("--subnet", default="", metavar="SUBNET", help="create: its addresses, 10.0.3.0/24 (default: chosen)"),
    arg("--range", default="", metavar="FIRST-LAST", help="create: those of them that containers get (default: all)"),
    arg("--bridge", default="", metavar="NAME", help="create: what its bridge is called on the host (default: chosen)"),
    flag("--internal", help="create: without a way out"), JSON,
)  # fmt: skip
def do_network(args: argparse.Namespace) -> int:
    from .. import networks
    from ..home import home as open_home

    home = open_home()
    if args.action == "map":
        from ..maps.networks import network_map

        print(json.dumps(asdict(network_map())) if args.json else network_map())
        return 0
    if args.action == "ls":
        found = [networks.get(home, name) for name in networks.names(home)]
        if args.json:
            print(json.dumps([_told(net, networks.containers(home, net)) for net in found]))
            return 0
        for net in found:
            print(f"{net.name:16} {net.bridge:15} {', '.join(net.subnets)}" + ("  internal" if net.internal else ""))
        return 0
    if not args.names or (args.action == "create" and len(args.names) > 1):
        raise InvalidOption(f"network {args.action} wants a name", cure=f"sandbox network {args.action} NAME")
    code = 0
    for name in args.names:
        try:
            if args.action == "create":
                asked = {"subnet": args.subnet, "range": args.range, "bridge": args.bridge, "internal": args.internal}
                print(networks.create(home, name, **asked).name)
            elif args.action == "rm":
                networks.remove(home, name)
                print(name)
            else:
                net = networks.get(home, name)
                print(json.dumps(_told(net, networks.containers(home, net)), indent=None if args.json else 2))
        except SandboxError as error:
            complain(error)
            code = 1
    return code


def _told(net: "Net", containers: dict[str, tuple[str, ...]]) -> dict[str, object]:
    first, last = net.at(net.first)[0], net.at(net.last)[0]
    return {
        "name": net.name, "bridge": net.bridge, "subnets": net.subnets, "internal": net.internal,
        "range": "-".join(address.partition("/")[0] for address in (first, last)), "containers": containers,
    }  # fmt: skip
