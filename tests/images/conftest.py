"""A shelf of our own, and a way into an image without any of the machinery above it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.home import home
from sandbox.images import Image
from sandbox.store import Home


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "shelf"))
    found = home()
    yield found
    os.rmdir(found.runtime)


def inside(image: Image, *command: str) -> str:
    """What a command prints in the image, by chroot alone, in a user and a mount namespace that go with it."""
    (layer,) = image.layers
    mounts = "".join(f"mount --rbind {mount.source} {layer}{mount.destination}; " for mount in image.mounts)
    script = f'set -e; {mounts} exec chroot {layer} "$@"'
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script, "sh")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run([*unshare, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
