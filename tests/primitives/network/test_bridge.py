"""A bridge of ours: there when it is needed, gone when nobody is plugged in, and never somebody else's."""

import fcntl
import os

import pytest

from sandbox.errors import NotPossibleHere
from sandbox.linux.netlink import Netlink, Setting
from sandbox.primitives.network import MakeBridge, PlugVeth
from sandbox.primitives.network.state import STATE, lock
from sandbox.step import Step, World
from tests.own_network import in_own_network
from tests.primitives.network.steps import apply, child, names_of_links, setting

BRIDGE = MakeBridge("br0", ("10.7.0.1/24",))


@in_own_network
def test_a_bridge_is_made_once_and_has_its_addresses() -> None:
    world = World()
    apply(BRIDGE, world)
    with Netlink() as net:
        found = net.link("br0")
        assert found
        assert (found.kind, found.up) == ("bridge", True)
        assert (found.index, "10.7.0.1/24") in net.addresses()
        assert BRIDGE.apply(World()) == "it is there already"
        assert net.link("br0") == found


@in_own_network
def test_it_listens_to_no_router_in_a_container() -> None:
    apply(BRIDGE, World())
    assert setting("ipv6/conf/br0/accept_ra") == "0"


@in_own_network
def test_only_the_bridge_of_a_network_with_a_way_out_hands_packets_on() -> None:
    apply(BRIDGE, World())
    apply(MakeBridge("br1", ("10.8.0.1/24",), routed=False), World())
    assert (setting("ipv4/conf/br0/forwarding"), setting("ipv4/conf/br1/forwarding")) == ("1", "0")
    assert setting("ipv4/conf/all/forwarding") == "0"


@in_own_network
def test_the_last_one_takes_it_down_and_nothing_of_it_is_left() -> None:
    with child() as (first, _), child() as (second, _):
        for world in (first, second):
            apply(BRIDGE, world)
            apply(PlugVeth("br0"), world)
        BRIDGE.undo()
        assert "br0" in names_of_links(), "two are plugged in"
        with Netlink() as net:
            for port in net.links(master=net.link("br0").index):  # type: ignore[union-attr]
                net.delete_link(port.index)
        BRIDGE.undo()
    assert names_of_links() == set()
    assert os.listdir(STATE) == []
    BRIDGE.undo()
    assert os.listdir(STATE) == []


@in_own_network
def test_it_is_not_taken_down_while_somebody_is_plugging_in() -> None:
    with child() as (world, _):
        apply(BRIDGE, world)  # it has no port yet
        BRIDGE.undo()
        assert "br0" in names_of_links()
        cable = apply(PlugVeth("br0"), world)
        assert not world.held, "from here on the port keeps it"
        os.close(lock("br0", fcntl.LOCK_EX | fcntl.LOCK_NB))
        cable.undo()
    BRIDGE.undo()
    assert "br0" not in names_of_links()


@in_own_network
def test_one_that_a_crash_left_half_made_is_completed() -> None:
    world = World()
    apply(BRIDGE, world)
    os.unlink(f"{STATE}/br0/index")
    with Netlink() as net:
        net.set_link(net.link("br0").index, Setting(up=False))  # type: ignore[union-attr]
        apply(BRIDGE, World())
        assert net.link("br0").up  # type: ignore[union-attr]


@in_own_network
def test_a_device_of_that_name_that_is_not_ours_is_left_alone() -> None:
    with Netlink() as net:
        net.add_link("bridge", Setting("br0"))
        world = World()
        with pytest.raises(NotPossibleHere, match=r"br0 is not a bridge of ours(?s:.*)--bridge"):
            apply(BRIDGE, world)
        os.close(world.held["bridge br0"])
        BRIDGE.undo()
        assert net.link("br0")
    assert os.listdir(STATE) == []


@in_own_network
def test_what_is_undone_may_wait_a_moment_and_survives_the_ledger() -> None:
    assert BRIDGE.lingers
    assert Step.from_json(BRIDGE.to_json()) == BRIDGE
