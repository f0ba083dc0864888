"""The launcher's side of the cradle: it orders children, and keeps one spare child ready for the next start.

The spare was born ahead of time, sits in control groups of its own, and has practised. All that a start then waits for is what
only the start can know. What is made for the spare is noted in the ledger like everything else (`.spare`).
"""

import os
import socket
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import LauncherLost, SandboxError, from_json
from ..primitives import cgroups
from ..step import Step, World
from . import cradle, protocol
from .cradle import Newborn
from .ledger import Ledger, undo
from .loop import readable

SPARE = ".spare"
Work = list[dict[str, Any]]


class Spare(NamedTuple):
    """A child that waits: the step that made it, what is known of it, and its control groups."""

    step: Step
    child: Newborn
    groups: cgroups.Directories


class Nursery:
    """One cradle, and the spare child. `shelf` begins the names of our control groups."""

    def __init__(self, namespaces: cradle.Place, ledger: Ledger, shelf: str) -> None:
        self.ledger, self.shelf = ledger, shelf
        self.spare: Spare | None = None
        self.coming: tuple[Step, cgroups.Directories, Work] | None = None  # a spare on its way, and what it will practise
        self.count = 0
        self._clear()
        self.wire = cradle.start(namespaces)

    def offer(self, step: Step) -> Spare | None:
        """The spare child, if it was made by this step; it is `take`n, or stays."""
        if self.coming:
            self.on_spare()
        return self.spare if self.spare and self.spare.step == step else None

    def take(self, spare: Spare) -> Newborn | None:
        """Give it away, after the ledger has noted for whom. None: somebody killed it while it waited."""
        self.spare = None
        self.ledger.close(SPARE)
        if not readable(spare.child.pidfd):
            return spare.child
        spare.child.wire.close()
        os.close(spare.child.pidfd)
        return None

    def bear(self, step: Step, observe: bool) -> Newborn:
        """A child made by this step, now. Raises what the step raised."""
        if self.coming:
            self.on_spare()
        self._order(step, observe, [])
        return self._collect()

    def order_spare(self, step: Step, work: Work) -> None:
        """Have a child ready for the next start, which will probably be of the same kind."""
        if self.coming or (self.spare and self.spare.step == step):
            return
        self.drop()
        self.count += 1
        made = cgroups.MakeCgroups(f"{self.shelf}_{os.getpid()}-{self.count}").choose(World())
        self.ledger.intend(SPARE, {}, [made])
        try:
            made.apply(World())
            # An ended cradle is told by the end of its wire, and another nursery is made.
            self._order(step, False, list(dict(made.directories).values()))
        except (OSError, SandboxError):
            self._clear()  # the next start will say why
        else:
            self.coming = step, made.directories, work

    def on_spare(self) -> None:
        """The spare is born: let it practise. Raises LauncherLost when the cradle was killed: make another Nursery."""
        coming, self.coming = self.coming, None
        try:
            newborn = self._collect()
        except LauncherLost:
            raise
        except SandboxError:
            self._clear()  # the next start will say why
            return
        if coming:
            step, groups, work = coming
            self.spare = Spare(step, newborn, groups)
            with suppress(BrokenPipeError):  # it was killed, which is seen when it is needed
                protocol.send(newborn.wire, {"do": "rehearse", "steps": work})

    def drop(self) -> None:
        """Let the spare go, with its groups."""
        if self.spare:
            self.spare.child.wire.close()  # it ends by itself
            os.close(self.spare.child.pidfd)
            self.spare = None
        self._clear()

    def _clear(self) -> None:
        if entry := self.ledger.entry(SPARE):
            undo(entry["undo"])
            self.ledger.close(SPARE)

    def _order(self, step: Step, observe: bool, groups: list[str]) -> None:
        try:
            protocol.send(self.wire, {"step": step.to_json(), "calls": observe, "groups": groups})
        except BrokenPipeError:
            raise LauncherLost("the cradle was killed", cure="start it again: another is made") from None

    def _collect(self) -> Newborn:
        reply, fds = protocol.receive(self.wire)
        if reply is None:
            raise LauncherLost("the cradle was killed while it forked", cure="start it again: another is made")
        if "error" in reply:
            raise from_json(reply["error"])
        return Newborn(reply["pid"], fds[0], socket.socket(fileno=fds[1]), reply["calls"])
