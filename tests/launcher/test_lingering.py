"""What may be undone a moment later: it waits in the ledger, the next container may use it meanwhile, and then it goes."""

import time
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.launcher import client, lingering
from sandbox.launcher.ledger import Ledger
from sandbox.launcher.lingering import Lingering, split
from sandbox.primitives.network import MakeBridge, PlugVeth
from tests.own_network import in_own_network
from tests.primitives.network.steps import names_of_links, needs

BRIDGE, CABLE = MakeBridge("br0", ("10.7.0.1/24",)).to_json(), PlugVeth("br0", mark="0102030405").to_json()
NAMED = PlugVeth("br0", pair="mine", mark="0102030405").to_json()


def undone(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of undoing it: what would be undone, in a list."""
    done: list[Any] = []
    monkeypatch.setattr(lingering, "undo", done.extend)
    return done


def test_only_what_may_wait_waits() -> None:
    at_once, later = split([BRIDGE, {"step": "ClaimIds", "seed": "x", "base": 7}, CABLE, NAMED])
    assert later == [BRIDGE, CABLE]
    assert [data["step"] for data in at_once] == ["ClaimIds", "PlugVeth"]


def test_it_stands_in_the_ledger_until_it_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, ledger = undone(monkeypatch), Ledger(str(tmp_path / "ledger"))
    waiting = Lingering(ledger, {"boot": "b"})
    label = waiting.add("box", [BRIDGE, CABLE])
    (entry,) = ledger.entries()
    assert entry["undo"] == [BRIDGE, CABLE]
    assert "pid" not in entry
    assert entry["name"].startswith("box~"), "no container is called so"
    waiting.settle(label)
    assert done == [BRIDGE, CABLE]
    assert not list(ledger.entries())
    waiting.settle(label)
    assert done == [BRIDGE, CABLE]


def test_what_a_later_one_needs_to_undo_too_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = undone(monkeypatch)
    waiting = Lingering(Ledger(str(tmp_path / "ledger")), {})
    first = waiting.add("one", [BRIDGE, CABLE])
    waiting.add("two", [BRIDGE])
    waiting.settle(first)
    assert done == [CABLE]
    waiting.settle_all()
    assert done == [CABLE, BRIDGE]
    assert not waiting.waiting


def test_what_can_not_be_undone_stays_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(steps: object) -> None:
        raise OSError(16, "busy")

    monkeypatch.setattr(lingering, "undo", refuse)
    ledger = Ledger(str(tmp_path / "ledger"))
    waiting = Lingering(ledger, {})
    waiting.settle(waiting.add("box", [BRIDGE]))
    assert len(list(ledger.entries())) == 1


@pytest.mark.usefixtures("home")
@in_own_network
def test_the_next_container_finds_the_bridge_and_nobody_has_to_ask_for_it_to_go() -> None:
    needs("nft", "nftables")
    made = []
    for _ in range(2):
        result = sandbox.run("busybox", "true", network="bridge")
        made += result.trace.results("MakeBridge")
    assert made[1] == "it is there already"
    assert [entry["name"].partition("~")[0] for entry in Ledger(open_home().ledger).entries()]
    end = time.monotonic() + 60
    while list(Ledger(open_home().ledger).entries()):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not [name for name in names_of_links() if name.startswith("sb")]


@pytest.mark.usefixtures("home")
@in_own_network
def test_a_launcher_that_is_asked_to_end_undoes_it_first() -> None:
    needs("nft", "nftables")
    sandbox.run("busybox", "true", network="bridge")
    assert [name for name in names_of_links() if name.startswith("sb")]
    client.end(open_home())
    assert not [name for name in names_of_links() if name.startswith("sb")]
