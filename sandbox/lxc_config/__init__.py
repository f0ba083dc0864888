"""LXC's configuration format, read and written. lxc.container.conf(5)

    file.py       the lines: order, comments, includes, changes         Config
    keys.py       the one table of keys, and what is read by it         read, spec, notes, default, autostart …
    the others    keys by what they are about

A container's folder holds `config`; `read` makes a Spec of it. Names are loaded when they are first used: a container that was
not made by LXC's words needs none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .draft import Autostart
    from .file import Config
    from .keys import autostart, default, ephemeral, execute, notes, read, spec
    from .net import new_hwaddr, renew_hwaddrs

_WHERE = {
    "Autostart": "draft", "Config": "file", "autostart": "keys", "default": "keys", "ephemeral": "keys", "execute": "keys",
    "new_hwaddr": "net", "notes": "keys", "read": "keys", "renew_hwaddrs": "net", "spec": "keys",
}  # fmt: skip

__all__ = [
    "Autostart", "Config", "autostart", "default", "ephemeral", "execute", "new_hwaddr", "notes", "read", "renew_hwaddrs",
    "spec",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value
