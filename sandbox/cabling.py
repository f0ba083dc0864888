"""Spec.networks → steps: what the network of a container needs outside and inside. A part of plans.py, and read with it."""

from collections.abc import Iterable

from .primitives.etc import WriteEtc
from .primitives.network import (
    AwaitHelpers,
    CarryPackets,
    ConfigureLink,
    MakeBridge,
    MoveLink,
    PlugMacvlan,
    PlugVeth,
    Publish,
    RaiseNat,
    ServeNames,
)
from .spec import Network, Spec
from .step import Step

#: Network.mode of a device whose packets a program carries: an ordinary user's.
USER = "user"


def bridges(spec: Spec, container: str) -> Iterable[Step]:
    """What our own networks need on the host: a bridge, a way out, a server for names. Early: programs take time."""
    for net in spec.networks:
        if net.bridge:
            yield MakeBridge(net.link, net.bridge, not net.internal)
            if not net.internal:
                yield RaiseNat(net.link, net.bridge)
            addresses = bare(net.addresses)
            yield ServeNames(
                net.link, net.network, net.bridge, container, net.hwaddr, addresses, names_of(spec), not net.internal
            )
            if net.publish:
                yield Publish(net.link, container, tuple(published(net, addresses)))


def published(net: Network, addresses: tuple[str, ...]) -> Iterable[tuple[str, int, str, int, str]]:
    """The rows of Publish: an address of the host leads to the container's address of the same family, no address to both."""
    for host, port, inside, protocol in net.publish:
        for address in addresses:
            if not host or (":" in host) == (":" in address):
                yield host, port, address, inside, protocol


def cables(spec: Spec, container: str, runtime: str) -> Iterable[Step]:
    """Its network devices, which the host puts into its namespace; an ordinary user's programs keep files in `runtime`."""
    for device, net in devices(spec):
        if net.mode == USER:
            yield CarryPackets(runtime, container, device, net.publish)
        elif net.type == "veth":
            yield PlugVeth(net.link, device, net.hwaddr, net.mtu, net.pair, bool(net.publish))
        elif net.type == "macvlan":
            yield PlugMacvlan(net.link, device, net.hwaddr, net.mtu, net.mode or "private")
        else:
            yield MoveLink(net.link, device, container)


def helped(spec: Spec) -> Iterable[Step]:
    """The last moment to learn that a program which was begun has failed."""
    if any(net.bridge or net.mode == USER for net in spec.networks):
        yield AwaitHelpers()


def links(spec: Spec) -> Iterable[Step]:
    """Its devices, set up from inside."""
    for device, net in devices(spec):
        if net.mode == USER:
            continue  # the program that carries its packets does that
        own = (net.mtu, net.hwaddr) if net.type == "phys" else (0, "")  # the others were born with them
        yield ConfigureLink(device, net.addresses, net.gateways, *own, up=net.up)


def born_in(spec: Spec) -> tuple[str, ...]:
    """The namespaces that are made for it: all its own, but for a network that it shares with another container."""
    return tuple(name for name in spec.namespaces if not (name == "network" and spec.join_network))


def devices(spec: Spec) -> Iterable[tuple[str, Network]]:
    """Its network devices by the names that they have inside."""
    found = [net for net in spec.networks if net.type != "empty"]
    return ((net.name or f"eth{i}", net) for i, net in enumerate(found))


def identity(spec: Spec) -> Iterable[Step]:
    """The files in /etc that tell it who it is and whom to ask. One without a network asks nobody."""
    if spec.networks or spec.hosts or spec.nameservers:
        search = tuple(net.network for net in spec.networks if net.bridge)
        yield WriteEtc(spec.hostname or spec.name, hosts_of(spec), spec.nameservers, search)


def hosts_of(spec: Spec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(address, names) of all that it knows without asking: itself first."""
    own = ((address, names_of(spec)[::-1]) for net in spec.networks for address in bare(net.addresses))
    return (*own, *spec.hosts)


def names_of(spec: Spec) -> tuple[str, ...]:
    """The names by which the others on a network know it."""
    return tuple(dict.fromkeys((spec.name, spec.hostname or spec.name)))


def bare(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses without the lengths of their prefixes."""
    return tuple(address.partition("/")[0] for address in addresses)
