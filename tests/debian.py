"""A Debian for all tests: its packages are fetched once in a session."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_NO_NETWORK = re.compile(
    "Temporary failure|Could not (resolve|connect|handshake)|Connection (failed|refused|timed out)|[Tt]imed out|"
    "Network is unreachable|Couldn't download|Failed to fetch"
)


#: Makes the layer on a shelf of its own, and tells its path; or why there can be none here.
_MAKE = """
import sys
from sandbox.errors import NotPossibleHere, SandboxError
from sandbox.home import home
from sandbox.lxc import templates
try:
    print(templates.get("debian").make(home(), templates.read("debian", []), lambda text: None).layer)
except NotPossibleHere as error:
    sys.exit(f"impossible: {error}")
except SandboxError as error:
    sys.exit(f"failed: {error.condition or error}")
"""


@pytest.fixture(scope="session")
def debian_begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """The installation of a Debian, running; what is returned waits for it, and skips where it can't be had."""
    if os.geteuid():
        pytest.skip("needs root: the files of a Debian belong to many users")
    if not shutil.which("mmdebstrap") and not shutil.which("debootstrap"):
        pytest.skip("needs mmdebstrap: apt install mmdebstrap")
    folder = tmp_path_factory.mktemp("debian")
    environment = os.environ | {"SANDBOX_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parent.parent)}
    said = (folder / "said").open("w+")
    making = subprocess.Popen([sys.executable, "-c", _MAKE], stdout=said, stderr=said, env=environment, start_new_session=True)

    def made() -> Path:
        code, text = making.wait(), (folder / "said").read_text().strip()
        if code == 0:
            return Path(text.splitlines()[-1])
        if "impossible: " in text or _NO_NETWORK.search(text):
            pytest.skip(f"there is no Debian to be had: {text}")
        raise AssertionError(text)

    with said:
        yield made
        if making.poll() is None:
            os.killpg(making.pid, signal.SIGTERM)  # it takes away what it has begun
            making.wait()


@pytest.fixture(scope="session")
def debian_layer(debian_begun: Callable[[], Path]) -> Path:
    """What every container of the template begins as. Skips where Debian's packages can't be had."""
    return debian_begun()
