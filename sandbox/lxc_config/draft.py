"""A Spec in the making: what the lines of a configuration have said so far. The files about keys fill it, keys.py finishes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..spec import IdMapping, Mount, NamespaceName, Process
from .file import Line


class Autostart(NamedTuple):
    """What lxc-autostart goes by: whether, the seconds to wait after it, its place (lower is earlier), and its groups."""

    auto: bool = False
    delay: int = 0
    order: int = 0
    groups: tuple[str, ...] = ()


NEVER, NOWHERE = Autostart(), Line("", "", "", 0)


@dataclass(eq=False, repr=False)
class Card:
    """One network device, as far as its lines have come."""

    type: str = "empty"
    link: str = ""
    name: str = ""
    hwaddr: str = ""
    mtu: int = 0
    mode: str = ""
    pair: str = ""
    addresses: list[str] = field(default_factory=list)
    gateways: dict[int, str] = field(default_factory=dict)  # by address family
    up: bool = False


@dataclass(eq=False, repr=False)  # nobody needs them, and they are a third of the time that loading this takes
class Draft:
    """Everything that a key can say. `line` is the one that is being read, `folder` the container's."""

    name: str
    folder: str
    path: str
    line: Line = NOWHERE
    notes: list[tuple[Line, str]] = field(default_factory=list)

    # process.py
    hostname: str = ""
    args: tuple[str, ...] = ("/sbin/init",)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    env: dict[str, str] = field(default_factory=lambda: dict(item.split("=", 1) for item in (*Process.env, "container=lxc")))
    stop_signal: int = 0
    reboot_signal: int = 0
    terminals: int = 0
    console: str = ""

    # walls.py
    dropped: list[str] = field(default_factory=list)
    kept: list[str] | None = None
    shared: set[NamespaceName] = field(default_factory=set)
    cloned: set[NamespaceName] = field(default_factory=set)
    join_network: str = ""
    ids: dict[str, list[IdMapping]] = field(default_factory=lambda: {"u": [], "g": []})
    no_new_privileges: bool = False
    seccomp: str = "default"

    # limits.py, by the version of cgroups that the key is of
    limits: dict[int, dict[str, Any]] = field(default_factory=lambda: {1: {}, 2: {}})
    files: list[tuple[str, str]] = field(default_factory=list)
    rlimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)

    # rootfs.py, mounts.py
    root: str = ""
    root_options: set[str] = field(default_factory=set)
    auto: dict[str, str] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)

    # net.py, hooks.py, start.py
    cards: dict[int, Card] = field(default_factory=dict)
    hooks: list[tuple[str, str]] = field(default_factory=list)
    hook_version: int = 0
    autostart: Autostart = NEVER
    ephemeral: bool = False
    execute: tuple[str, ...] = ()

    def note(self, why: str) -> None:
        """The line that is being read is kept, but has no effect, or another one than in LXC."""
        self.notes.append((self.line, why))


#: What a key does: (the Spec so far, the value, what stands in place of the key's N or *).
Row = Callable[[Draft, str, str], None]


def kept(why: str, unless: tuple[str, ...] = ()) -> Row:
    """A key that has no effect here, and why. Of the values `unless` nothing needs to be said: they ask for what is so."""

    def row(draft: Draft, value: str, which: str) -> None:
        if value not in unless:
            draft.note(why)

    return row


def granted(draft: Draft, value: str, which: str) -> None:
    """A key whose wish comes true whatever it says: the table says why."""
