"""The image as plain data."""

from ..immutable import immutable
from ..spec import Mount


@immutable
class ImageConfig:
    """How its programs are run when nothing else is said. Field names of the OCI image specification (config.md)."""

    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ("/bin/sh",)
    entrypoint: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = "0:0"


@immutable
class Image:
    """`layers` are folders, lowest first; `mounts` come on top of them; `card` tells people what it is, in a few sentences."""

    name: str
    layers: tuple[str, ...]
    config: ImageConfig = ImageConfig()
    mounts: tuple[Mount, ...] = ()
    card: str = ""
