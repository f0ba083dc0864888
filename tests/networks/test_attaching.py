"""What is still open in a Spec is filled in: bridges, addresses that stay, gateways, names."""

import os
from dataclasses import replace

import pytest

from sandbox import networks
from sandbox.errors import InvalidOption, NotFound, NotPossibleHere
from sandbox.home import home as open_home
from sandbox.linux.netlink import Netlink, Setting
from sandbox.networks import attaching, leases
from sandbox.primitives.network import hwaddr_of
from sandbox.spec import DEFAULT_NETWORK, NAMESPACES, Network, Spec
from tests.own_network import in_own_network

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.needs_root]

BOX = Spec(name="box", networks=(Network(network=DEFAULT_NETWORK),))


def attach(spec: Spec) -> Spec:
    return networks.attach(open_home(), spec)


def test_a_container_without_a_network_is_left_as_it_is() -> None:
    assert attach(Spec(name="box")) == Spec(name="box")
    assert networks.names(open_home()) == []


def test_a_passing_container_gets_all_that_its_device_needs() -> None:
    (device,) = attach(BOX).networks
    net = networks.get(open_home(), DEFAULT_NETWORK)
    assert (device.link, device.bridge) == (net.bridge, net.at(1))
    assert device.addresses == net.at(2)
    assert device.gateways[0] == net.at(1)[0].partition("/")[0]
    assert device.hwaddr == hwaddr_of(net.at(2)[0].partition("/")[0])
    assert (device.publish, device.name, device.internal) == ((), "", False)


def test_a_container_on_the_shelf_keeps_its_address_and_gives_it_back_in_the_end() -> None:
    here = open_home()
    other = attach(replace(BOX, name="first"))
    box = here.create(BOX)
    kept = attach(box).networks[0].addresses
    assert kept == attach(box).networks[0].addresses
    for i in range(5):
        assert attach(replace(BOX, name=f"c{i}")).networks[0].addresses not in (kept, other.networks[0].addresses)
    assert networks.containers(here, networks.get(here, DEFAULT_NETWORK)) == {"box": kept}
    here.remove("box")
    assert networks.containers(here, networks.get(here, DEFAULT_NETWORK)) == {}, "who is gone keeps nothing"
    networks.release(here, "box")
    assert networks.get(here, DEFAULT_NETWORK).kept == {}
    networks.release(here, "box")


def test_only_the_first_network_that_leads_anywhere_is_the_way_out() -> None:
    here = open_home()
    networks.create(here, "back", internal=True)
    networks.create(here, "lab")
    wanted = tuple(Network(network=name) for name in ("back", "lab", DEFAULT_NETWORK))
    found = attach(replace(BOX, networks=wanted)).networks
    assert [bool(device.gateways) for device in found] == [False, True, False]
    assert [device.internal for device in found] == [True, False, False]


def test_a_bridge_of_ours_means_its_network_and_what_is_given_stays() -> None:
    here = open_home()
    net = networks.create(here, "lab", subnet="10.77.3.0/24")
    given = Network(link=net.bridge, addresses=("10.77.3.9/24",), hwaddr="00:16:3e:01:02:03", gateways=("auto",), name="net0")
    (device,) = attach(replace(BOX, networks=(given,))).networks
    assert (device.network, device.addresses, device.hwaddr, device.name) == ("lab", given.addresses, given.hwaddr, "net0")
    assert device.gateways[0] == "10.77.3.1"
    (device,) = attach(replace(BOX, networks=(replace(given, gateways=()),))).networks
    assert device.gateways == (), "who says the addresses says the gateways, too"


def test_a_link_may_be_the_name_of_a_network_unless_the_host_has_a_device_of_that_name() -> None:
    networks.create(open_home(), "lo")
    found = attach(replace(BOX, networks=tuple(Network(link=link) for link in (DEFAULT_NETWORK, "lo", "br9")))).networks
    assert [device.network for device in found] == [DEFAULT_NETWORK, "", ""]
    assert [device.link for device in found][1:] == ["lo", "br9"]


def test_an_address_that_somebody_has_is_refused() -> None:
    here = open_home()
    networks.create(here, "lab", subnet="10.77.3.0/24")
    device = Network(network="lab", addresses=("10.77.3.9/24",))
    attach(here.create(replace(BOX, networks=(device,))))
    with pytest.raises(InvalidOption, match=r"10\.77\.3\.9/24 is taken \(box has it\)"):
        attach(replace(BOX, name="other", networks=(device,)))
    with pytest.raises(InvalidOption, match="the host has it"):
        attach(replace(BOX, name="other", networks=(replace(device, addresses=("10.77.3.1/24",)),)))


def test_a_network_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match=r"no network 'lab'(?s:.*)network create lab"):
        attach(replace(BOX, networks=(Network(network="lab"),)))


def test_when_all_addresses_are_taken_that_is_said() -> None:
    here = open_home()
    networks.create(here, "tiny", subnet="10.77.3.0/29")
    for i in range(5):
        attach(here.create(Spec(name=f"c{i}", networks=(Network(network="tiny"),))))
    for name in ("passing", "kept"):
        spec = Spec(name=name, networks=(Network(network="tiny"),))
        with pytest.raises(NotPossibleHere, match=r"no address left \(all 5 are taken\)"):
            attach(here.create(spec) if name == "kept" else spec)


def test_an_internal_network_publishes_nothing() -> None:
    networks.create(open_home(), "back", internal=True)
    with pytest.raises(InvalidOption, match="'back' is internal"):
        attach(replace(BOX, networks=(Network(network="back", publish=(("", 80, 80, "tcp"),)),)))


@in_own_network
def test_a_subnet_that_the_host_uses_by_now_is_refused_while_the_bridge_is_down() -> None:
    networks.create(open_home(), "lab", subnet="10.77.3.0/24")
    with Netlink() as net:
        net.add_link("veth", Setting("vpn0"), peer=Setting("x"))
        link = net.link("vpn0")
        assert link
        net.add_address(link.index, "10.77.0.1/16")
    with pytest.raises(NotPossibleHere, match=r"it has 10\.77\.3\.0/24, and the host has the address 10\.77\.0\.1/16"):
        attach(replace(BOX, networks=(Network(network="lab"),)))


def test_with_dnsmasq_the_bridge_is_asked_for_names_and_without_it_they_are_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = open_home()
    monkeypatch.setattr(attaching, "find_program", lambda name: f"/usr/sbin/{name}")
    box = here.create(BOX)
    attached = attach(box)
    assert attached.nameservers == (attached.networks[0].gateways[0],)
    assert attached.hosts == ()
    monkeypatch.setattr(attaching, "find_program", lambda name: "")
    monkeypatch.setattr(attaching, "host_nameservers", lambda loopback: ("192.0.2.53",))
    other = attach(replace(BOX, name="other"))
    assert other.hosts == tuple((address.partition("/")[0], ("box",)) for address in attached.networks[0].addresses)
    assert other.nameservers == ("192.0.2.53",)


def test_who_shares_the_hosts_network_asks_whom_the_host_asks() -> None:
    shared = tuple(name for name in NAMESPACES if name != "network")
    assert attach(Spec(name="box", namespaces=shared)).nameservers == attaching.host_nameservers(loopback=True)


@pytest.mark.parametrize(("first", "second", "loopback", "expected"), [
    ("nameserver 192.0.2.1\nsearch x\nnameserver fd00::1\n", "", False, ("192.0.2.1", "fd00::1")),
    ("nameserver 127.0.0.53\n", "nameserver 192.0.2.9\n", False, ("192.0.2.9",)),
    ("nameserver 127.0.0.53\n", "nameserver 192.0.2.9\n", True, ("127.0.0.53",)),
    ("# nothing\nnameserver\n", "", True, ()),
])  # fmt: skip
def test_a_server_on_the_hosts_loopback_is_no_use_to_a_container(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, first: str, second: str, loopback: bool, expected: tuple[str, ...]
) -> None:
    paths = [f"{tmp_path}/{i}" for i in range(2)]
    for path, text in zip(paths, (first, second), strict=True):
        with open(path, "w") as file:
            file.write(text)
    monkeypatch.setattr(attaching, "_RESOLVERS", (*paths, f"{tmp_path}/missing"))
    assert attaching.host_nameservers(loopback) == expected


def test_an_ordinary_user_gets_one_device_whose_packets_are_carried() -> None:
    here = open_home()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        attached = networks.attach(here, BOX)
        assert (attached.networks[0].mode, attached.nameservers) == ("user", ("10.0.2.3",))
        with pytest.raises(NotPossibleHere, match="one network"):
            networks.attach(here, replace(BOX, networks=BOX.networks * 2))
        with pytest.raises(NotPossibleHere, match="only root can use macvlan"):
            networks.attach(here, replace(BOX, networks=(Network(type="macvlan", link="eth0"),)))
    assert networks.names(here) == []


def test_addresses_of_cards_are_of_lxcs_kind_and_random() -> None:
    made = {networks.random_hwaddr() for _ in range(20)}
    assert all(hwaddr.startswith("00:16:3e:") and len(hwaddr) == 17 for hwaddr in made)
    assert len(made) == 20
    assert leases.running(open_home(), "lab") == {}
