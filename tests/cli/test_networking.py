"""`sandbox network …`: what is made, shown and removed, and how refusals read."""

import json

import pytest

from tests.shell import Shell


def test_networks_are_made_listed_looked_at_and_removed(shell: Shell) -> None:
    assert shell.text("network", "ls") == ""
    assert shell.text("network", "create", "--subnet", "10.77.3.0/24", "--range", "10.77.3.9-10.77.3.20", "lab") == "lab"
    assert shell.text("network", "create", "--internal", "--bridge", "backbr", "back") == "back"
    back, lab = shell.text("network", "ls").splitlines()
    assert lab.split()[0] == "lab"
    assert "10.77.3.0/24" in lab
    assert back.split()[1] == "backbr"
    assert back.endswith("internal")
    told = json.loads(shell.text("network", "inspect", "lab"))
    assert (told["range"], told["containers"]) == ("10.77.3.9-10.77.3.20", {})
    assert [each["name"] for each in json.loads(shell.text("network", "ls", "--json"))] == ["back", "lab"]
    assert shell.text("network", "rm", "lab", "back").splitlines() == ["lab", "back"]
    assert shell.text("network", "ls") == ""


@pytest.mark.parametrize(("words", "why"), [
    (["create", "none"], b"is no name for a network"), (["create"], b"wants a name"), (["create", "a", "b"], b"wants a name"),
    (["create", "--subnet", "10.0.0.0/33", "lab"], b"is no subnet"), (["rm", "lab"], b"no network 'lab'"),
    (["inspect", "lab"], b"sandbox network create lab"), (["destroy", "lab"], b"invalid choice"),
])  # fmt: skip
def test_what_can_not_be_done_is_said_in_a_sentence(shell: Shell, words: list[str], why: bytes) -> None:
    done = shell.run("network", *words)
    assert done.returncode != 0
    assert why in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.needs_root
def test_a_container_on_a_network_that_went_says_so_and_the_plan_shows_how_it_would_be_made(shell: Shell) -> None:
    shell.text("network", "create", "lab")
    shell.text("create", "--name", "box", "--network", "lab", "busybox", "true")
    plan = shell.text("run", "--plan", "--network", "lab", "busybox", "true")
    assert "network='lab'" in plan
    assert "PlugVeth(bridge=" in plan
    shell.text("network", "rm", "lab")
    assert b"no network 'lab'" in shell.run("start", "box").stderr
