"""Networks on the shelf: made once, kept whole, removed when nobody needs them."""

import json
import os
import threading
from pathlib import Path

import pytest

from sandbox import networks
from sandbox.errors import AlreadyExists, InvalidOption, NotFound, WrongState
from sandbox.home import home as open_home
from sandbox.networks import leases, shelf
from sandbox.spec import DEFAULT_NETWORK, Spec

pytestmark = pytest.mark.usefixtures("home")


def test_the_default_network_is_there_when_it_is_first_asked_for() -> None:
    here = open_home()
    assert networks.names(here) == []
    net = networks.get(here, DEFAULT_NETWORK)
    assert networks.names(here) == [DEFAULT_NETWORK]
    assert networks.get(here, DEFAULT_NETWORK) == net
    assert len(net.bridge) <= 15
    assert (net.first, net.last, net.internal) == (2, 254, False)


def test_what_is_given_is_taken() -> None:
    here = open_home()
    net = networks.create(
        here, "lab", subnet="10.77.3.0/24,fd77:3::/64", range="10.77.3.100-10.77.3.199", bridge="labbr", internal=True
    )
    assert networks.get(here, "lab").bridge == "labbr"
    assert (net.first, net.last, net.internal) == (100, 199, True)
    assert net.subnets[0] == "10.77.3.0/24"
    assert net.at(7)[0] == "10.77.3.7/24"
    with pytest.raises(AlreadyExists):
        networks.create(here, "lab")


@pytest.mark.parametrize(("options", "why"), [
    ({"subnet": "10.77.0.0/30"}, "one IPv4 subnet"), ({"subnet": "fd00::/64"}, "one IPv4 subnet"),
    ({"subnet": "10.77.0.0/24,10.78.0.0/24"}, "one IPv4 subnet"), ({"subnet": "127.0.0.0/24"}, "has the address"),
    ({"subnet": "10.77.0.0/24", "range": "10.77.0.1-10.77.0.9"}, "is no range"),
    ({"subnet": "10.77.0.0/24", "range": "10.78.0.2-10.78.0.9"}, "is no range"),
    ({"subnet": "10.77.0.0/24", "range": "10.77.0.9-10.77.0.2"}, "is no range"),
    ({"bridge": "a" * 16}, "name of its bridge"), ({"bridge": "a/b"}, "name of its bridge"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_and_leaves_nothing(options: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        networks.create(open_home(), "lab", **options)  # type: ignore[arg-type]
    assert networks.names(open_home()) == []


@pytest.mark.parametrize("name", ["none", "host", "bridge", "container", "", "A", "a/b", "a.json", "../x", "x" * 33])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="is no name for a network"):
        networks.create(open_home(), name)


def test_two_networks_share_no_subnet_and_no_bridge() -> None:
    here = open_home()
    networks.create(here, "one", subnet="10.77.0.0/24", bridge="br77")
    with pytest.raises(InvalidOption, match="the network 'one' has"):
        networks.create(here, "two", subnet="10.77.0.0/16")
    with pytest.raises(InvalidOption, match="not taken"):
        networks.create(here, "two", bridge="br77")
    made = [networks.create(here, f"n{i}") for i in range(5)]
    assert len({net.bridge for net in made}) == len({net.subnets for net in made}) == 5


def test_bridges_are_readable_on_the_machines_own_shelf_and_differ_on_others(monkeypatch: pytest.MonkeyPatch) -> None:
    here = open_home()
    assert shelf._bridge(here, DEFAULT_NETWORK) != "sandbox0"
    monkeypatch.delenv("SANDBOX_HOME")
    assert shelf._bridge(here, DEFAULT_NETWORK) == "sandbox0"
    assert shelf._bridge(here, "lab") == "sb-lab"
    assert len(shelf._bridge(here, "x" * 32)) <= 15


def test_of_many_at_once_one_makes_it_and_all_see_the_same() -> None:
    here, found = open_home(), []
    threads = [threading.Thread(target=lambda: found.append(networks.get(here, DEFAULT_NETWORK))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len({net.subnets for net in found}) == 1


def test_one_that_is_used_is_not_removed() -> None:
    here = open_home()
    net = networks.create(here, "lab")
    here.create(Spec(name="box"))
    shelf.keep(here, net, here.folder("box"), 7)
    with pytest.raises(WrongState, match=r"in use .*box"):
        networks.remove(here, "lab")
    assert networks.containers(here, networks.get(here, "lab")) == {"box": networks.get(here, "lab").at(7)}
    here.remove("box")
    networks.remove(here, "lab")
    with pytest.raises(NotFound, match="no network 'lab'"):
        networks.get(here, "lab")
    with pytest.raises(NotFound):
        networks.remove(here, "lab")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "lab"}', '{"subnets": 7}', '{"subnets": [], "what": 1}'])
def test_a_file_that_can_not_be_read_is_set_aside_and_the_others_load(text: str, home: Path) -> None:
    here = open_home()
    networks.create(here, "good")
    (home / "networks" / "lab.json").write_text(text)
    with pytest.raises(NotFound, match="the network 'lab' can't be read"):
        networks.get(here, "lab")
    assert networks.names(here) == ["good"]
    assert [name for name in os.listdir(home / "networks") if ".bad-" in name]


def test_addresses_of_ipv6_are_left_out_where_the_host_has_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = open_home()
    networks.create(here, "lab", subnet="10.77.0.0/24,fd77::/64")
    monkeypatch.setattr(shelf.subnets, "has_ipv6", lambda: False)
    assert networks.get(here, "lab").subnets == ("10.77.0.0/24",)
    assert len(networks.create(here, "other").subnets) == 1
    assert json.loads((home / "networks" / "lab.json").read_text())["subnets"] == ["10.77.0.0/24", "fd77::/64"]


# --- leases ---------------------------------------------------------------------------------------------------------

NUMBERS = range(2, 6)


def begin(name: str) -> None:
    """Let the ledger know a container."""
    os.makedirs(open_home().ledger, exist_ok=True)
    Path(open_home().ledger, name).write_text("{}")


def end(name: str) -> None:
    os.unlink(f"{open_home().ledger}/{name}")


def test_every_container_gets_a_number_of_its_own_each_in_its_turn() -> None:
    here = open_home()
    for i, number in enumerate(NUMBERS):
        assert leases.take(here, "lab", f"c{i}", NUMBERS, set()) == number
        begin(f"c{i}")
    assert leases.take(here, "lab", "c9", NUMBERS, set()) == 0, "all are taken"
    assert leases.running(here, "lab") == {"c0": 2, "c1": 3, "c2": 4, "c3": 5}
    end("c1")
    assert leases.take(here, "lab", "c9", NUMBERS, set()) == 3
    for i in (0, 2, 3):
        end(f"c{i}")
    assert leases.take(here, "lab", "c10", NUMBERS, {4}) == 5, "the one after, and not one that is kept"


def test_one_that_is_about_to_start_is_not_robbed_while_others_are_free() -> None:
    here = open_home()
    assert leases.take(here, "lab", "slow", NUMBERS, set()) == 2
    assert [leases.take(here, "lab", f"c{i}", NUMBERS, set()) for i in range(3)] == [3, 4, 5]
    assert leases.take(here, "lab", "again", NUMBERS, set()) == 2, "when nothing else is left, the oldest that has not begun"


def test_a_container_that_starts_again_gives_its_old_number_back() -> None:
    here = open_home()
    begin("same")
    numbers = [leases.take(here, "lab", "same", NUMBERS, set()) for _ in range(9)]
    assert 0 not in numbers
    assert len(leases.running(here, "lab")) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"next": "x"}', '{"next": 1}', '{"next": 0, "taken": 7}'])
def test_leases_that_can_not_be_read_are_forgotten(text: str, home: Path) -> None:
    here = open_home()
    (home / "cache" / "leases-lab.json").write_text(text)
    assert leases.take(here, "lab", "c", NUMBERS, set()) == 2
    leases.forget(here, "lab")
    leases.forget(here, "lab")
