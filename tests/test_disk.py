"""Files are there whole or not at all, and are removed without harm."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import disk
from sandbox.errors import InvalidOption, KernelRefused, NotPossibleHere, SandboxError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    disk.write_json(f"{tmp_path}/a", {"text": "\udcff ☃", "list": [1, None]})
    disk.write_json(f"{tmp_path}/a", {"second": True}, durable=False)
    assert disk.read_json(f"{tmp_path}/a") == {"second": True}
    assert os.listdir(tmp_path) == ["a"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    disk.write_json(f"{tmp_path}/a", {"old": 1})
    with pytest.raises(TypeError):
        disk.write_json(f"{tmp_path}/a", {"new": object()})
    assert disk.read_json(f"{tmp_path}/a") == {"old": 1}
    assert os.listdir(tmp_path) == ["a"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=30) | st.integers(0, 40).map(lambda cut: json.dumps({"a": [1, 2, {"b": "text"}]}).encode()[:cut]))
def test_torn_and_foreign_files_are_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with suppress(ValueError):
        assert isinstance(disk.read_json(f"{tmp_path}/a"), dict)


def test_a_text_comes_back_byte_for_byte_whatever_its_encoding(tmp_path: Path) -> None:
    content = b"caf\xc3\xa9 \xff\r\n\rend"
    (tmp_path / "a").write_bytes(content)
    disk.write_text(f"{tmp_path}/b", disk.read_text(f"{tmp_path}/a"))
    assert (tmp_path / "b").read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_is_no_text_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "nul").write_bytes(b"a\nb\0\n")
    (tmp_path / "long").write_bytes(b"x" * 2000)
    for name, message in (("fifo", "no plain file"), ("nul", "nul:2: there is a NUL"), ("long", "longer than 1 KiB")):
        with pytest.raises(InvalidOption, match=message):
            disk.read_text(f"{tmp_path}/{name}", most=1999)
    assert disk.read_text(f"{tmp_path}/long", most=2000) == "x" * 2000
    with pytest.raises(IsADirectoryError):
        disk.read_text(str(tmp_path))


def test_json_nested_a_hundred_thousand_deep_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"nested|Expecting"):
        disk.read_json(f"{tmp_path}/a")


def test_a_tree_deeper_than_our_stack_and_our_descriptors_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for i in range(sys.getrecursionlimit() * 3):
        os.mkdir("d", dir_fd=here)
        os.close(os.open(f"file{i % 3}", os.O_CREAT, dir_fd=here))
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    before = len(os.listdir("/proc/self/fd"))
    disk.remove_tree(str(top))
    assert not top.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    for place in ("tree/link", "tree/inner/link"):
        (tmp_path / place).symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "tree" / "inner" / "fifo")
    disk.remove_tree(f"{tmp_path}/tree")
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_a_link_in_the_place_of_the_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="tree"):
        disk.remove_tree(f"{tmp_path}/tree")
    assert (tmp_path / "outside").is_dir()


def test_folders_that_nobody_may_enter_are_removed_too(tmp_path: Path) -> None:
    (tmp_path / "tree" / "work" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "work" / "inner").chmod(0)
    (tmp_path / "tree" / "work").chmod(0)
    disk.remove_tree(f"{tmp_path}/tree")
    assert not (tmp_path / "tree").exists()


def test_what_is_set_aside_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("?")
    assert Path(disk.set_aside(f"{tmp_path}/a")).read_text() == "?"
    assert not (tmp_path / "a").exists()
    disk.set_aside(f"{tmp_path}/a")  # somebody else was faster


def test_refusals_of_the_disk_become_one_sentence(tmp_path: Path) -> None:
    def fails(error: OSError) -> SandboxError:
        with pytest.raises(SandboxError) as caught, disk.explained(str(tmp_path)):
            raise error
        return caught.value

    assert "KiB and" in str(fails(OSError(28, "No space left on device")))
    assert isinstance(fails(OSError(30, "Read-only file system", "/x/y")), NotPossibleHere)
    assert "/x/y can't be written" in str(fails(PermissionError(13, "Permission denied", "/x/y")))
    told = KernelRefused("Step", "mount", 28)
    assert fails(told) is told
