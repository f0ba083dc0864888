import re

import pytest

from sandbox.errors import InvalidOption
from sandbox.lxc_config import Config, new_hwaddr, renew_hwaddrs
from sandbox.spec import NAMESPACES, Network
from tests.lxc_config.asking import noted, said


def card(*lines: str, kind: str = "veth") -> Network:
    (found,) = said(f"lxc.net.0.type = {kind}", *(f"lxc.net.0.{line}" for line in lines)).networks
    return found


def test_without_a_device_there_is_loopback_alone_as_in_lxc_5() -> None:
    assert said().networks == ()
    assert "network" in said().namespaces


def test_none_alone_is_the_hosts_network() -> None:
    found = said("lxc.net.0.type = none")
    assert (found.networks, set(NAMESPACES) - set(found.namespaces)) == ((), {"network"})
    both = said("lxc.net.0.type = none", "lxc.net.1.type = veth")
    assert ([network.type for network in both.networks], "network" in both.namespaces) == (["veth"], True)


def test_devices_come_in_the_order_of_their_numbers() -> None:
    found = said("lxc.net.10.type = phys", "lxc.net.10.link = eth1", "lxc.net.2.link = br0", "lxc.net.2.type = veth").networks
    assert [(network.type, network.link) for network in found] == [("veth", "br0"), ("phys", "eth1")]


def test_what_a_veth_has() -> None:
    found = card(
        "link = br0", "name = eth7", "flags = up", "hwaddr = 4A:49:43:49:79:bf", "mtu = 1400", "veth.pair = veth-c1",
        "ipv4.address = 10.2.3.5/24 10.2.3.255", "ipv4.address = 192.168.1.2", "ipv4.gateway = 10.2.3.1",
        "ipv6.address = 2003:db8::1", "ipv6.address = fd00::5/48", "ipv6.gateway = fe80::1",
    )  # fmt: skip
    assert found == Network(
        "veth", "", "br0", "eth7", "4A:49:43:49:79:bf", 1400, "", "veth-c1",
        ("10.2.3.5/24", "192.168.1.2/24", "2003:db8::1/64", "fd00::5/48"), ("10.2.3.1", "fe80::1"), True,
    )  # fmt: skip


def test_without_flags_a_device_stays_down_and_any_word_brings_it_up() -> None:
    assert not card().up
    assert card("flags = down").up


def test_an_address_without_a_length_has_that_of_its_class() -> None:
    addresses = [card(f"ipv4.address = {address}").addresses[0] for address in ("10.0.0.1", "172.16.0.1", "193.1.1.1")]
    assert addresses == ["10.0.0.1/8", "172.16.0.1/16", "193.1.1.1/24"]


def test_gateways_are_named_or_found_by_themselves() -> None:
    assert card("ipv4.gateway = auto").gateways == card("ipv4.gateway = auto", "ipv6.gateway = auto").gateways == ("auto",)
    assert card("ipv4.gateway = 1.1.1.1", "ipv6.gateway = auto").gateways == ("1.1.1.1",)
    assert "auto has no effect" in noted("lxc.net.0.ipv4.gateway = 1.1.1.1", "lxc.net.0.ipv6.gateway = auto")[0]
    assert card("ipv4.gateway = dev").gateways == ()
    assert "leads to a device" in noted("lxc.net.0.ipv4.gateway = dev")[0]
    assert card("ipv4.gateway = 1.1.1.1", "ipv4.gateway = 1.1.1.2").gateways == ("1.1.1.2",)


def test_a_macvlan_has_a_mode() -> None:
    assert card("link = eth0", kind="macvlan").mode == "private"
    assert card("macvlan.mode = bridge", kind="macvlan").mode == "bridge"


def test_a_device_or_a_line_of_it_is_taken_back_by_an_empty_value() -> None:
    lines = ["lxc.net.0.type = veth", "lxc.net.0.link = br0", "lxc.net.1.type = phys"]
    assert [network.type for network in said(*lines, "lxc.net.0 =").networks] == ["phys"]
    assert said(*lines, "lxc.net =").networks == ()
    assert said(*lines, "lxc.net.0.link =").networks[0].link == ""


def test_a_device_without_a_type_is_empty_as_in_lxc() -> None:
    assert said("lxc.net.0.link = br0").networks[0].type == "empty"


@pytest.mark.parametrize(
    "line",
    ["type = vlan", "type = ipvlan", "type = x", "name = 0123456789abcdef", "name = a/b", "name = ..", "hwaddr = nonsense",
     "hwaddr = 01:00:00:00:00:00", "hwaddr = 00:16:3e:yy:00:00", "mtu = 10", "mtu = x", "macvlan.mode = x",
     "ipv4.address = 10.0.0.1/33", "ipv4.address = 300.1.1.1/8",
     "ipv4.address = fd00::1", "ipv6.address = 10.0.0.1", "ipv6.address = fd00::1/129",
     "ipv4.gateway = fe80::1", "ipv6.gateway = 1.1.1.1", "ipv4.gateway = automatic", "veth.pair = a b"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc.net.0\."):
        said(f"lxc.net.0.{line}")


def test_what_has_no_effect_is_named() -> None:
    for line in ("script.up = /x", "veth.mode = router", "veth.ipv4.route = 10.0.0.0/8", "l2proxy = 1", "veth.vlan.id = 5"):
        assert noted(f"lxc.net.0.{line}")[0].startswith("2: lxc.net.0."), line


def test_each_x_of_a_mac_address_is_a_random_digit_and_it_is_never_that_of_a_group() -> None:
    found = {card("hwaddr = 00:16:3e:xx:XX:xx").hwaddr for _ in range(20)}
    assert len(found) > 15
    assert all(re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", address) for address in found)
    assert {int(new_hwaddr("xx:xx:xx:xx:xx:xx")[1], 16) & 1 for _ in range(50)} == {0}


def test_a_copy_gets_other_mac_addresses_where_there_are_some() -> None:
    text = "lxc.net.0.type = veth\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\nlxc.net.1.type = veth\n"
    config = Config(text)
    renew_hwaddrs(config)
    address = config.get("lxc.net.0.hwaddr")
    assert re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", address)
    assert address != "00:16:3e:00:00:01"
    assert config.text() == text.replace("00:16:3e:00:00:01", address)
