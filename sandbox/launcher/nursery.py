"""The launcher's side of the cradle: it orders children, and keeps one spare child ready for the next start.

The spare was born ahead of time, in a v2 control group of its own, and has practised. All that a start then waits for is what
only the start can know. The spare keeps its group: to move it takes 10 ms on an idle machine, and a v2 group can't be renamed.
That group is noted in the ledger, as `.spare`, until a start takes the child; from then on it is the container's.
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
from .ledger import SPARE, Ledger, undo
from .loop import readable

Work = list[dict[str, Any]]


class Spare(NamedTuple):
    """A child that waits: the step that made it, what is known of it, and its v2 group ("": there are none here)."""

    step: Step
    child: Newborn
    group: str


class Nursery:
    """One cradle, and the spare child. `shelf` begins the names of our control groups."""

    def __init__(self, namespaces: cradle.Place, ledger: Ledger, shelf: str) -> None:
        self.ledger, self.shelf = ledger, shelf
        self.wire = cradle.start(namespaces)
        self.spare: Spare | None = None
        self.coming: tuple[Step, str, Work] | None = None  # the spare that is on its way, its group, and what it will practise

    def bear(self, step: Step, birthplace: str, observe: bool) -> Newborn:
        """A child made by this step, now. Raises what the step raised."""
        if self.coming:
            self.on_spare()
        self._order(step, birthplace, observe)
        return self._collect()

    def take(self, outside: list[Step]) -> Spare | None:
        """The spare child, if this lane would make one like it, and a group too: its own, which is then to be `give`n away."""
        if self.coming:
            self.on_spare()
        if not self.spare or self.spare.step not in outside or not any(isinstance(s, cgroups.MakeCgroups) for s in outside):
            return None
        if readable(self.spare.child.pidfd):  # somebody killed it while it waited
            self.drop()
            return None
        spare, self.spare = self.spare, None
        return spare

    def give(self) -> None:
        """The group of the spare that was taken is noted as its container's."""
        self.ledger.close(SPARE)

    def order_spare(self, step: Step, work: Work) -> None:
        """Have a child ready for the next start, which will probably be of the same kind."""
        if self.coming or (self.spare and self.spare.step == step):
            return
        self.drop()
        with suppress(OSError, SandboxError):  # the next start will say why; and an ended cradle, the end of its wire
            group = self._make_group()
            self._order(step, group, False)
            self.coming = step, group, work

    def on_spare(self) -> None:
        """The spare is born: let it practise. Raises LauncherLost when the cradle was killed: make another Nursery."""
        coming, self.coming = self.coming, None
        try:
            newborn = self._collect()
        except LauncherLost:
            raise
        except SandboxError:
            return  # the next start will say why
        if coming:
            step, group, work = coming
            self.spare = Spare(step, newborn, group)
            with suppress(BrokenPipeError):  # it was killed, which is seen when it is needed
                protocol.send(newborn.wire, {"do": "rehearse", "steps": work})

    def drop(self) -> None:
        """Let the spare go, with its group."""
        if self.spare:
            self.spare.child.wire.close()  # it ends by itself
            os.close(self.spare.child.pidfd)
            self.spare = None
        with suppress(OSError, SandboxError):  # what can't be removed now stays noted
            if entry := self.ledger.entry(SPARE):
                undo(entry["undo"])
                self.ledger.close(SPARE)

    def _make_group(self) -> str:
        """A group for the spare. Of the names of containers none begins with a "+"."""
        name = f"{self.shelf}_+{os.urandom(4).hex()}"
        unified = tuple(pair for pair in cgroups.place(name, cgroups.here()) if pair[0] == cgroups.UNIFIED)
        make, world = cgroups.MakeCgroups(name, directories=unified), World()
        if unified:
            self.ledger.intend(SPARE, {}, [make])
            make.apply(world)
        return world.birthplace

    def _order(self, step: Step, birthplace: str, observe: bool) -> None:
        try:
            protocol.send(self.wire, {"step": step.to_json(), "birthplace": birthplace, "calls": observe})
        except BrokenPipeError:
            raise LauncherLost("the cradle was killed", cure="start it again: another is made") from None

    def _collect(self) -> Newborn:
        reply, fds = protocol.receive(self.wire)
        if reply is None:
            raise LauncherLost("the cradle was killed while it forked", cure="start it again: another is made")
        if "error" in reply:
            raise from_json(reply["error"])
        return Newborn(reply["pid"], fds[0], socket.socket(fileno=fds[1]), reply["calls"])
