"""The door to links, addresses and routes: ip(8) is the referee, in a network namespace of each test's own."""

import json
import os
import shutil
import socket
import subprocess
import time
from typing import Any

import pytest

from sandbox.linux import syscalls
from sandbox.linux.netlink import Netlink, Setting, told
from tests.own_network import Elsewhere, in_own_network


def ip(*words: str, elsewhere: Elsewhere | None = None) -> list[dict[str, Any]]:
    """What ip(8) says, as JSON."""
    if not shutil.which("ip"):
        pytest.skip("needs ip(8), the referee: apt-get install iproute2")
    enter = [] if elsewhere is None else ["nsenter", f"--net=/proc/self/fd/{elsewhere.fd}"]
    kept = () if elsewhere is None else (elsewhere.fd,)
    done = subprocess.run([*enter, "ip", "-d", "-s", "-j", *words], check=True, capture_output=True, text=True, pass_fds=kept)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def index_of(net: Netlink, name: str) -> int:
    found = net.link(name)
    assert found
    return found.index


@in_own_network
def test_a_bridge_is_what_ip_shows_of_it() -> None:
    with Netlink() as net:
        net.add_link("bridge", Setting("br0", up=True, hwaddr="02:00:00:00:00:07", mtu=1400))
        found = net.link("br0")
    (shown,) = ip("link", "show", "br0")
    assert found
    assert (found.index, found.name, found.kind, found.mtu, found.hwaddr, found.up) == (
        shown["ifindex"], "br0", shown["linkinfo"]["info_kind"], shown["mtu"], shown["address"], "UP" in shown["flags"],
    )  # fmt: skip
    assert (found.mtu, found.hwaddr, found.up) == (1400, "02:00:00:00:00:07", True)


@in_own_network
def test_one_end_of_a_cable_is_born_in_another_namespace_with_its_name_and_address() -> None:
    other = Elsewhere()
    with Netlink() as net:
        net.add_link("bridge", Setting("br0", up=True))
        bridge = index_of(net, "br0")
        peer = Setting("eth0", hwaddr="02:00:00:00:00:09", mtu=1300, netns_fd=other.fd)
        net.add_link("veth", Setting("vethx", up=True, mtu=1300, master=bridge), peer=peer)
        assert [port.name for port in net.links(master=bridge)] == ["vethx"]
    (ours,) = ip("link", "show", "vethx")
    (theirs,) = ip("link", "show", "eth0", elsewhere=other)
    assert (ours["master"], ours["mtu"]) == ("br0", 1300)
    assert (theirs["address"], theirs["mtu"], theirs["flags"].count("UP")) == ("02:00:00:00:00:09", 1300, 0)
    assert not [link for link in ip("link") if link["ifname"] == "eth0"]


@in_own_network
def test_a_process_is_another_way_to_name_a_namespace() -> None:
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as child, Netlink() as net:
        while os.readlink(f"/proc/{child.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        net.add_link("veth", Setting("vethx"), peer=Setting("inner", netns_pid=child.pid))
        there = os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY)
        with Netlink.of(there) as door:
            assert door.link("inner")
        os.close(there)
        child.kill()


@in_own_network
def test_the_door_to_another_namespace_leaves_us_where_we_are() -> None:
    before, other = os.readlink("/proc/self/ns/net"), Elsewhere()
    with other.door() as there, Netlink() as here:
        there.add_link("bridge", Setting("br9"))
        assert there.link("br9")
        assert here.link("br9") is None
    assert os.readlink("/proc/self/ns/net") == before


@in_own_network
def test_a_macvlan_is_a_second_device_on_the_first() -> None:
    with Netlink() as net:
        net.add_link("veth", Setting("a"), peer=Setting("b"))
        try:
            net.add_link("macvlan", Setting("m0"), link=index_of(net, "a"), mode="bridge")
        except OSError as error:
            pytest.skip(f"needs a kernel with macvlan: {error}")
    (shown,) = ip("link", "show", "m0")
    assert (shown["link"], shown["linkinfo"]["info_kind"], shown["linkinfo"]["info_data"]["mode"]) == (
        "a",
        "macvlan",
        "bridge",
    )


@in_own_network
def test_a_link_is_renamed_moved_and_comes_back() -> None:
    other = Elsewhere()
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    with Netlink() as net, other.door() as there:
        net.add_link("veth", Setting("a"), peer=Setting("b"))
        net.set_link(index_of(net, "a"), Setting("new", mtu=1234, netns_fd=other.fd))
        assert net.link("a") is None
        found = there.link("new")
        assert found
        assert found.mtu == 1234
        there.set_link(found.index, Setting("a", netns_fd=own))
        assert net.link("a")
        assert there.link("new") is None


@in_own_network
def test_who_takes_one_end_away_takes_both() -> None:
    with Netlink() as net:
        net.add_link("veth", Setting("a"), peer=Setting("b"))
        net.delete_link(index_of(net, "b"))
        assert net.link("a") is net.link("b") is None


@in_own_network
def test_addresses_and_default_routes_are_what_ip_shows() -> None:
    with Netlink() as net:
        net.add_link("veth", Setting("a", up=True), peer=Setting("b"))
        net.set_link(index_of(net, "b"), Setting(up=True))
        a = index_of(net, "a")
        wanted = ["10.1.2.3/20", "fd00::3/64"] if os.path.exists("/proc/net/if_inet6") else ["10.1.2.3/20"]
        for address in wanted:
            net.add_address(a, address)
        net.add_default_route(a, "10.1.2.1")
        if len(wanted) > 1:
            net.add_default_route(a, "fd00::1")
        ours = {(index, address) for index, address in net.addresses() if "fe80" not in address}
    shown = {(link["ifindex"], f"{each['local']}/{each['prefixlen']}") for link in ip("address") for each in link["addr_info"]
             if each["scope"] != "link"}  # fmt: skip
    assert ours == shown
    assert {(a, address) for address in wanted} < ours
    assert [(route["gateway"], route["dev"]) for route in ip("-4", "route") if route["dst"] == "default"] == [
        ("10.1.2.1", "a")
    ]
    if len(wanted) > 1:
        assert [route["gateway"] for route in ip("-6", "route") if route["dst"] == "default"] == ["fd00::1"]
        flags = next(each for link in ip("address", "show", "a") for each in link["addr_info"] if each["local"] == "fd00::3")
        assert not flags.get("tentative"), "it can't be used before the search for duplicates is over"


@in_own_network
def test_all_links_are_dumped_with_what_they_moved() -> None:
    with Netlink() as net:
        for i in range(120):  # more than fit into one packet
            net.add_link("veth", Setting(f"a{i}"), peer=Setting(f"b{i}"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("127.0.0.1", 9))
        ours = {link.name: (link.index, link.kind, link.rx_bytes, link.tx_bytes) for link in net.links()}
    shown = {
        link["ifname"]: (
            link["ifindex"], link.get("linkinfo", {}).get("info_kind", ""),
            link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"],
        )
        for link in ip("link")
    }  # fmt: skip
    assert ours == shown
    assert len(ours) == 241


@in_own_network
def test_a_refusal_names_the_message_the_link_and_what_the_kernel_says() -> None:
    with Netlink() as net:
        net.add_link("bridge", Setting("br0"))
        with pytest.raises(FileExistsError) as taken:
            net.add_link("bridge", Setting("br0"))
        assert isinstance(taken.value, syscalls.SyscallError)
        assert (taken.value.call, taken.value.filename) == ("RTM_NEWLINK", "br0")
        with pytest.raises(OSError, match="No such device"):
            net.delete_link(4711)
        with pytest.raises(OSError, match="unreachable") as unreachable:
            net.add_default_route(index_of(net, "lo"), "10.9.9.9")
        assert "gateway" in told(unreachable.value)
        assert told(taken.value) == told(OSError()) == ""
        assert net.link("nothing") is None
        assert net.link("br0"), "after a refusal the socket is as good as before"


@in_own_network
def test_every_message_is_noted_for_who_observes() -> None:
    syscalls.observe()
    with Netlink() as net:
        net.add_link("bridge", Setting("br0", up=True))
        net.link("nothing")
    calls = syscalls.observe(False)
    assert [(name, result) for name, _, result, _, _ in calls] == [("RTM_NEWLINK", 0), ("RTM_GETLINK", -19)]
    assert calls[0][1] == "bridge, name='br0', up=True"


@in_own_network
def test_no_descriptor_is_left() -> None:
    before = os.listdir("/proc/self/fd")
    with Netlink() as net:
        net.links()
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    with Netlink.of(own) as net:
        net.links()
    os.close(own)
    assert os.listdir("/proc/self/fd") == before
