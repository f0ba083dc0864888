"""Containers on a network, whole: names, the way out, ports, isolation, and that nothing of it is left."""

import json
from pathlib import Path

import pytest

import sandbox
from sandbox import Container, networks
from sandbox.errors import KernelRefused, NotFound, NotPossibleHere, WrongState
from sandbox.home import home as open_home
from sandbox.linux.netlink import Netlink, Setting
from sandbox.primitives.network import PlugVeth, find_program
from sandbox.spec import Network, Spec
from sandbox.starting import collect, spec_for
from tests.networks.scenes import SERVE, SLEEP, eventually, everything_gone, left_files, out, started
from tests.own_network import FAR, HOST, WORLD, ask, in_own_network, telling_who_calls, the_world
from tests.primitives.network.steps import names_of_links, needs, setting

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.needs_root]


@in_own_network
def test_containers_reach_one_another_by_name_and_by_address_and_the_world_sees_the_host() -> None:
    needs("nft", "nftables")
    needs("dnsmasq", "dnsmasq-base")
    outer = the_world()
    web = started("web", SERVE, hostname="www")
    (address, *_) = web.info().ips
    eventually(lambda: "hello from www" in out("busybox", f"nc -w 2 {address} 80 </dev/null"))
    for name in ("web", "www", "web.sandbox"):
        assert "1 packets received" in out("busybox", f"ping -c 1 -W 2 {name}")
    with telling_who_calls(outer.socket(), FAR, 80):
        assert out("busybox", f"nc -w 2 {FAR} 80 </dev/null") == f"{HOST}\n"
    web.kill()
    assert sandbox.ledger() == []
    eventually(everything_gone)
    assert setting("ipv4/conf/up0/forwarding") == "0"


@in_own_network
def test_what_a_container_sees_of_its_network() -> None:
    needs("nft", "nftables")
    said = out("busybox", "ip -4 a show eth0; ip r; cat /etc/hosts /etc/resolv.conf /etc/hostname", name="box", hostname="me")
    net = networks.get(open_home(), "sandbox")
    own, gateway = net.at(2)[0], net.at(1)[0].partition("/")[0]
    assert f"inet {own}" in said
    assert f"default via {gateway} dev eth0" in said
    assert f"{own.partition('/')[0]}\tme box" in said
    assert "127.0.0.1\tlocalhost" in said
    assert said.endswith("\nme\n")


@in_own_network
def test_two_networks_are_apart_and_who_is_on_both_reaches_both() -> None:
    needs("nft", "nftables")
    networks.create(open_home(), "back", internal=True)
    db, web = started("db", SERVE, network="back"), started("web", SERVE, network=["bridge", "back"])
    address = db.info().ips[0]
    assert "hello from db" in out(web, "nc -w 2 db 80 </dev/null" if find_program("dnsmasq") else f"nc -w 2 {address} 80")
    assert "hello" not in out("busybox", f"nc -w 1 {address} 80 </dev/null")
    assert "eth1" in out(web, "ip a")
    assert "default" not in out(db, "ip r")
    assert "Network unreachable" in out(db, f"nc -w 1 {WORLD} 80 </dev/null").replace("is u", "u")
    for container in (db, web):
        container.kill()


@in_own_network
def test_a_published_port_leads_to_the_container_as_long_as_it_runs() -> None:
    needs("nft", "nftables")
    outer = the_world()
    web = started("web", SERVE, publish=["8080:80", "127.0.0.1:8081:80"], network=None)
    eventually(lambda: ask(HOST, 8080, outer.socket()) == "hello from web")
    eventually(lambda: ask("127.0.0.1", 8080) == "hello from web")
    eventually(lambda: ask("127.0.0.1", 8081) == "hello from web")
    assert ask(HOST, 8081, outer.socket()) == ""
    with pytest.raises(KernelRefused, match=r"8080/tcp: EADDRINUSE"):
        sandbox.run("busybox", "true", publish="8080:80")
    web.kill()
    assert sandbox.ledger() == []
    assert ask("127.0.0.1", 8080) == ""
    again = started("web", SERVE, publish="8080:80", network=None)
    eventually(lambda: ask("127.0.0.1", 8080) == "hello from web")
    again.kill()


@in_own_network
def test_a_container_on_the_shelf_has_the_same_address_at_every_start() -> None:
    needs("nft", "nftables")
    box = Container.create("box", "busybox", SLEEP, network="bridge")
    found = []
    for _ in range(2):
        box.start()
        found.append((box.info().ips, out(box, "cat /sys/class/net/eth0/address")))
        box.kill()
        out("busybox", "true")
        sandbox.ledger()
    assert found[0] == found[1]
    assert networks.containers(open_home(), networks.get(open_home(), "sandbox")).keys() == {"box"}
    box.destroy()
    assert networks.get(open_home(), "sandbox").kept == {}


@in_own_network
def test_dhcp_gives_the_container_the_address_that_it_has() -> None:
    needs("nft", "nftables")
    needs("dnsmasq", "dnsmasq-base")
    box = started("box", cap_add="NET_ADMIN")
    said = out(box, "ip -4 addr flush dev eth0 2>/dev/null || ip addr flush dev eth0; udhcpc -n -q -f -i eth0 -s /bin/true")
    assert f"lease of {networks.get(open_home(), 'sandbox').at(2)[0].partition('/')[0]} obtained" in said
    box.kill()


@in_own_network
def test_info_tells_the_cable_and_what_the_container_has_sent() -> None:
    needs("nft", "nftables")
    box = started("box")
    before = box.info()
    out(box, f"ping -c 3 -s 1000 -W 2 {networks.get(open_home(), 'sandbox').at(1)[0].partition('/')[0]}")
    after = box.info()
    assert after.link.startswith("veth")
    assert after.link in names_of_links()
    assert before.tx_bytes is not None
    assert after.tx_bytes is not None
    assert after.tx_bytes - before.tx_bytes >= 3000
    assert sandbox.containers()[0].ips == after.ips
    box.kill()


@in_own_network
def test_the_network_of_another_container_is_shared() -> None:
    needs("nft", "nftables")
    web = started("web", SERVE)
    address = web.info().ips[0]
    second = started("second", network="container:web")
    assert second.info().ips == web.info().ips
    for said in (out("busybox", "nc -w 2 127.0.0.1 80 </dev/null", network="container:web"),
                 out(second, "nc -w 2 127.0.0.1 80 </dev/null")):  # fmt: skip
        assert said == "hello from web\n"
    said = out("busybox", "ip link set eth0 down; cat /etc/hosts; ls /sys/class/net; readlink -f /proc/self/root",
               network="container:web")  # fmt: skip
    assert "Operation not permitted" in said
    assert f"{address}\tweb" in said
    assert "eth0\nlo\n" in said
    assert "eth0" not in out("busybox", "ip a", network="none"), "whoever comes next has a network of its own"
    web.kill()
    second.kill()
    with pytest.raises(WrongState, match="'web' is not running"):
        sandbox.run("busybox", "true", network="container:web")


@in_own_network
def test_the_hosts_network_is_shared_with_its_names() -> None:
    the_world()
    said = out("busybox", "ip a; cat /etc/resolv.conf", network="host")
    assert HOST in said
    assert ("nameserver" in said) == bool(networks.attaching.host_nameservers(loopback=True))


@in_own_network
def test_macvlan_and_a_device_of_the_host_are_the_containers_as_long_as_it_runs() -> None:
    with Netlink() as net:
        net.add_link("veth", Setting("up1", up=True), peer=Setting("x", up=None))
    device = Network(type="phys", link="up1", name="net0", mtu=1400, addresses=("10.9.9.9/24",))
    spec = sandbox.spec_for("busybox", "ip a show net0", name="box")
    for wanted in (device, Network(type="macvlan", link="up1", name="net0", mode="bridge", addresses=("10.9.9.9/24",))):
        try:
            result = sandbox.run(_with(spec, wanted))
        except KernelRefused as refused:
            if "no macvlan" not in refused.condition:
                raise
            continue
        assert b"inet 10.9.9.9/24" in result.stdout, result.stderr
        assert sandbox.ledger() == []
        assert "up1" in names_of_links()
    assert left_files() == []


def _with(spec: Spec, *devices: Network) -> Spec:
    return Spec.from_json(spec.to_json() | {"networks": [vars(device) for device in devices]})


@in_own_network
def test_a_network_that_can_not_be_had_is_refused_and_nothing_is_left() -> None:
    with pytest.raises(NotFound, match="no network 'lab'"):
        sandbox.run("busybox", "true", network="lab")
    with pytest.raises(NotFound, match="no bridge 'br9'"):
        sandbox.run(_with(spec_for("busybox", "true", name="box"), Network(link="br9")))
    net = networks.create(open_home(), "lab")
    with Netlink() as door:
        door.add_link("bridge", Setting(net.bridge))
        with pytest.raises(NotPossibleHere, match="is not a bridge of ours"):
            sandbox.run("busybox", "true", network="lab")
        assert sandbox.ledger() == []
        found = door.link(net.bridge)
        assert found
        door.delete_link(found.index)
    assert left_files() == []


@in_own_network
def test_many_at_once_have_different_addresses() -> None:
    needs("nft", "nftables")
    jobs = [sandbox.spawn("busybox", "ip -4 a show eth0; sleep 1", network="bridge") for _ in range(12)]
    said = "".join(collect(job).stdout.decode() for job in jobs)
    assert len({line.split()[1] for line in said.splitlines() if "inet " in line}) == 12


@in_own_network
def test_a_cable_is_known_by_its_mark_in_the_ledger(home: Path) -> None:
    needs("nft", "nftables")
    box = started("box")
    entry = next(entry for entry in sandbox.ledger() if entry["name"] == "box")
    cable = next(PlugVeth.from_json(data) for data in entry["undo"] if data["step"] == "PlugVeth")
    assert cable.host_end == box.info().link
    assert json.loads((home / "networks" / "sandbox.json").read_text())["kept"] == {}
    box.kill()
