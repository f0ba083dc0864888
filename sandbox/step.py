"""A step: one primitive applied once. Plain data that can be printed, compared, sent as JSON, and applied.

Each step lives in the room of its primitive (`primitives/`) and knows four things: how to `apply` itself, how it is undone
where the kernel does not do that by itself (`undo`), why the kernel may refuse it (`explain`), and how to see its effect
(`see`, a command that a student can type, and `man`, the page to read).
"""

import base64
import dataclasses
import socket
from typing import Any, ClassVar, Literal, Self, dataclass_transform

from .errors import WrongState
from .immutable import immutable

Lane = Literal["outside", "inside"]

#: A list longer than this is shown in part.
SHOWN = 4

#: Every kind of step, by name. Rooms fill it as they are imported.
KINDS: dict[str, type["Step"]] = {}


class World:
    """What a lane knows while it runs. It never leaves its process; nothing in it is needed to undo."""

    def __init__(self) -> None:
        self.pid = -1  # outside: the child as the launcher sees it; 0 in the child itself
        self.pidfd = -1
        self.shelf = ""  # outside: what tells this shelf from others
        self.id_base = 0  # outside: the first host id of the claimed range
        self.held: dict[str, int] = {}  # outside: descriptors that must outlive the launcher (locks)
        self.streams: tuple[int, ...] = ()  # outside: what becomes the child's standard streams
        self.birthplace = ""  # outside: the v2 control group in which the child is born
        # Handed from lane to lane by name: detached mounts, made outside or inside and attached inside; ways into groups.
        self.trees: dict[str, int] = {}
        self.scratch = ""  # inside: the tmpfs in which the new root is put together
        self.root = ""  # inside: where the new root is; "" once it is "/"
        self.own_namespaces: dict[str, str] = {}  # the launcher's, to refuse a step that would spoil the host
        self.terminals: list[tuple[int, int]] = []  # inside: master and slave of the console and of others, to be sent outside
        self.helpers: dict[str, tuple[int, int]] = {}  # outside: programs not yet waited for: their pids, and what they say
        self.home = ""  # inside: the home directory of the user who was become
        self.wire: socket.socket | None = None  # to the other lane

    def take(self, tree: str) -> int:
        """The tree of that name, which is then the caller's. Raises WrongState when nobody made it."""
        try:
            return self.trees.pop(tree)
        except KeyError:
            raise WrongState(f"there is no tree {tree!r} to attach", cure="OpenTree was left out: put it before") from None

    def at(self, path: str) -> str:
        """A path of the container, as it is reached right now."""
        return self.root + path


@dataclass_transform(frozen_default=True)
class Step:
    """Base of all steps. A subclass becomes a frozen dataclass and is known by its name."""

    lane: ClassVar[Lane] = "inside"
    man: ClassVar[str] = ""
    see: ClassVar[str] = ""
    #: The kind of namespace that this step changes for everybody in it ("mount", "uts" …), or "". The interpreter
    #: refuses such a step while it is still in the launcher's own namespace of that kind.
    touches: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        KINDS[cls.__name__] = immutable(cls)

    @property
    def name(self) -> str:
        return type(self).__name__

    def choose(self, world: World) -> Self:
        """The step with its free choices made (which id range, which cgroup folders), before anything is done.

        What is chosen is written into the ledger first; so `undo` knows it whatever happens.
        """
        return self

    def apply(self, world: World) -> object:
        """Do it. What is returned (or None) is shown in the trace."""
        raise NotImplementedError

    def undo(self) -> None:
        """Take back what the kernel does not take back itself. Needs nothing but this data; may be called twice."""

    @property
    def leaves_something(self) -> bool:
        """Whether `undo` has anything to do: only then is the step written into the ledger."""
        return type(self).undo is not Step.undo

    @property
    def lingers(self) -> bool:
        """Whether `undo` may come a moment later: the kernel is at it by itself, or the next container will want the same."""
        return False

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        """(condition, cure) for this refusal, read from the machine right where it happened."""
        return "", ""

    def __str__(self) -> str:
        def shown(value: object) -> str:
            if isinstance(value, bytes):
                return f"<{len(value)} bytes>"
            if isinstance(value, tuple) and value and isinstance(value[0], tuple):
                return f"[{len(value)} pairs]"
            if isinstance(value, tuple) and len(value) > SHOWN:
                return f"[{', '.join(map(repr, value[:2]))}, … {len(value)} in all]"
            return repr(list(value)) if isinstance(value, tuple) else repr(value)

        told = ((name, value) for name, value, default in self._fields() if value != default)
        return f"{self.name}({', '.join(f'{name}={shown(value)}' for name, value in told)})"

    def to_json(self) -> dict[str, Any]:
        """The step as JSON types: its name under "step", its fields beside it; bytes as {"base64": text}."""
        return {"step": self.name, **{name: _plain(value) for name, value in vars(self).items()}}

    def _fields(self) -> list[tuple[str, object, object]]:
        return [(f.name, getattr(self, f.name), f.default) for f in dataclasses.fields(self)]  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The step that `to_json` wrote. Raises ValueError for a name or field that is not known."""
        if not isinstance(data, dict):
            raise ValueError(f"{data!r} is no step")
        kind = KINDS.get(str(data.get("step")))
        if kind is None or not issubclass(kind, cls):
            raise ValueError(f"there is no step called {data.get('step')!r}")
        fields = {key: _rebuilt(value) for key, value in data.items() if key != "step"}
        try:
            return kind(**fields)
        except TypeError as error:
            raise ValueError(f"{data['step']}: {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _rebuilt(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    if isinstance(value, list):
        return tuple(_rebuilt(v) for v in value)
    return value
