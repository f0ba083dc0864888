"""A shelf for the tests of templates."""

import subprocess
from pathlib import Path

import pytest

from sandbox.home import home as open_home


@pytest.fixture
def debian(home: Path, debian_layer: Path) -> Path:
    """A shelf that has the layer already; the layer."""
    layer = Path(open_home().layers, debian_layer.name)
    subprocess.run(["cp", "-a", "--reflink=auto", str(debian_layer), str(layer)], check=True)
    return layer
