"""Files that nobody wrote with good will, or at all, are refused in one sentence, with file and line."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.errors import InvalidOption, NotFound, SandboxError
from sandbox.lxc_config import Config, notes, spec


def test_files_that_include_themselves_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"\nlxc.include = {tmp_path}/b\n")
    (tmp_path / "b").write_text(f"lxc.include = {tmp_path}/a\n")
    with pytest.raises(InvalidOption, match=r"b:1: .*/a includes itself"):
        Config.read(f"{tmp_path}/a")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a").write_text(f"lxc.include = {tmp_path}/link\n")
    with pytest.raises(InvalidOption, match=r"a:1: .*/link includes itself"):
        Config.read(f"{tmp_path}/a")


def test_files_may_include_one_another_only_so_deep_and_only_so_many(tmp_path: Path) -> None:
    for n in range(40):
        (tmp_path / f"{n}").write_text(f"lxc.include = {tmp_path}/{n + 1}\n")
    with pytest.raises(InvalidOption, match="more than 16 deep"):
        Config.read(f"{tmp_path}/0")
    for n in range(12):  # each of ten files includes ten others: a million million lines
        (tmp_path / f"d{n}").mkdir()
        for m in range(10):
            (tmp_path / f"d{n}" / f"{m}.conf").write_text(f"lxc.include = {tmp_path}/d{n + 1}/\n")
    with pytest.raises(InvalidOption, match="or 1000 times"):
        Config(f"lxc.include = {tmp_path}/d0\n")


def test_a_configuration_may_have_only_so_many_lines(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("lxc.group = a\n" * 60_000)
    with pytest.raises(InvalidOption, match=r"long:[0-9]+: these are more than 100000 lines"):
        Config(f"lxc.include = {tmp_path}/long\n" * 2)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"config can't be read \(No such file"):
        Config.read(f"{tmp_path}/config")
    with pytest.raises(NotFound, match="Is a directory"):
        Config.read(str(tmp_path))


def test_a_nul_a_huge_line_and_a_huge_file_are_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"lxc.group = a\n# \0\n")
    with pytest.raises(InvalidOption, match=r"config:2: there is a NUL byte"):
        Config.read(str(path))
    path.write_bytes(b"\n\nlxc.group = " + b"x" * 70_000)
    with pytest.raises(InvalidOption, match=r"config:3: the line is longer than 65536"):
        Config.read(str(path))
    path.write_bytes(b"# many\n" * 200_000)
    with pytest.raises(InvalidOption, match="longer than 1024 KiB"):
        Config.read(str(path))


def test_a_fifo_and_a_device_are_no_files_and_nobody_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (f"{tmp_path}/fifo", "/dev/zero", "/dev/tty"):
        with pytest.raises(SandboxError, match=r"is no plain file|can't be read"):
            Config.read(path)
        with pytest.raises(InvalidOption, match=r"is no plain file|can't be included"):
            Config(f"lxc.include = {path}\n")


words = [
    "lxc.", "lxc.net.", "0", ".type", "lxc.cgroup", "2", "=", " = ", "\n", "\n", "#", "'", '"', "veth", "\0", "\x1b[31m", "²",
    "lxc.include", "/", "lxc.mount.entry", "a b none bind", "lxc.idmap", "u 0 1 1", "lxc.cap.drop", "\r", "é",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.lists(st.sampled_from(words), max_size=40).map("".join).map(str.encode) | st.binary(max_size=200))
def test_garbage_is_read_or_refused_and_kept_byte_for_byte(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with suppress(SandboxError):
        config = Config.read(str(path))
        assert config.text().encode("utf-8", "surrogateescape") == content
        notes(config)
        spec(config, "c1", str(tmp_path))


def test_a_file_may_empty_its_keys_twenty_thousand_times() -> None:
    text = "lxc.net.0.type = veth\nlxc.net =\n" * 20_000
    assert Config(text).items() == []
