"""mybinder.org can build the project: repo2docker generates the Dockerfile that we mean."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytest.importorskip("repo2docker", reason="repo2docker is not installed: pip install -e '.[test]'")


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory, tracked: list[Path]) -> str:
    """What repo2docker generates for a clone of the project."""
    clone = tmp_path_factory.mktemp("clone")
    for name in tracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, clone / name)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_system_packages_are_installed(dockerfile: str) -> None:
    for package in (REPOSITORY / "binder/apt.txt").read_text().split():
        # repo2docker does not check names: a word that is no package name would fail only on mybinder.org.
        assert package.replace("-", "").isalnum()
        assert package in dockerfile


def test_the_project_is_installed_with_what_the_notebooks_need(dockerfile: str) -> None:
    assert '"binder/requirements.txt"' in dockerfile
    assert "[lab]" in (REPOSITORY / "binder/requirements.txt").read_text()


def test_python_is_new_enough(dockerfile: str) -> None:
    assert "Building conda environment for python=3.11" in dockerfile


def test_the_installation_is_checked_at_the_end(dockerfile: str) -> None:
    assert "./binder/postBuild" in dockerfile
    assert (REPOSITORY / "binder/postBuild").stat().st_mode & 0o111
