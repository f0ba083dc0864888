"""How these tests ask: our reader, and the real LXC where it is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.lxc_config import Config, notes, spec
from sandbox.spec import Spec

ROOT = "lxc.rootfs.path = dir:/srv/c1/rootfs"


def config(*lines: str) -> Config:
    """The configuration of a container c1 in /srv, of these lines."""
    return Config("\n".join([ROOT, *lines, ""]), "/srv/c1/config")


def said(*lines: str) -> Spec:
    """What these lines ask for."""
    return spec(config(*lines), "c1", "/srv/c1")


def noted(*lines: str) -> list[str]:
    """What is said about these lines, without the name of the file."""
    return [note.removeprefix("/srv/c1/config:") for note in notes(config(*lines))]


def needs_lxc() -> None:
    """Skip where there is no real LXC to compare with."""
    if not shutil.which("lxc-info"):
        pytest.skip("needs LXC: apt-get install lxc")
    if os.geteuid():
        pytest.skip("LXC reads the folder of an ordinary user elsewhere")


def real(folder: Path, text: str, *keys: str) -> dict[str, list[str]] | None:
    """The values of keys as LXC's own parser understands them; None for a file that it refuses.

    The container is only a folder: nothing of it is started.
    """
    (folder / "c1" / "rootfs").mkdir(parents=True, exist_ok=True)
    (folder / "c1" / "config").write_text(text)
    asked = [word for key in keys for word in ("-c", key)]
    done = subprocess.run(["lxc-info", "-P", str(folder), "-n", "c1", *asked], capture_output=True, text=True)
    if "Failed to load config" in done.stderr:
        return None
    found: dict[str, list[str]] = {key: [] for key in keys}
    key = ""
    for line in done.stdout.splitlines():
        shown = re.match(r"(lxc\.[\w.-]+) =(?: (.*))?$", line)
        if shown and shown[1] in found:
            key, line = shown[1], shown[2] or ""
        if line:
            found[key].append(line)
    return found
