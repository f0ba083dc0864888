"""Another program is run to its end, or to ours."""

import os
import subprocess
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.lxc import tool
from tests.conftest import NOBODY, as_nobody

pytestmark = pytest.mark.needs_userns


def test_each_line_is_handed_on_while_it_runs() -> None:
    heard: list[str] = []
    tool.run(["sh", "-c", "echo one; echo two >&2; printf three; cat"], heard.append)
    assert heard == ["one", "two", "three"]


def test_a_failure_comes_with_its_last_lines() -> None:
    with pytest.raises(SandboxError, match=r"^sh failed with 7 \(line 13\n") as error:
        tool.run(["sh", "-c", "seq 20 | sed 's/^/line /'; exit 7"], lambda line: None)
    assert error.value.condition.splitlines() == [f"line {n}" for n in range(13, 21)]


def test_what_it_mounts_nobody_else_sees_and_nothing_stays() -> None:
    heard: list[str] = []
    mine = os.readlink("/proc/self/ns/mnt")
    tool.run(["sh", "-c", "echo $$; readlink /proc/self/ns/mnt; mount -t tmpfs none /mnt; sleep 1000 &"], heard.append)
    assert heard[0] == "1"
    assert heard[1] != mine
    assert "/mnt" not in subprocess.run(["findmnt", "/mnt"], capture_output=True, text=True).stdout


def test_if_its_listener_fails_it_is_killed(tmp_path: Path) -> None:
    def fail(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.run(["sh", "-c", f"echo here; sleep 1; touch {tmp_path}/late"], fail)
    assert not (tmp_path / "late").exists()


@pytest.mark.needs_root
def test_for_an_ordinary_user_it_is_root_of_that_users_files(user_python: str, user_source: Path) -> None:
    script = """
import os, tempfile
from sandbox.lxc import tool
with tempfile.TemporaryDirectory() as folder:
    tool.run(["sh", "-c", f"id -u; mount -t tmpfs none /mnt && touch {folder}/made"], print)
    print(os.stat(folder + "/made").st_uid)
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(user_source), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    done = subprocess.run(as_nobody(user_python, "-c", script), capture_output=True, text=True, env=environment, cwd="/")
    assert (done.stdout, done.stderr) == (f"0\n{NOBODY}\n", "")
