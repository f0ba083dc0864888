"""LXC's words: its configuration, its commands, its reports. A door like the others: above it stand the nouns."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import checkconfig, chroot, commands, info

__all__ = ["checkconfig", "chroot", "commands", "info"]


def __getattr__(name: str) -> ModuleType:
    """A module, when it is first used: a shell that asks for one command waits for no other."""
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
