"""Networks of ours: a bridge, the addresses on it, and which container has which.

Nothing here touches the network itself: `attach` writes facts into a Spec, and the plan's steps act on them.
"""

from .attaching import attach, random_hwaddr, release
from .shelf import Net, containers, create, get, names, remove

__all__ = ["Net", "attach", "containers", "create", "get", "names", "random_hwaddr", "release", "remove"]
