"""A Debian for all tests: its packages are fetched once in a session."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import NotPossibleHere, SandboxError
from sandbox.home import home as open_home
from sandbox.lxc import templates

_NO_NETWORK = re.compile(
    "Temporary failure|Could not (resolve|connect|handshake)|Connection (failed|refused|timed out)|[Tt]imed out|"
    "Network is unreachable|Couldn't download|Failed to fetch"
)


@pytest.fixture(scope="session")
def debian_layer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What every container of the template begins as. Skips where Debian's packages can't be had."""
    if os.geteuid():
        pytest.skip("needs root: the files of a Debian belong to many users")
    if not shutil.which("mmdebstrap") and not shutil.which("debootstrap"):
        pytest.skip("needs mmdebstrap: apt install mmdebstrap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("debian") / "home"))
        shelf = open_home()
        try:
            made = templates.get("debian").make(shelf, templates.read("debian", []), print)
        except NotPossibleHere as error:
            pytest.skip(f"there is no Debian to be had: {error}")
        except SandboxError as error:
            if _NO_NETWORK.search(error.condition):
                pytest.skip(f"Debian's packages can't be fetched: {error.condition}")
            raise
    yield Path(made.layer)
    shutil.rmtree(shelf.runtime)
