"""Who stands on whose files is known, and a crash in between never makes a base look free."""

import os
from pathlib import Path

from sandbox import dependents


def folder(tmp_path: Path, name: str, *bases: str) -> str:
    """A container's folder, which stands on others."""
    os.mkdir(tmp_path / name)
    if bases:
        dependents.write_bases(f"{tmp_path}/{name}", [(str(tmp_path), base) for base in bases])
    return f"{tmp_path}/{name}"


def test_clones_are_noted_as_lxc_notes_them(tmp_path: Path) -> None:
    base, _ = folder(tmp_path, "base"), folder(tmp_path, "clone", "base")
    dependents.add((str(tmp_path), "base"), (str(tmp_path), "clone"))
    assert Path(base, "lxc_snapshots").read_text() == f"{tmp_path}\nclone\n"
    assert (tmp_path / "clone/lxc_rdepends").read_text() == f"{tmp_path}\nbase\n"
    assert dependents.clones(base) == [(str(tmp_path), "clone")]
    dependents.drop((str(tmp_path), "base"), (str(tmp_path), "clone"))
    assert dependents.clones(base) == []
    assert os.listdir(base) == []


def test_a_clone_that_was_never_finished_does_not_count(tmp_path: Path) -> None:
    base = folder(tmp_path, "base")
    dependents.add((str(tmp_path), "base"), (str(tmp_path), "crashed"))
    assert dependents.clones(base) == []
    folder(tmp_path, "clone", "base")
    dependents.add((str(tmp_path), "base"), (str(tmp_path), "clone"))
    assert "crashed" not in Path(base, "lxc_snapshots").read_text()
    assert dependents.clones(base) == [(str(tmp_path), "clone")]


def test_another_container_that_took_the_name_of_a_clone_does_not_count(tmp_path: Path) -> None:
    base = folder(tmp_path, "base")
    folder(tmp_path, "other")
    Path(base, "lxc_snapshots").write_text(f"{tmp_path}\nother\n")
    assert dependents.clones(base) == []


def test_a_torn_list_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    base, _ = folder(tmp_path, "base"), folder(tmp_path, "clone", "base")
    Path(base, "lxc_snapshots").write_text(f"{tmp_path}\nclone\n/half")
    assert dependents.clones(base) == [(str(tmp_path), "clone")]


def test_snapshots_are_seen_but_not_half_made_ones(tmp_path: Path) -> None:
    base = folder(tmp_path, "base")
    assert not dependents.has_snapshots(base)
    os.makedirs(f"{base}/snaps/.new-1")
    assert not dependents.has_snapshots(base)
    os.mkdir(f"{base}/snaps/snap0")
    assert dependents.has_snapshots(base)
