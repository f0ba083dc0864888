"""A way to mount, fill and break things without the host noticing."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY


def privately(script: str) -> str:
    """What this Python script prints, run as root of a user and a mount namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
