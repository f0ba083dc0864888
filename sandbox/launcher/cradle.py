"""The cradle: where children are born. A small process of the launcher's that does nothing but fork.

A fork makes every page of its parent copy-on-write: a launcher that forked itself would pay for that with 700 page faults a
start (2 ms). So it leaves that to the cradle, which writes little, and whose children are smaller. The launcher has one child
born ahead of time, so that nobody waits for a birth either.

Only these steps are applied here: Clone and Enter. Parent of the children is the keeper (CLONE_PARENT).
"""

import os
import socket
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from ..errors import LauncherLost, SandboxError, from_json
from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World
from . import inside, protocol
from .ledger import UNBORN
from .loop import readable

Place = dict[str, str]
Work = list[dict[str, Any]]


class Newborn(NamedTuple):
    """A child that waits on its wire for its work."""

    pid: int
    pidfd: int
    wire: socket.socket
    calls: list[Any]


def start(namespaces: Place) -> socket.socket:
    """Fork the cradle; returns the wire to it. `namespaces` are the launcher's own."""
    wire, theirs = protocol.wires()
    pid, pidfd = syscalls.clone3(c.CLONE_PARENT, exit_signal=0)
    if pid == 0:
        main(theirs, namespaces)
    os.close(pidfd)
    theirs.close()
    return wire


def main(wire: socket.socket, namespaces: Place) -> NoReturn:
    """Be the cradle, as long as the launcher lives."""
    os.dup2(wire.fileno(), inside.WIRE, inheritable=False)
    syscalls.close_range(inside.WIRE + 1)
    wire = socket.socket(fileno=inside.WIRE)
    syscalls.set_name(UNBORN)
    while True:
        order, _ = protocol.receive(wire)
        if order is None:
            os._exit(0)
        step, world = Step.from_json(order["step"]), World()
        try:
            bear(wire, step, world, order["calls"], namespaces)
        except BrokenPipeError:
            os._exit(0)  # the launcher was killed; and so the newborn will end, too
        except (OSError, SandboxError) as error:
            protocol.send(wire, {"error": inside.refusal(step, error, world).to_json()})


def bear(wire: socket.socket, step: Step, world: World, observe: bool, namespaces: Place) -> None:
    """Apply one step of birth. The child never returns; the launcher gets its pid, its pidfd and a wire to it."""
    syscalls.observe(observe)
    ours, theirs = protocol.wires()
    step.apply(world)
    if world.pid == 0:
        inside.main(theirs, namespaces)
    protocol.send(wire, {"pid": world.pid, "calls": syscalls.take_calls()}, [world.pidfd, ours.fileno()])
    os.close(world.pidfd)
    ours.close()
    theirs.close()


class Nursery:
    """The launcher's side: it orders children, and keeps one spare child that was born ahead of time and has practised."""

    def __init__(self, namespaces: Place) -> None:
        self.namespaces = namespaces
        self.wire = start(namespaces)
        self.spare: tuple[Step, Newborn] | None = None
        self.coming: tuple[Step, Work] | None = None  # the spare that is on its way, and what it will practise

    def bear(self, step: Step, observe: bool) -> tuple[Newborn, str]:
        """A child made by this step, and a word on how. Raises what the step raised."""
        if self.coming:
            self.on_spare()
        if self.spare and self.spare[0] == step and not observe:  # who wants to see every call wants to see a birth
            (_, newborn), self.spare = self.spare, None
            if not readable(newborn.pidfd):  # else somebody killed it while it waited
                return newborn, f"pid {newborn.pid}, born ahead of time"
            newborn.wire.close()
            os.close(newborn.pidfd)
        self._order(step, observe)
        newborn = self._collect()
        return newborn, f"pid {newborn.pid}"

    def order_spare(self, step: Step, work: Work) -> None:
        """Have a child ready for the next start, which will probably be of the same kind."""
        if self.coming or (self.spare and self.spare[0] == step):
            return
        if self.spare:
            self.spare[1].wire.close()  # it ends by itself
            os.close(self.spare[1].pidfd)
            self.spare = None
        with suppress(LauncherLost):  # then the end of the wire tells, and another nursery is made
            self._order(step, False)
            self.coming = step, work

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
            self.spare = coming[0], newborn
            with suppress(BrokenPipeError):  # it was killed, which is seen when it is needed
                protocol.send(newborn.wire, {"do": "rehearse", "steps": coming[1]})

    def _order(self, step: Step, observe: bool) -> None:
        try:
            protocol.send(self.wire, {"step": step.to_json(), "calls": observe})
        except BrokenPipeError:
            raise LauncherLost("the cradle was killed", cure="start it again: another is made") from None

    def _collect(self) -> Newborn:
        reply, fds = protocol.receive(self.wire)
        if reply is None:
            raise LauncherLost("the cradle was killed while it forked", cure="start it again: another is made")
        if "error" in reply:
            raise from_json(reply["error"])
        return Newborn(reply["pid"], fds[0], socket.socket(fileno=fds[1]), reply["calls"])
