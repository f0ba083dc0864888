"""Addresses and names: the server on the bridge, asked as a container asks it."""

import contextlib
import os
import signal
import socket
import struct
import time

import pytest

from sandbox.linux import files
from sandbox.linux.netlink import Setting
from sandbox.primitives.network import AwaitHelpers, MakeBridge, PlugVeth, ServeNames, hwaddr_of
from sandbox.primitives.network.names import server
from sandbox.primitives.network.state import STATE, folder_of
from sandbox.step import World
from tests.own_network import Elsewhere, in_own_network
from tests.primitives.network.steps import apply, await_helpers, child, needs, without

GATEWAYS = ("10.7.0.1/24",)


def serving(container: str, number: int, hwaddr: str = "") -> ServeNames:
    address = f"10.7.0.{number}"
    mac = hwaddr or hwaddr_of(address)
    return ServeNames("br0", "net7", GATEWAYS, container, mac, (address,), (container, f"{container}-host"))


def served(world: World, there: Elsewhere, container: str, number: int, hwaddr: str = "") -> ServeNames:
    """A container that the server knows, with a cable but without an address."""
    needs("dnsmasq", "dnsmasq-base")
    apply(MakeBridge("br0", GATEWAYS), world)
    step = apply(serving(container, number, hwaddr), world)
    apply(PlugVeth("br0", hwaddr=step.hwaddr), world)
    await_helpers(world)
    with there.door() as inside:
        inside.set_link(inside.link("eth0").index, Setting(up=True))  # type: ignore[union-attr]
    return step


def lookup(name: str) -> str:
    """What the server says of a name: an address, or "no such name", or "nothing"."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(question, ("10.7.0.1", 53))
        answer = sock.recv(512)
    if answer[3] & 15:
        return "no such name"
    return socket.inet_ntoa(answer[-4:]) if struct.unpack(">H", answer[6:8])[0] else "nothing"


def eventually(name: str, wanted: str) -> bool:
    """Whether it comes to that within twenty seconds: the server is told of new files by the kernel."""
    end = time.monotonic() + 20
    while lookup(name) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return lookup(name) == wanted


def offered(there: Elsewhere, hwaddr: str) -> str:
    """The address that a container with this card is offered by DHCP; "" for none. RFC 2131"""
    mac = bytes.fromhex(hwaddr.replace(":", ""))
    discover = struct.pack(">4B I 2H 16x", 1, 1, 6, 0, 4711, 0, 0x8000) + mac.ljust(16, b"\0") + bytes(192)
    discover += b"\x63\x82\x53\x63" + bytes([53, 1, 1, 255])
    with there.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.bind(("0.0.0.0", 68))
        sock.settimeout(0.5)
        for _ in range(4):  # as every client does: the first may come before the cable is ready
            with contextlib.suppress(TimeoutError):
                sock.sendto(discover, ("255.255.255.255", 67))
                return socket.inet_ntoa(sock.recv(1024)[16:20])
    return ""


@in_own_network
def test_containers_of_a_network_know_one_another_by_name_as_they_come_and_go() -> None:
    with child() as (one, a), child() as (two, b):
        served(one, a, "web", 2)
        assert [lookup(name) for name in ("web", "web-host", "web.net7")] == ["10.7.0.2"] * 3
        pid = server("br0")
        second = served(two, b, "db", 3)
        assert eventually("db", "10.7.0.3")
        assert server("br0") == pid, "one server for all"
        second.undo()
        assert eventually("db.net7", "no such name")
        assert lookup("web") == "10.7.0.2"
        second.undo()


@in_own_network
def test_the_address_is_given_to_the_right_card_and_to_no_other() -> None:
    with child() as (world, there):
        served(world, there, "web", 7)
        with there.door() as inside:
            card = inside.link("eth0")
        assert card
        assert offered(there, card.hwaddr) == "10.7.0.7"
        assert offered(there, "02:00:00:00:00:99") == ""


@in_own_network
def test_an_address_that_is_free_again_is_given_to_another_card() -> None:
    with child() as (world, there), child() as (second, _):
        served(world, there, "web", 7, "00:16:3e:00:00:01").undo()
        apply(serving("new", 7, "00:16:3e:00:00:02"), second)
        end = time.monotonic() + 20
        while offered(there, "00:16:3e:00:00:02") != "10.7.0.7":
            assert time.monotonic() < end
        assert offered(there, "00:16:3e:00:00:01") == ""


@in_own_network
def test_it_hears_nobody_but_the_bridge_and_interrupt_does_not_reach_it() -> None:
    with child() as (world, there):
        served(world, there, "web", 2)
        listening = {line.split()[1] for kind in ("udp", "tcp") for line in files.read(f"/proc/net/{kind}").splitlines()[1:]}
        raw = f"{int.from_bytes(socket.inet_aton('10.7.0.1'), 'little'):08X}:0035"
        assert {each for each in listening if each.endswith(":0035")} == {raw}
        assert files.session(server("br0")) != os.getsid(0)
        assert files.status(server("br0"))["Uid"].split()[1] != "0"


@in_own_network
def test_it_ends_with_the_last_container_and_nothing_of_it_is_left() -> None:
    with child() as (world, there):
        step = served(world, there, "web", 2)
        pid = server("br0")
        assert pid
        step.undo()
        assert server("br0") == pid
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    end = time.monotonic() + 30
    while os.path.exists(STATE) and os.listdir(STATE):  # the cable goes by itself, a moment after its container
        MakeBridge("br0", GATEWAYS).undo()
        assert time.monotonic() < end
    while os.path.exists(f"/proc/{pid}") and not files.is_zombie(pid):
        assert time.monotonic() < end
    assert server("br0") == 0


@in_own_network
def test_a_stranger_with_the_same_number_is_not_taken_for_it() -> None:
    os.makedirs(folder_of("br0"))
    with open(f"{folder_of('br0')}/dnsmasq.pid", "w") as file:
        file.write(str(os.getpid()))
    assert server("br0") == 0
    MakeBridge("br0").undo()
    os.kill(os.getpid(), signal.SIGCONT)  # we are still here


@in_own_network
def test_a_server_that_was_killed_is_started_again_by_the_next_container() -> None:
    with child() as (one, a), child() as (two, b):
        served(one, a, "web", 2)
        first = server("br0")
        os.kill(first, signal.SIGKILL)
        while os.path.exists(f"/proc/{first}") and not files.is_zombie(first):
            time.sleep(0.01)
        served(two, b, "db", 3)
        assert server("br0") not in (0, first)
        assert [lookup(name) for name in ("web", "db")] == ["10.7.0.2", "10.7.0.3"]


@in_own_network
def test_without_dnsmasq_the_trace_says_what_is_missing() -> None:
    world, patch = World(), pytest.MonkeyPatch()
    apply(MakeBridge("br0", GATEWAYS), world)
    without(patch, "dnsmasq")
    assert serving("web", 2).apply(world) == "dnsmasq is not installed: no DHCP, and names only in /etc/hosts"
    serving("web", 2).undo()


@in_own_network
def test_where_another_server_has_the_port_the_container_starts_without_ours_and_the_trace_says_why() -> None:
    needs("dnsmasq", "dnsmasq-base")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 53))
        world = World()
        apply(MakeBridge("br0", GATEWAYS), world)
        apply(serving("web", 2), world)
        assert "without dnsmasq.conf: dnsmasq: failed to create listening socket" in AwaitHelpers().apply(world)
    assert server("br0") == 0


@in_own_network
def test_a_network_without_a_way_out_asks_nobody_outside() -> None:
    needs("dnsmasq", "dnsmasq-base")
    world = World()
    apply(MakeBridge("br0", GATEWAYS, routed=False), world)
    apply(ServeNames("br0", "net7", GATEWAYS, "web", hwaddr_of("10.7.0.2"), ("10.7.0.2",), ("web",), routed=False), world)
    await_helpers(world)
    assert "no-resolv\n" in files.read(f"{folder_of('br0')}/dnsmasq.conf")
    assert lookup("web") == "10.7.0.2"
    assert lookup("www.example.com") == "no such name"
