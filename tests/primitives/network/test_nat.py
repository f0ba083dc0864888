"""The way out and the way in: what the rules let through, tried with packets."""

import os
import socket

import pytest

from sandbox.errors import KernelRefused, NotPossibleHere
from sandbox.linux import files
from sandbox.linux.netlink import Netlink, Setting
from sandbox.primitives.network import MakeBridge, PlugVeth, Publish, RaiseNat
from sandbox.primitives.network.forwarding import leads_out6
from sandbox.primitives.network.nat import has_table
from sandbox.primitives.network.state import STATE, folder_of
from sandbox.step import World
from tests.own_network import FAR, HOST, WORLD, Elsewhere, ask, in_own_network, telling_who_calls, the_world
from tests.primitives.network.steps import apply, await_helpers, child, needs, nft, setting, without


def plugged(world: World, there: Elsewhere, bridge: str, subnet: str, number: int = 2, nat: bool = True) -> PlugVeth:
    """A container with an address on a bridge, which has a way out."""
    apply(MakeBridge(bridge, (f"{subnet}.1/24",)), world)
    if nat:
        needs("nft", "nftables")
        apply(RaiseNat(bridge, (f"{subnet}.1/24",)), world)
    cable = apply(PlugVeth(bridge, published=True), world)
    with there.door() as inside:
        link = inside.link("eth0")
        assert link
        inside.add_address(link.index, f"{subnet}.{number}/24")
        for index in (1, link.index):
            inside.set_link(index, Setting(up=True))
        inside.add_default_route(link.index, f"{subnet}.1")
    await_helpers(world)
    return cable


@in_own_network
def test_the_world_is_reached_and_sees_the_host() -> None:
    outer = the_world()
    with child() as (world, there), telling_who_calls(outer.socket(), FAR, 80):
        assert ask(FAR, 80, there.socket()) == ""
        plugged(world, there, "br0", "10.7.0")
        assert ask(FAR, 80, there.socket()) == HOST


@in_own_network
def test_nobody_comes_in_and_the_host_becomes_no_router_for_others() -> None:
    outer = the_world()
    with child() as (world, there), telling_who_calls(there.socket(), "0.0.0.0", 80):
        plugged(world, there, "br0", "10.7.0")
        with outer.door() as door:
            door.add_default_route(door.link("eth0").index, HOST)  # type: ignore[union-attr]
        assert ask("10.7.0.2", 80) == "10.7.0.1", "from the host it is reached"
        assert ask("10.7.0.2", 80, outer.socket()) == ""
        lan = Elsewhere()  # a second network of the host, which was none of the world's business before
        with Netlink() as net, lan.door() as there:
            net.add_link("veth", Setting("lan0"), peer=Setting("eth0", netns_fd=lan.fd))
            for side, name, address in ((net, "lan0", "10.99.0.1/24"), (there, "eth0", "10.99.0.2/24")):
                side.add_address(side.link(name).index, address)  # type: ignore[union-attr]
                side.set_link(side.link(name).index, Setting(up=True))  # type: ignore[union-attr]
            there.add_default_route(there.link("eth0").index, "10.99.0.1")  # type: ignore[union-attr]
        with telling_who_calls(lan.socket(), "10.99.0.2", 81):
            assert ask("10.99.0.2", 81) == "10.99.0.1"
            assert ask("10.99.0.2", 81, outer.socket()) == ""


@in_own_network
def test_one_network_does_not_reach_another_but_all_in_one_do() -> None:
    with child() as (one, a), child() as (two, b), child() as (three, c):
        plugged(one, a, "br0", "10.7.0", 2)
        plugged(two, b, "br0", "10.7.0", 3)
        plugged(three, c, "br1", "10.8.0", 2)
        with telling_who_calls(a.socket(), "10.7.0.2", 80):
            assert ask("10.7.0.2", 80, b.socket()) == "10.7.0.3"
            assert ask("10.7.0.2", 80, c.socket()) == ""


@in_own_network
def test_the_rules_are_raised_once_and_can_be_read_in_a_file() -> None:
    needs("nft", "nftables")
    world = World()
    apply(MakeBridge("br0", ("10.7.0.1/24",)), world)
    step = RaiseNat("br0", ("10.7.0.1/24", "fd00:7::1/64"))
    assert "nft -f" in step.apply(world)
    await_helpers(world)
    assert has_table("bridge_br0")
    assert step.apply(world) == "it is there already"
    script = files.read(f"{folder_of('br0')}/rules.nft")
    assert 'ip6 saddr fd00:7::1/64 oifname != "br0" masquerade' in script
    assert "ip saddr 10.7.0.0/24" in nft("list", "table", "inet", "bridge_br0")
    nft("flush", "ruleset")  # as a firewall's restart does
    assert "nft -f" in step.apply(world)
    await_helpers(world)
    assert has_table("bridge_br0")


@in_own_network
def test_only_the_devices_that_lead_somewhere_hand_packets_on_and_only_as_long_as_needed() -> None:
    the_world()
    with child() as (world, there), child() as (second, elsewhere):
        first = plugged(world, there, "br0", "10.7.0")
        other = plugged(second, elsewhere, "br1", "10.8.0")
        assert [setting(f"ipv4/conf/{name}/forwarding") for name in ("up0", "br0", "all")] == ["1", "1", "0"]
        first.undo()
        MakeBridge("br0").undo()
        assert setting("ipv4/conf/up0/forwarding") == "1", "the other network still needs it"
        assert [has_table(f"bridge_{name}") for name in ("br0", "br1")] == [False, True]
        other.undo()
        MakeBridge("br1").undo()
        assert setting("ipv4/conf/up0/forwarding") == "0"
    assert nft("list", "ruleset") == ""
    assert os.listdir(STATE) == []


@in_own_network
def test_a_machine_that_is_a_router_stays_one() -> None:
    the_world()
    files.write("/proc/sys/net/ipv4/conf/all/forwarding", "1")
    with child() as (world, there):
        plugged(world, there, "br0", "10.7.0").undo()
        assert 'iifname "up0"' not in nft("list", "ruleset")
        MakeBridge("br0").undo()
    assert setting("ipv4/conf/up0/forwarding") == "1"


@in_own_network
def test_without_nft_there_is_no_way_out_and_that_is_said() -> None:
    world, patch = World(), pytest.MonkeyPatch()
    apply(MakeBridge("br0", ("10.7.0.1/24",)), world)
    without(patch, "nft")
    with pytest.raises(NotPossibleHere, match=r"no way out .*nft is not installed(?s:.*)--internal"):
        apply(RaiseNat("br0", ("10.7.0.1/24",)), world)
    for fd in world.held.values():
        os.close(fd)
    MakeBridge("br0").undo()
    assert setting("ipv4/conf/all/forwarding") == "0"
    assert os.listdir(STATE) == []


@in_own_network
def test_rules_that_nft_refuses_are_told_in_its_words() -> None:
    needs("nft", "nftables")
    world = World()
    apply(MakeBridge("br0", ("10.7.0.1/24",)), world)
    apply(RaiseNat("br0", ("nonsense/24",)), world)
    with pytest.raises(NotPossibleHere, match=r"rules\.nft says was refused.*Error"):
        await_helpers(world)


# --- published ports ------------------------------------------------------------------------------------------------


@in_own_network
def test_a_published_port_leads_in_from_the_world_the_host_its_loopback_and_other_networks() -> None:
    outer = the_world()
    with child() as (world, there), child() as (second, elsewhere), child() as (third, neighbour):
        plugged(world, there, "br0", "10.7.0")
        plugged(second, elsewhere, "br1", "10.8.0")
        plugged(third, neighbour, "br0", "10.7.0", 3)
        step = apply(Publish("br0", "box", (("", 8080, "10.7.0.2", 80, "tcp"),)), world)
        await_helpers(world)
        with telling_who_calls(there.socket(), "0.0.0.0", 80):
            assert ask(HOST, 8080, outer.socket()) == WORLD, "the container sees who calls"
            assert ask("127.0.0.1", 8080) == "10.7.0.1"
            assert ask(HOST, 8080) == HOST
            assert ask(HOST, 8080, elsewhere.socket()) == "10.7.0.1"
            assert ask("10.7.0.1", 8080, neighbour.socket()) == "10.7.0.1"
            assert ask(HOST, 8080, there.socket()) == "10.7.0.1", "also itself"
            assert ask(HOST, 80, outer.socket()) == ""
        step.undo()
        step.undo()
        assert "publish" not in nft("list", "ruleset")
        assert [name for name in os.listdir(folder_of("br0")) if "publish" in name] == []


@in_own_network
def test_loopback_of_the_host_is_published_alone_and_containers_do_not_reach_it() -> None:
    outer = the_world()
    with child() as (world, there):
        plugged(world, there, "br0", "10.7.0")
        apply(Publish("br0", "box", (("127.0.0.1", 8080, "10.7.0.2", 80, "tcp"),)), world)
        await_helpers(world)
        assert setting("ipv4/conf/br0/route_localnet") == "1"
        with telling_who_calls(there.socket(), "0.0.0.0", 80), telling_who_calls(socket.socket(), "127.0.0.1", 81):
            assert ask("127.0.0.1", 8080) == "10.7.0.1"
            assert ask(HOST, 8080, outer.socket()) == ""
            assert ask("127.0.0.1", 81) == "127.0.0.1"
            with there:  # as a container with CAP_NET_ADMIN could do, to send the host's loopback to the host
                files.write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1")
            with there.door() as inside:
                inside.set_link(1, Setting(up=False))
            sock = there.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            assert ask("127.0.0.1", 81, sock) == ""


@in_own_network
def test_a_port_that_is_taken_is_refused_and_one_that_is_published_is_taken() -> None:
    with child() as (world, there):
        plugged(world, there, "br0", "10.7.0")
        with socket.socket() as other:
            other.bind(("127.0.0.1", 8080))
            with pytest.raises(KernelRefused, match=r"Publish: bind 0\.0\.0\.0:8080/tcp: EADDRINUSE"):
                apply(Publish("br0", "box", (("", 8080, "10.7.0.2", 80, "tcp"),)), world)
        apply(Publish("br0", "box", (("", 8080, "10.7.0.2", 80, "tcp"), ("", 8080, "10.7.0.2", 80, "udp"))), world)
        await_helpers(world)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", 8080))
        with pytest.raises(KernelRefused, match="does not have that address"):
            apply(Publish("br0", "box2", (("192.0.2.99", 8081, "10.7.0.2", 80, "tcp"),)), world)


@in_own_network
def test_datagrams_are_published_too() -> None:
    outer = the_world()
    with child() as (world, there):
        plugged(world, there, "br0", "10.7.0")
        apply(Publish("br0", "box", (("", 5353, "10.7.0.2", 53, "udp"),)), world)
        await_helpers(world)
        with there.socket(kind=socket.SOCK_DGRAM) as server, outer.socket(kind=socket.SOCK_DGRAM) as client:
            server.bind(("0.0.0.0", 53))
            client.settimeout(20)
            client.sendto(b"question", (HOST, 5353))
            question, who = server.recvfrom(100)
            server.sendto(question.upper(), who)
            assert client.recvfrom(100) == (b"QUESTION", (HOST, 5353))


@in_own_network
def test_the_ipv6_world_is_reached_too_where_the_kernel_can_open_one_device() -> None:
    if not os.path.exists("/proc/sys/net/ipv6/conf/all/force_forwarding"):
        pytest.skip("needs a kernel that hands IPv6 packets on for one device alone: Linux 6.17")
    outer = the_world()
    with Netlink() as net, outer.door() as there:
        for door, name, address in ((net, "up0", "2001:db8::2/64"), (there, "eth0", "2001:db8::1/64")):
            door.add_address(door.link(name).index, address)  # type: ignore[union-attr]
        assert not leads_out6()
        net.add_default_route(net.link("up0").index, "2001:db8::1")  # type: ignore[union-attr]
        there.add_address(1, "2001:db8:1::7/128")
    assert leads_out6()
    with child() as (world, there), telling_who_calls(outer.socket(socket.AF_INET6), "2001:db8:1::7", 80):
        subnets = ("10.7.0.1/24", "fd00:7::1/64")
        apply(MakeBridge("br0", subnets), world)
        apply(RaiseNat("br0", subnets), world)
        cable = apply(PlugVeth("br0"), world)
        with there.door() as inside:
            link = inside.link("eth0")
            assert link
            inside.add_address(link.index, "fd00:7::2/64")
            inside.set_link(link.index, Setting(up=True))
            inside.add_default_route(link.index, "fd00:7::1")
        await_helpers(world)
        assert ask("2001:db8:1::7", 80, there.socket(socket.AF_INET6)) == "2001:db8::2"
        assert setting("ipv6/conf/all/forwarding") == "0"
        assert setting("ipv6/conf/up0/force_forwarding") == "1"
        cable.undo()
        MakeBridge("br0").undo()
        assert setting("ipv6/conf/up0/force_forwarding") == "0"
