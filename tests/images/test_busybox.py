"""The image busybox is made of a static program, and works."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from sandbox.errors import NotPossibleHere, SandboxError
from sandbox.images import busybox, get
from sandbox.store import Home
from tests.images.conftest import inside

STATIC = next(filter(busybox.is_static, busybox.PLACES), None)
needs_busybox = pytest.mark.skipif(STATIC is None, reason="needs a static busybox: apt install busybox-static")


@needs_busybox
@pytest.mark.needs_userns
def test_its_shell_and_its_commands_run_without_anything_of_the_host(shelf: Home) -> None:
    image = get("busybox", shelf)
    assert image.mounts == ()
    assert inside(image, "/bin/sh", "-c", "echo $((6 * 7)); id -un; env true && echo yes").split() == ["42", "root", "yes"]
    assert inside(image, "/bin/ls", "/").split() == [
        "bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var",
    ]  # fmt: skip


@needs_busybox
def test_every_name_leads_to_the_one_program(shelf: Home) -> None:
    (layer,) = get("busybox", shelf).layers
    names = [f"{folder}/{name}" for folder, _, names in os.walk(layer) for name in names if "/etc" not in folder]
    links = [path for path in names if os.path.islink(path)]
    assert [path for path in names if path not in links] == [f"{layer}/bin/busybox"]
    assert {os.readlink(path) for path in links} == {"/bin/busybox"}
    assert {f"{layer}/bin/sh", f"{layer}/bin/ls", f"{layer}/usr/bin/env"} <= set(links)


def test_a_program_that_needs_a_loader_is_no_static_one(tmp_path: Path) -> None:
    assert not busybox.is_static(shutil.which("ls") or sys.executable)
    assert not busybox.is_static(f"{tmp_path}/missing")
    assert not busybox.is_static(str(tmp_path))
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\0" * 58, b"\x7fELF\x02\x01" + b"\xff" * 58):
        (tmp_path / "program").write_bytes(content)
        assert not busybox.is_static(f"{tmp_path}/program")


@needs_busybox
def test_one_of_another_processor_is_no_static_one(tmp_path: Path) -> None:
    assert STATIC
    content = bytearray(Path(STATIC).read_bytes())
    content[18] ^= 0xFF  # e_machine, elf(5)
    (tmp_path / "program").write_bytes(content)
    assert not busybox.is_static(f"{tmp_path}/program")


def test_without_a_static_busybox_the_package_is_named(shelf: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_BUSYBOX", shutil.which("ls") or sys.executable)
    with pytest.raises(NotPossibleHere, match=r"is not\)(.|\n)*apt install busybox-static"):
        get("busybox", shelf)
    monkeypatch.setenv("SANDBOX_BUSYBOX", "/nowhere/busybox")
    with pytest.raises(NotPossibleHere, match="there is none at /nowhere/busybox"):
        get("busybox", shelf)


@needs_busybox
def test_another_busybox_makes_another_layer(shelf: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert STATIC
    first = get("busybox", shelf)
    shutil.copy(STATIC, tmp_path / "busybox")
    monkeypatch.setenv("SANDBOX_BUSYBOX", f"{tmp_path}/busybox")
    assert get("busybox", shelf) == first
    with (tmp_path / "busybox").open("ab") as file:
        file.write(b"\0")
    assert get("busybox", shelf).layers != first.layers


@needs_busybox
def test_a_program_that_only_looks_like_busybox_is_refused(
    shelf: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert STATIC
    shutil.copy(STATIC, tmp_path / "cat")  # called so, it is cat, and lists nothing
    monkeypatch.setenv("SANDBOX_BUSYBOX", f"{tmp_path}/cat")
    with pytest.raises(SandboxError, match="names no bin/sh"):
        get("busybox", shelf)
    assert os.listdir(shelf.layers) == []
