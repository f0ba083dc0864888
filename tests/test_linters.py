"""The linters are tests: what they find is an error."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_the_linter_finds_nothing(command: str) -> None:
    program, *words = command.split()
    if importlib.util.find_spec(program) is None and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed: pip install -e '.[test]'")
    done = subprocess.run([sys.executable, "-m", program, *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
