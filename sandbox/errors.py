"""What can go wrong, in two kinds: the kernel refused, or we refused. Plain data: nothing here talks to the kernel.

Every error says what failed, why (as read from this machine, where that was possible) and what to do about it.
"""

import errno as _errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def plain(text: str) -> str:
    """Text that may be an image's or a container's: what a terminal would obey, and what is no UTF-8, is written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class SandboxError(Exception):
    """The family. `condition` is what was found on this machine, `cure` is what to do; both may be empty."""

    def __init__(self, message: str, *, condition: str = "", cure: str = "") -> None:
        self.message, self.condition, self.cure = map(plain, (message, condition, cure))
        super().__init__(self.message)

    def __str__(self) -> str:
        why = f" ({self.condition})" if self.condition else ""
        return f"{self.message}{why}" + (f"\n  → {self.cure}" if self.cure else "")

    def to_json(self) -> dict[str, Any]:
        """The error as plain data, for the wire."""
        return {"kind": type(self).__name__, "message": self.message, "condition": self.condition, "cure": self.cure}


class KernelRefused(SandboxError, OSError):
    """A system call of a step failed. `step`, `call`, `errno` and, where there was one, `path` say which and how."""

    def __init__(self, step: str, call: str, errno: int, *, path: str = "", condition: str = "", cure: str = "") -> None:
        name = _errno.errorcode.get(errno, str(errno))
        told = ": ".join(filter(None, (step, f"{call} {path}".strip(), name)))
        SandboxError.__init__(self, told, condition=condition, cure=cure)
        self.step, self.call, self.errno, self.path = step, call, errno, path

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "step": self.step, "call": self.call, "errno": self.errno, "path": self.path}


class InvalidOption(SandboxError, ValueError):
    """An option, a name or a value that makes no sense, found before anything was started."""


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Put in front of an InvalidOption where it was found: a file and a line, say."""
    try:
        yield
    except InvalidOption as error:
        raise InvalidOption(f"{where}: {error.message}", condition=error.condition, cure=error.cure) from None


class NotFound(SandboxError, LookupError):
    """No container, image or file of that name."""


class AlreadyExists(SandboxError):
    """The name is taken."""


class WrongState(SandboxError):
    """The container is not in a state in which that can be done (starting a running one, say)."""


class NotPossibleHere(SandboxError):
    """This machine does not allow it: `condition` says what was found, `cure` how to change it."""


class LauncherLost(SandboxError):
    """The launcher died in the middle of a request, or could not be started."""


_KINDS: dict[str, type[SandboxError]] = {
    kind.__name__: kind
    for kind in (SandboxError, InvalidOption, NotFound, AlreadyExists, WrongState, NotPossibleHere, LauncherLost)
}


def from_json(data: dict[str, Any]) -> SandboxError:
    """The error that `to_json` wrote."""
    words = {"condition": data.get("condition", ""), "cure": data.get("cure", "")}
    if data["kind"] == "KernelRefused":
        return KernelRefused(data["step"], data["call"], data["errno"], path=data.get("path", ""), **words)
    return _KINDS.get(data["kind"], SandboxError)(data["message"], **words)
