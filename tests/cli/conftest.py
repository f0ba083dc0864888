"""Shells in which `sandbox` is called: root's (or whoever runs the tests), and an ordinary user's."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NOBODY, as_nobody
from tests.shell import Shell, until


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(str(home))


@pytest.fixture
def user(user_python: str, user_source: Path) -> Iterator[Shell]:
    """An ordinary user's shell, with a SANDBOX_HOME of its own."""
    with tempfile.TemporaryDirectory(prefix="sandbox-user-") as folder:
        os.chown(folder, NOBODY if os.geteuid() == 0 else -1, -1)
        made = Shell(f"{folder}/home", (*as_nobody(user_python), "-m", "sandbox"), str(user_source), {"HOME": folder})
        yield made
        until(made.is_empty, "the ordinary user's ledger should be empty")
