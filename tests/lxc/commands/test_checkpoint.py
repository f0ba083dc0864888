"""lxc-checkpoint: its words, and its refusal."""

from pathlib import Path

import pytest

import sandbox
from sandbox.lxc.commands import main

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "-D is required"),
        (["-D", "/x", "-r", "-s"], "-s not compatible with -r"),
        (["-D", "/x", "-r", "-p"], "-p not compatible with -r"),
        (["-D", "/x", "-F"], "-d and -F need -r"),
        (["-D", "/x"], "nope is not defined"),
    ],
)
def test_what_makes_no_sense_is_refused_first(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-checkpoint", ["-n", "nope", *words]) == 1
    assert capsys.readouterr().err.startswith(f"lxc-checkpoint: nope: {told}")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "criu, which does it, is not installed"),
        ("echo 'Error (util.c): exited, status=1' >&2; echo 'Error: no vdso' >&2; exit 1", "this kernel: Error: no vdso"),
        ("exit 1", "this kernel: it ended with 1"),
        ("echo Looks good.", "the parent of our containers is the keeper"),
    ],
)
def test_the_refusal_says_what_is_in_the_way(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    criu = tmp_path / "criu"
    if program:
        criu.write_text(f"#!/bin/sh\n{program}\n")
        criu.chmod(0o755)
    monkeypatch.setattr("sandbox.host.program", lambda name: str(criu) if program and name == "criu" else None)
    box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
    try:
        assert main("lxc-checkpoint", ["-n", "box", "-D", str(tmp_path / "state")]) == 1
        told = capsys.readouterr().err
        assert told.startswith("lxc-checkpoint: box: Checkpointing box failed (")
        assert reason in told
        assert main("lxc-checkpoint", ["-n", "box", "-D", str(tmp_path / "state"), "-r"]) == 1
        assert "box is running, not restoring" in capsys.readouterr().err
        assert not (tmp_path / "state").exists()
    finally:
        box.kill()


def test_what_does_not_run_is_not_dumped_but_could_be_restored(capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.Container.create("box")
    assert main("lxc-checkpoint", ["-n", "box", "-D", "/x"]) == 1
    assert "box not running, not checkpointing" in capsys.readouterr().err
    assert main("lxc-checkpoint", ["-n", "box", "-D", "/x", "-r"]) == 1
    assert "Restoring box failed" in capsys.readouterr().err
