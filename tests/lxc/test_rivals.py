"""Many commands at once on one container, each a process of its own: one final state, and everybody is told the truth."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.home import home as open_home
from sandbox.lxc import destroying
from sandbox.lxc.create import create
from tests.lxc.systems import needs_busybox
from tests.shell import Shell

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, needs_busybox]

MANY = 8


@pytest.fixture
def box(home: Path) -> Iterator[Container]:
    """A container; whatever its rivals made of it is gone after the test."""
    create(open_home(), "box", "busybox")
    yield Container("box")
    for name in ("box", *open_home().names()):
        if name in open_home().names():
            destroying.destroy(open_home(), name, force=True, snapshots=True)
    assert os.listdir(open_home().containers) == []
    assert sandbox.ledger() == []


def at_once(home: Path, *commands: list[str], many: int = MANY) -> dict[str, list[tuple[int, str]]]:
    """Call these all together, each `many` times; {} becomes a number. Of each the exit codes, and what they said."""
    shell = Shell(str(home), extra={"SANDBOX_PORTER": "no"})
    begun = [shell.begin(*(word.format(n) for word in words)) for n in range(many) for words in commands]
    ended: dict[str, list[tuple[int, str]]] = {words[0]: [] for words in commands}
    for process, words in zip(begun, list(commands) * many, strict=True):
        _, said = process.communicate(timeout=110)
        told = said.decode()
        # Either it was done, or one line says what kept it from being done, in words.
        assert told == "" or (told.count("\n") == 1 and told.startswith(f"{words[0]}: "))
        assert "Errno" not in told
        assert "the launcher" not in told
        ended[words[0]].append((process.returncode, told))
    return ended


def codes(told: list[tuple[int, str]]) -> list[int]:
    return sorted(code for code, _ in told)


def test_of_32_that_create_one_name_one_wins(home: Path) -> None:
    told = at_once(home, ["lxc-create", "-n", "box", "-t", "busybox"], many=32)["lxc-create"]
    assert codes(told) == [0] + [1] * 31
    assert all("there is a container 'box' already" in said for code, said in told if code)
    assert os.listdir(open_home().containers) == ["box"]
    assert Container("box").spec.hostname == "box"


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_starts_and_destroys(home: Path, box: Container, force: list[str]) -> None:
    told = at_once(home, ["lxc-start", "-n", "box", "-d"], ["lxc-destroy", "-n", "box", *force])
    destroyed = codes(told["lxc-destroy"]).count(0)
    assert destroyed <= 1
    assert box.on_shelf == (not destroyed)
    assert box.state == ("STOPPED" if destroyed else "RUNNING")
    assert destroyed == 1 or not force


@pytest.mark.parametrize("how", [[], ["-s"]])
def test_copies_and_destroys(home: Path, box: Container, how: list[str]) -> None:
    told = at_once(home, ["lxc-copy", "-n", "box", "-N", "copy{}", *how], ["lxc-destroy", "-n", "box"])
    copied, destroyed = codes(told["lxc-copy"]).count(0), codes(told["lxc-destroy"]).count(0)
    names = open_home().names()
    assert sum(name.startswith("copy") for name in names) == copied
    assert ("box" in names) == (not destroyed)
    assert not (how and copied and destroyed), "a base went while clones stand on it"
    for name in names:
        assert os.path.exists(f"{Container(name).spec.root.path or Container(name).spec.root.layers[0]}/bin/busybox")


@pytest.mark.parametrize("running", [False, True])
def test_stops_and_starts(home: Path, box: Container, running: bool) -> None:
    if running:
        box.start()
    told = at_once(home, ["lxc-stop", "-n", "box", "-k"], ["lxc-start", "-n", "box", "-d"])
    assert set(codes(told["lxc-stop"])) <= {0, 2}
    assert codes(told["lxc-start"]) == [0] * MANY, "that somebody else has started it is no failure, says LXC"
    begun = running + sum(said == "" for _, said in told["lxc-start"])
    assert box.state in ("RUNNING", "STOPPED")
    assert begun >= 1


def test_snapshots_and_starts(home: Path, box: Container) -> None:
    told = at_once(home, ["lxc-snapshot", "-n", "box"], ["lxc-start", "-n", "box", "-d"])
    snapshots = Path(box.home.folder("box"), "snaps")
    kept = sorted(os.listdir(snapshots)) if snapshots.exists() else []
    assert kept == [f"snap{n}" for n in range(codes(told["lxc-snapshot"]).count(0))]
    assert box.state == "RUNNING"


def test_renames_and_starts(home: Path, box: Container) -> None:
    told = at_once(home, ["lxc-copy", "-R", "-n", "box", "-N", "new{}"], ["lxc-start", "-n", "box", "-d"])
    (name,) = open_home().names()
    assert codes(told["lxc-copy"]).count(0) == (name != "box")
    assert Container(name).state == ("RUNNING" if name == "box" else "STOPPED")
    assert Container(name).spec.hostname == name
    assert Container(name).spec.root.path == f"{open_home().folder(name)}/rootfs"


def test_commands_inside_and_a_destroy(home: Path, box: Container) -> None:
    box.start()
    told = at_once(home, ["lxc-attach", "-n", "box", "--", "true"], ["lxc-destroy", "-f", "-n", "box"])
    assert codes(told["lxc-destroy"]) == [0] + [1] * (MANY - 1)
    assert set(codes(told["lxc-attach"])) <= {0, 1, 137}
    assert not box.on_shelf
