"""Cables: a device in the container, its other end where it belongs, and nothing that is somebody else's."""

import os
import subprocess
import time

import pytest

from sandbox.errors import KernelRefused, NotFound
from sandbox.linux import files
from sandbox.linux.netlink import Netlink, Setting
from sandbox.primitives.network import MoveLink, PlugMacvlan, PlugVeth
from sandbox.primitives.network.state import STATE
from tests.own_network import in_own_network
from tests.primitives.network.steps import apply, child, names_of_links


@in_own_network
def test_one_end_is_the_containers_the_other_is_plugged_into_the_bridge() -> None:
    with child() as (world, there), Netlink() as net, there.door() as inside:
        net.add_link("bridge", Setting("br0", up=True))
        cable = apply(PlugVeth("br0", "net7", "02:00:00:00:00:05", 1400), world)
        outer, inner = net.link(cable.host_end), inside.link("net7")
        assert outer
        assert inner
        assert (outer.master, outer.up, outer.mtu) == (net.link("br0").index, True, 1400)  # type: ignore[union-attr]
        assert (inner.hwaddr, inner.mtu, inner.kind) == ("02:00:00:00:00:05", 1400, "veth")
        assert len(cable.host_end) <= 15
        cable.undo()
        assert net.link(cable.host_end) is inside.link("net7") is None
        cable.undo()


@in_own_network
def test_each_has_a_name_of_its_own_and_only_a_chosen_one_must_be_free_at_once() -> None:
    with child() as (world, _):
        first, second = apply(PlugVeth(""), world), apply(PlugVeth("", "eth1"), world)
        assert first.host_end != second.host_end
        assert first.lingers
        named = apply(PlugVeth("", "eth2", pair="mine"), world)
        assert (named.host_end, named.lingers) == ("mine", False)


@in_own_network
def test_undo_leaves_a_strangers_cable_that_has_taken_the_name() -> None:
    with child() as (world, _), Netlink() as net:
        cable = apply(PlugVeth("", pair="mine"), world)
        net.delete_link(net.link("mine").index)  # type: ignore[union-attr]
        net.add_link("veth", Setting("mine"), peer=Setting("other"))
        cable.undo()
        assert net.link("mine")


@in_own_network
def test_what_can_not_be_plugged_in_says_why() -> None:
    with child() as (world, _):
        with pytest.raises(NotFound, match="there is no bridge 'br9' on the host"):
            apply(PlugVeth("br9"), world)
        apply(PlugVeth("", pair="mine"), world)
        with pytest.raises(KernelRefused, match=r"PlugVeth: RTM_NEWLINK mine: EEXIST \(there is a device mine"):
            apply(PlugVeth("", "eth1", pair="mine"), world)
        with pytest.raises(NotFound, match="there is no device 'up9'"):
            apply(PlugMacvlan("up9"), world)


@in_own_network
def test_a_macvlan_is_the_containers_and_goes_with_it() -> None:
    with child() as (world, there), Netlink() as net:
        net.add_link("veth", Setting("up0"), peer=Setting("x"))
        try:
            step = apply(PlugMacvlan("up0", "eth0", "02:00:00:00:00:06", mode="bridge"), world)
        except KernelRefused as refused:
            pytest.skip(f"needs a kernel with macvlan: {refused.condition}")
        with there.door() as inside:
            found = inside.link("eth0")
        assert found
        assert (found.kind, found.hwaddr) == ("macvlan", "02:00:00:00:00:06")
        assert names_of_links() == {"up0", "x"}
        assert not step.leaves_something


@in_own_network
def test_a_device_that_was_given_away_comes_back_under_its_name_whatever_the_container_called_it() -> None:
    """Also when all its processes have ended, and also a virtual one, which the kernel would not give back."""
    with Netlink() as net:
        net.add_link("veth", Setting("up0"), peer=Setting("x"))
        with child() as (world, there):
            step = apply(MoveLink("up0", "eth0", "box"), world)
            assert net.link("up0") is None
            with there.door() as inside:
                found = inside.link("eth0")
                assert found
        assert not os.path.exists(f"/proc/{world.pid}")
        assert net.link("up0") is None
        step.undo()
        assert net.link("up0")
        assert os.listdir(STATE) == []
        assert not [mount for mount in files.mountinfo() if "netns-" in mount.mount_point]
        step.undo()
        assert net.link("up0")


@in_own_network
def test_undo_before_anything_was_given_away_does_nothing() -> None:
    MoveLink("up0", "eth0", "box").undo()
    with child() as (world, _):
        step = MoveLink("up0", "eth0", "box")
        with pytest.raises(NotFound, match="there is no device 'up0'"):
            apply(step, world)
        os.makedirs(STATE, exist_ok=True)
        with open(f"{STATE}/netns-box-up0", "w"):  # it was killed before it could mount
            step.undo()
    assert not os.path.exists(f"{STATE}/netns-box-up0")


@in_own_network
def test_the_kernel_takes_a_cable_away_with_its_container() -> None:
    with subprocess.Popen(["true"]), child() as (world, _):
        cable = apply(PlugVeth(""), world)
    end = time.monotonic() + 30
    while cable.host_end in names_of_links():
        assert time.monotonic() < end
        time.sleep(0.01)
    cable.undo()
