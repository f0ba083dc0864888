"""What may be taken back a moment later: what the kernel is taking away by itself, and what the next container may want too.

It stands in the ledger as NAME~NUMBER, an entry without a process: whoever finds it there undoes it.
"""

import time
from contextlib import suppress
from typing import Any

from ..errors import SandboxError
from ..step import Step
from .ledger import Ledger, undo

#: Seconds.
MOMENT = 1.0


def split(steps: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps to undo at once, and those that may wait."""
    waiting = [data for data in steps if Step.from_json(data).lingers]
    return [data for data in steps if data not in waiting], waiting


class Lingering:
    """What waits to be undone."""

    def __init__(self, ledger: Ledger, stamp: dict[str, Any]) -> None:
        self.ledger, self.stamp = ledger, stamp
        self.waiting: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, steps: list[dict[str, Any]]) -> str:
        """Note what an ended container leaves for later; returns the label of it."""
        label = f"{name}~{time.monotonic_ns()}"
        with suppress(OSError, SandboxError):  # there is no room for it; then we must not be killed before it is undone
            self.ledger.intend(label, self.stamp, [Step.from_json(data) for data in steps])
        self.waiting[label] = steps
        return label

    def settle(self, label: str) -> None:
        """Undo it, if that has not been done. What can't be undone stays in the ledger.

        What one that ended later shares with it (the bridge) is left to that one: its moment is not over.
        """
        steps = self.waiting.pop(label, [])
        with suppress(OSError, SandboxError):
            undo([data for data in steps if not any(data in others for others in self.waiting.values())])
            self.ledger.close(label)

    def settle_all(self) -> None:
        """Undo all of it now."""
        for label in list(self.waiting):
            self.settle(label)
