"""Images: what a container's files are before it changes any. An ordered list of layer folders, and a configuration.

Each module here makes one image out of what the machine has; `get` is the only door.
"""

from collections.abc import Callable

from ..errors import NotFound
from ..store import Home
from . import busybox, host
from .image import Image, ImageConfig

__all__ = ["Image", "ImageConfig", "get", "names"]

_MAKERS: dict[str, Callable[[Home], Image]] = {"busybox": busybox.image, "host": host.image}


def get(name: str, home: Home) -> Image:
    """The image of that name, its layers made on the shelf if they are not there yet.

    Raises:
        NotFound: there is none; the cure lists those that are.
        NotPossibleHere: this machine lacks what it is made of.
    """
    if name not in _MAKERS:
        raise NotFound(f"there is no image {name!r}", cure=f"choose one of: {', '.join(names())}")
    return _MAKERS[name](home)


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_MAKERS)
