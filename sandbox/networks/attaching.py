"""A container and its networks: what is still open in its Spec is filled in."""

import os
from dataclasses import replace

from ..cabling import USER
from ..errors import InvalidOption, NotPossibleHere
from ..linux import files
from ..linux.netlink import Netlink
from ..primitives.network import find_program, hwaddr_of
from ..primitives.network.forwarding import leads_out6
from ..primitives.network.usermode import ADDRESS, GATEWAY, NAMESERVER
from ..spec import DEFAULT_NETWORK, Network, Spec
from ..store import Home
from . import leases
from .shelf import Net, containers, keep, load, locked, names, save
from .subnets import Subnet, clash, in_use

#: Where programs on the host ask for names; the second, where the first only names a server on loopback. systemd-resolved(8)
_RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def attach(home: Home, spec: Spec) -> Spec:
    """The Spec with all that its networks need filled in: bridges, addresses, gateways, names.

    A container on the shelf keeps its addresses; a passing one has them as long as it runs.

    Raises:
        NotFound: there is no such network.
        NotPossibleHere: all addresses of a network are taken.
        InvalidOption: an address is wanted that somebody else keeps; or two devices are for the same network.
    """
    if "network" not in spec.namespaces:
        return replace(spec, nameservers=spec.nameservers or host_nameservers(loopback=True))
    if not spec.networks:
        return spec
    if os.geteuid() != 0:
        return _carried(spec)
    done: list[Network] = []
    hosts = dict(spec.hosts)
    nameservers = spec.nameservers
    with locked(home):
        for wanted in spec.networks:
            net = _network_of(home, wanted)
            if net is None:
                done.append(_foreign(wanted))
                continue
            if any(net.name == before.network for before in done):
                raise InvalidOption(
                    f"two devices on the network {net.name!r}", condition="a container has one address on each",
                    cure="put the second on another: sandbox network create NAME",
                )  # fmt: skip
            _check(net, wanted)
            number = _number(home, net, spec, wanted)
            done.append(_filled(net, wanted, number, out=not any(before.gateways for before in done)))
            if find_program("dnsmasq") and not nameservers:
                nameservers = (bare(net.at(1)[0]),)
            else:  # of several servers only the first would be asked: so who is on another network now is written down
                others = {name: own for name, own in containers(home, net).items() if name != spec.name}
                hosts |= {bare(address): (name,) for name, own in others.items() for address in own}
    nameservers = nameservers or host_nameservers(loopback=False)
    return replace(spec, networks=tuple(done), hosts=tuple(hosts.items()), nameservers=nameservers)


def _carried(spec: Spec) -> Spec:
    """For an ordinary user, who can make nothing on the host: one device, whose packets a program carries over."""
    first, *more = spec.networks
    if more or first.type != "veth":
        raise NotPossibleHere(
            "an ordinary user can give a container one network, by its name" if more else f"only root can use {first.type}",
            condition="bridges and cables of the host are root's", cure="--network bridge, or run as root",
        )  # fmt: skip
    device = replace(first, mode=USER, addresses=(ADDRESS,), gateways=(GATEWAY,))
    return replace(spec, networks=(device,), nameservers=spec.nameservers or (NAMESERVER,))


def release(home: Home, name: str) -> None:
    """Give back the addresses that a container kept: it was destroyed."""
    folder = home.folder(name)
    if not names(home):
        return
    with locked(home):
        for net in (load(home, each) for each in names(home)):
            if folder in net.kept:
                save(home, replace(net, kept={who: number for who, number in net.kept.items() if who != folder}))


def random_hwaddr() -> str:
    """An address for a network device, of the kind that LXC gives. lxc.container.conf(5)"""
    return f"00:16:3e:{os.urandom(3).hex(':')}"


def host_nameservers(loopback: bool) -> tuple[str, ...]:
    """Whom the host asks for names; with `loopback`, also servers that only the host itself can reach. resolv.conf(5)"""
    for path in _RESOLVERS:
        try:
            lines = [line.split() for line in files.read(path).splitlines()]
        except OSError:
            continue
        servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        if found := tuple(server for server in servers if loopback or not server.startswith(("127.", "::1"))):
            return found
    return ()


def bare(address: str) -> str:
    """An address without the length of its prefix."""
    return address.partition("/")[0]


def _network_of(home: Home, wanted: Network) -> Net | None:
    """The network of ours that a device is for: by its name, also as `link`, or by its bridge. None: it is for none."""
    if wanted.network:
        return load(home, wanted.network)
    if wanted.type != "veth" or not wanted.link:
        return None
    known = names(home)
    if by_bridge := next((net for net in (load(home, name) for name in known) if net.bridge == wanted.link), None):
        return by_bridge
    # A bridge of the host may be called like a network of ours: then it is the one that is meant.
    named = wanted.link in (*known, DEFAULT_NETWORK) and not os.path.exists(f"/proc/sys/net/ipv4/conf/{wanted.link}")
    return load(home, wanted.link) if named else None


def _check(net: Net, wanted: Network) -> None:
    """Refuse what can't be: ports that lead into a network without a way in, and a subnet that is somebody else's by now."""
    if wanted.publish and net.internal:
        raise InvalidOption(f"publish: the network {net.name!r} is internal", cure="publish on another network")
    up = f"/proc/sys/net/ipv4/conf/{net.bridge}"
    if os.path.exists(up):
        return  # so the subnet is ours, and nobody has to ask for all addresses and routes
    for subnet in map(Subnet.of, net.subnets):
        if (why := clash(subnet, in_use())) and not os.path.exists(up):  # another container may have brought it up meanwhile
            raise NotPossibleHere(
                f"the network {net.name!r} can't be used now", condition=f"it has {subnet}, and {why}",
                cure=f"make it anew, without its containers: sandbox network rm {net.name}",
            )  # fmt: skip


def _filled(net: Net, wanted: Network, number: int, out: bool) -> Network:
    """A device with the facts of its network; `out`: by this one it gets out of here, if the network leads anywhere."""
    bridge = net.at(1)
    given = sorted(wanted.addresses, key=lambda address: ":" in address)
    own = tuple(given) if given and ":" not in given[0] else (net.at(number)[0], *given) if given else net.at(number)
    ways = tuple(bare(address) for address in bridge if out and not net.internal and (":" not in address or leads_out6()))
    # Who says the addresses says the gateways, too. "auto" is LXC's word for ours.
    gateways = wanted.gateways if wanted.addresses and wanted.gateways != ("auto",) else ways
    hwaddr = wanted.hwaddr or hwaddr_of(bare(net.at(number)[0]))
    return replace(
        wanted, network=net.name, link=net.bridge, addresses=own, gateways=gateways, hwaddr=hwaddr, bridge=bridge,
        internal=net.internal,
    )  # fmt: skip


def _foreign(wanted: Network) -> Network:
    """A device that is for none of our networks: "auto" is the address of the bridge that it is plugged into."""
    if wanted.gateways != ("auto",):
        return wanted
    with Netlink() as door:
        bridge = door.link(wanted.link)
        own = [address for index, address in door.addresses() if bridge and index == bridge.index]
    return replace(wanted, gateways=tuple(bare(address) for address in own if not address.startswith("fe80:")))


def _number(home: Home, net: Net, spec: Spec, wanted: Network) -> int:
    """The number of a container's address in a network. Hold the lock."""
    folder, kept = home.folder(spec.name), net.alive()
    subnet = Subnet.of(net.subnets[0])
    asked = next((number for address in wanted.addresses if (number := subnet.number_of(address))), 0)
    others = {number: os.path.basename(who) for who, number in kept.items() if who != folder}
    others |= {number: name for name, number in leases.running(home, net.name).items() if name != spec.name}
    if asked in others or asked == 1:
        owner = others.get(asked, "the host")
        raise InvalidOption(f"the address {subnet.at(asked)} is taken", condition=f"{owner} has it", cure="choose another")
    numbers = range(net.first, net.last + 1)
    if os.path.isdir(folder):
        number = asked or kept.get(folder) or next((free for free in numbers if free not in others), 0)
        if number:
            keep(home, net, folder, number)
    else:
        number = asked or leases.take(home, net.name, spec.name, numbers, set(kept.values()))
    if not number:
        raise NotPossibleHere(
            f"the network {net.name!r} has no address left", condition=f"all {len(numbers)} are taken",
            cure="remove containers, or make a larger one: sandbox network create --subnet 10.99.0.0/16 NAME",
        )  # fmt: skip
    return number
