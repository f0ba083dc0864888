"""The map of networks: real bridges and cables, in a network namespace of their own."""

import pytest

import sandbox
from sandbox import networks
from sandbox.home import home as open_home
from sandbox.maps import rules
from tests.networks.scenes import SERVE, out, started
from tests.own_network import WORLD, in_own_network, the_world
from tests.primitives.network.steps import names_of_links, needs

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.needs_root]


@in_own_network
def test_bridges_cables_addresses_rules_and_what_is_apart() -> None:
    needs("nft", "nftables")
    the_world()
    networks.create(open_home(), "back", internal=True)
    web = started("web", SERVE, network=["bridge", "back"], publish="8080:80")
    db, side = started("db", network="back"), started("side", network="container:web")
    seen = sandbox.network_map()
    cables = {(cable.container, cable.device): cable for cable in seen.cables}
    assert cables.keys() == {("web", "eth0"), ("web", "eth1"), ("db", "eth0")}
    assert {cable.host_end for cable in seen.cables} <= names_of_links()
    assert cables["db", "eth0"].addresses[0].partition("/")[0] in db.info().ips
    assert {bridge.network: bridge.internal for bridge in seen.bridges} == {"sandbox": False, "back": True}
    assert seen.lonely == {"side": "in the network of web"}
    assert seen.ways == (f"default via {WORLD} dev up0",)
    address = cables["web", "eth0"].addresses[0].partition("/")[0]
    assert ("", 8080, "web", address, 80, "tcp") in seen.published
    told = str(seen)
    for sentence in ("back has no way out", "are apart: no packet goes", "on several at once: web",
                     "seen with the host's address", f"port 8080/tcp of the host leads to web, {address}:80"):  # fmt: skip
        assert sentence in told
    for box in (side, web, db):
        box.kill()


@in_own_network
def test_counters_move_as_packets_do_seen_from_the_container() -> None:
    needs("nft", "nftables")
    box = started("box")
    before = sandbox.network_map(with_rules=False)
    gateway = networks.get(open_home(), "sandbox").at(1)[0].partition("/")[0]
    out(box, f"ping -c 3 -s 1000 -W 2 {gateway}")
    after = sandbox.network_map(with_rules=False)
    assert after.cables[0].sent - before.cables[0].sent >= 3000
    assert after.cables[0].packets_sent - before.cables[0].packets_sent >= 3
    received, sent = after.rates(before)["box", "eth0"]
    assert min(received, sent) > 0
    box.kill()


@in_own_network
def test_every_rule_of_ours_is_said_in_words() -> None:
    needs("nft", "nftables")
    the_world()
    web = started("web", SERVE, publish=["8080:80", "127.0.0.1:8081:80"])
    for text in sandbox.network_map().rules.values():
        lines = [line.strip() for line in text.splitlines()]
        real = [line for line in lines if line.endswith(("accept", "drop", "masquerade")) or " dnat " in line]
        assert real
        assert all(rules.explained(line) for line in real)
    web.kill()


@in_own_network
def test_without_containers_it_says_so() -> None:
    assert "no container has a cable" in str(sandbox.network_map())
    assert "the host's way out: none" in str(sandbox.network_map())
