"""Subnets as numbers: the standard library's ipaddress is the referee. And which are free, in a network of the test's own."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.linux.netlink import Netlink, Setting
from sandbox.networks import subnets
from sandbox.networks.subnets import Subnet
from tests.own_network import in_own_network

NETWORKS = st.ip_addresses(network="10.0.0.0/8").flatmap(
    lambda address: st.integers(8, 30).map(lambda length: ipaddress.ip_interface(f"{address}/{length}").network)
) | st.ip_addresses(v=6).flatmap(
    lambda address: st.integers(16, 120).map(lambda length: ipaddress.ip_interface(f"{address}/{length}").network)
)


@given(NETWORKS, st.integers(0, 255))
def test_numbers_and_addresses_are_those_of_ipaddress(net: ipaddress.IPv4Network | ipaddress.IPv6Network, number: int) -> None:
    ours = Subnet.of(str(net))
    number %= net.num_addresses
    assert (ipaddress.ip_network(str(ours)), ours.size) == (net, net.num_addresses)
    assert ipaddress.ip_interface(ours.at(number)) == ipaddress.ip_interface(f"{net[number]}/{net.prefixlen}")
    assert ours.number_of(ours.at(number)) == number
    assert Subnet.of(ours.at(number)) == ours


@given(NETWORKS, NETWORKS)
def test_they_overlap_where_ipaddress_says_so(
    one: ipaddress.IPv4Network | ipaddress.IPv6Network, two: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    expected = one.version == two.version and one.overlaps(two)  # type: ignore[arg-type]
    assert Subnet.of(str(one)).overlaps(Subnet.of(str(two))) == expected


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0/24", "fd00::/129", "10.0.0.0/x", "box", "10.0.0.0/-1"])
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="is no subnet"):
        Subnet.of(text)


def test_the_same_seed_chooses_the_same_and_goes_around_what_is_taken() -> None:
    first = subnets.choose("seed", [])
    assert subnets.choose("seed", []) == first
    assert Subnet.of("10.208.0.0/12").overlaps(first)
    second = subnets.choose("seed", [(first, "taken")])
    assert not second.overlaps(first)
    with pytest.raises(NotPossibleHere, match="no subnet is free"):
        subnets.choose("seed", [(Subnet.of("10.0.0.0/8"), "taken")])


def test_what_is_unique_is_local_and_differs() -> None:
    one, two = subnets.unique_local(), subnets.unique_local()
    assert ipaddress.ip_network(str(one)).subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert one != two
    assert one.length == 64


@in_own_network
def test_addresses_and_routes_of_the_host_are_in_the_way_and_the_default_route_is_not() -> None:
    with Netlink() as net:
        net.add_link("veth", Setting("a", up=True), peer=Setting("b"))
        link, peer = net.link("a"), net.link("b")
        assert link
        assert peer
        net.set_link(peer.index, Setting(up=True))
        net.add_address(link.index, "10.1.2.3/20")
        net.add_default_route(link.index, "10.1.2.1")
    known = list(subnets.in_use())
    assert "10.1.2.3/20" in subnets.clash(Subnet.of("10.1.15.0/24"), known)
    assert "route to 10.1.0.0/20 by a" in str([why for _, why in known])
    assert subnets.clash(Subnet.of("10.1.16.0/24"), known) == ""
