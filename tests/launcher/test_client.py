"""How the keeper is started."""

from pathlib import Path

import pytest

import sandbox
from sandbox.launcher import client

pytestmark = pytest.mark.needs_userns


def _systemd(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A machine on which systemd runs, and a systemd-run that does `script`; returns where that writes its words."""
    (folder / "bin").mkdir()
    program, said = folder / "bin" / "systemd-run", folder / "said"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    monkeypatch.setattr(client, "SYSTEMD", str(folder))
    return said


def test_where_systemd_runs_the_keeper_gets_a_delegated_scope(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _systemd(tmp_path, monkeypatch, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    assert sandbox.run("busybox", "echo in a scope").text == "in a scope\n"
    assert "--scope" in said.read_text()
    assert "--property=Delegate=yes" in said.read_text()


def test_where_systemd_refuses_a_scope_the_keeper_starts_without(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _systemd(tmp_path, monkeypatch, "echo no bus >&2; exit 1")
    assert sandbox.run("busybox", "echo without").text == "without\n"
    assert said.exists()
