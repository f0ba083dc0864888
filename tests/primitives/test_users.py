"""Users: id maps, ranges that nobody else has, and who one is inside."""

import errno
import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from sandbox.errors import NotPossibleHere
from sandbox.primitives import users
from sandbox.primitives.users import CONTAINER_IDS, ClaimIds, MapIds
from sandbox.step import World
from tests.conftest import NOBODY
from tests.primitives.staging import ROOT_MAP, Refused, play


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own in place of /run/systemd/nspawn-uid."""
    monkeypatch.setattr(users, "LOCKS", str(tmp_path / "nspawn-uid"))
    return tmp_path / "nspawn-uid"


def claim(seed: str) -> tuple[ClaimIds, World]:
    world = World()
    step = ClaimIds(seed).choose(world)
    step.apply(world)
    return step, world


# --- ranges ---------------------------------------------------------------------------------------------------------


def test_the_ranges_are_those_that_systemd_documents_for_containers() -> None:
    """https://systemd.io/UIDS-GIDS: 0x00080000 to 0x6FFFFFFF; ours are 65,536 wide and begin at a multiple of that."""
    assert (CONTAINER_IDS[0], CONTAINER_IDS[-1] + 0xFFFF) == (0x80000, 0x6FFEFFFF)
    assert all(base % 0x10000 == 0 for base in CONTAINER_IDS)


def test_two_containers_never_share_an_id(locks: Path) -> None:
    claims = [claim("same seed") for _ in range(20)]
    bases = [step.base for step, _ in claims]
    assert len(set(bases)) == 20
    assert sorted(map(int, os.listdir(locks))) == sorted(bases)
    assert [world.id_base for _, world in claims] == bases
    for _, world in claims:
        os.close(world.held["ids"])


def test_choosing_makes_nothing(locks: Path) -> None:
    """What is made must be in the ledger before; so the choice itself may not leave a file."""
    assert ClaimIds("box").choose(World()).base in CONTAINER_IDS
    assert not locks.exists() or not os.listdir(locks)


def test_the_same_name_gets_the_same_range_again(locks: Path) -> None:
    assert ClaimIds("box").choose(World()) == ClaimIds("box").choose(World())


def test_the_same_name_on_another_shelf_gets_another_range(locks: Path) -> None:
    here, there = World(), World()
    here.shelf, there.shelf = "/run/container-sandbox/a/ledger", "/run/container-sandbox/b/ledger"
    assert ClaimIds("box").choose(here) != ClaimIds("box").choose(there)


def test_a_lock_of_somebody_else_such_as_systemd_nspawn_is_respected(locks: Path) -> None:
    wanted = ClaimIds("box").choose(World()).base
    locks.mkdir()
    with open(locks / str(wanted), "w") as foreign:
        fcntl.flock(foreign, fcntl.LOCK_EX)
        assert ClaimIds("box").choose(World()).base == CONTAINER_IDS[(CONTAINER_IDS.index(wanted) + 1) % len(CONTAINER_IDS)]
        with pytest.raises(NotPossibleHere, match="taken a moment ago"):
            ClaimIds("box", wanted).apply(World())
        ClaimIds("box", wanted).undo()  # not ours: it stays
        assert (locks / str(wanted)).exists()
    assert ClaimIds("box").choose(World()).base == wanted  # a file that nobody locks is nobody's


def test_undo_takes_the_file_away_and_may_be_called_twice(locks: Path) -> None:
    step, world = claim("box")
    os.close(world.held["ids"])
    step.undo()
    assert os.listdir(locks) == []
    step.undo()
    assert os.listdir(locks) == []


def test_undo_leaves_a_range_alone_that_is_still_held(locks: Path) -> None:
    step, world = claim("box")
    step.undo()
    assert os.listdir(locks) == [str(step.base)]
    os.close(world.held["ids"])


def test_a_link_in_place_of_the_lock_is_not_followed(locks: Path, tmp_path: Path) -> None:
    base = ClaimIds("box").choose(World()).base
    locks.mkdir()
    (locks / str(base)).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        ClaimIds("box", base).apply(World())
    assert not (tmp_path / "victim").exists()


def test_a_lock_that_was_unlinked_while_we_waited_for_it_is_not_a_lock(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = ClaimIds("box").choose(World())
    locks.mkdir()
    lock, unlinked = fcntl.flock, []

    def unlink_first(fd: int, operation: int) -> None:
        if not unlinked:
            unlinked.append(fd)
            (locks / str(step.base)).unlink()
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", unlink_first)
    world = World()
    step.apply(world)
    assert os.fstat(world.held["ids"]).st_nlink == 1
    os.close(world.held["ids"])


def test_a_thousand_taken_ranges_are_told_instead_of_searched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimIds, "_is_free", staticmethod(lambda base: False))
    with pytest.raises(NotPossibleHere, match="no free range"):
        ClaimIds("box").choose(World())


# --- maps -----------------------------------------------------------------------------------------------------------

in_userns = pytest.mark.needs_userns


@in_userns
@pytest.mark.needs_root
def test_root_inside_is_nobody_outside_with_a_whole_range() -> None:
    maps, ids, outside = play("said = [users.read_maps(), os.getresuid() + os.getresgid(), os.stat('/').st_uid]")
    assert maps == {"uid": [list(ROOT_MAP[0])], "gid": [list(ROOT_MAP[0])]}
    assert ids == [0] * 6
    assert outside == NOBODY  # the host's root has no name in here: the overflow id


@in_userns
@pytest.mark.needs_root
def test_an_empty_map_is_the_range_just_claimed() -> None:
    outside = "world.id_base = 0x70000000; do(MapIds(), world)"
    rows = play("do(BecomeRoot(), world); said = users.read_maps()", outside=outside, unmapped=True)
    assert rows == {"uid": [[0, 0x70000000, 65536]], "gid": [[0, 0x70000000, 65536]]}


@pytest.mark.needs_root
@in_userns
def test_a_user_may_map_itself_and_loses_setgroups(user_python: str, user_source: object) -> None:
    maps, setgroups = play(
        "said = [users.read_maps(), files.read('/proc/self/setgroups').strip()]",
        user=NOBODY, python=user_python, source=user_source,
    )  # fmt: skip
    uid = os.geteuid() or NOBODY
    assert maps["uid"] == [[0, uid, 1]]
    assert setgroups == "deny"


@in_userns
@pytest.mark.needs_root
def test_a_user_who_maps_more_than_itself_is_refused_in_words(user_python: str, user_source: object) -> None:
    with pytest.raises(Refused, match=r"MapIds: write .*_map: EPERM") as refusal:
        play("", rows=((0, NOBODY, 2),), user=NOBODY, python=user_python, source=user_source)
    assert f"uid {NOBODY} may map only itself" in refusal.value.condition
    assert "newuidmap" in refusal.value.cure


def test_a_child_that_is_not_dumpable_is_explained() -> None:
    """Rootless exec must map first and become undumpable then."""
    condition, cure = MapIds().explain(OSError(errno.EACCES, ""), World())
    assert "not dumpable" in condition
    assert "before PR_SET_DUMPABLE" in cure


@in_userns
def test_becoming_root_without_a_map_is_explained() -> None:
    with pytest.raises(Refused, match=r"BecomeRoot: .*EINVAL") as refusal:
        play("do(BecomeRoot(groups=False), world)", unmapped=True)
    assert "id 0 is not mapped" in refusal.value.condition
    assert "MapIds was left out" in refusal.value.cure


@in_userns
@pytest.mark.needs_root
def test_a_user_outside_of_the_map_can_not_be_become_and_the_refusal_shows_the_map() -> None:
    with pytest.raises(Refused, match=r"SetUser: .*EINVAL") as refusal:
        play("do(SetUser('1000'), world)", rows=((0, 0x70000000, 1),))
    assert refusal.value.condition == "1000 is not mapped: uid_map is '0 1879048192 1'"
    assert "uidmap" in refusal.value.cure


@in_userns
@pytest.mark.needs_root
def test_changing_an_owner_to_an_unmapped_one_is_einval() -> None:
    with pytest.raises(AssertionError, match=r"OSError\(22"):
        play("do(MakePrivate(), world); do(MountScratch(1 << 20), world); os.chown('/tmp', 70000, 0)")


def test_newuidmap_that_refuses_is_told_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("newuidmap", "newgidmap"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$0 $*" >> "$(dirname "$0")/called"; exit 3\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    world = World()
    world.pid = 4711
    with pytest.raises(NotPossibleHere, match="newgidmap 4711 0 1000 1 1 100000 65536 failed with 3") as refusal:
        MapIds(((0, 1000, 1),), ((0, 1000, 1), (1, 100000, 65536)), helper=True).apply(world)
    assert "/etc/subuid" in refusal.value.condition
    assert (tmp_path / "called").read_text().split()[1:] == ["4711", "0", "1000", "1", "1", "100000", "65536"]


def test_a_missing_newuidmap_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises((NotPossibleHere, FileNotFoundError)):
        MapIds(((0, 1000, 1),), ((0, 1000, 1),), helper=True).apply(World())


def test_ones_own_maps_are_read_as_numbers() -> None:
    rows = users.read_maps()
    assert set(rows) == {"uid", "gid"}
    text = subprocess.run(["cat", "/proc/self/uid_map"], capture_output=True, text=True).stdout
    assert rows["uid"] == tuple(tuple(map(int, line.split())) for line in text.splitlines())
