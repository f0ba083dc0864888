"""The cradle: where children are born. A small process of the launcher's that does nothing but fork.

A fork makes every page of its parent copy-on-write: a launcher that forked itself would pay for that with 700 page faults a
start (2 ms). So it leaves that to the cradle, which writes little, and whose children are smaller. The launcher has one child
born ahead of time, so that nobody waits for a birth either.

Only these steps are applied here: Clone and Enter. Parent of the children is the keeper (CLONE_PARENT).
"""

import os
import socket
from typing import Any, NamedTuple, NoReturn

from ..errors import SandboxError
from ..linux import constants as c
from ..linux import syscalls
from ..step import Step, World
from . import inside, protocol
from .ledger import UNBORN

Place = dict[str, str]


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
        try:
            attempt(wire, Step.from_json(order["step"]), order, namespaces)
        except BrokenPipeError:
            os._exit(0)  # the launcher was killed; and so a newborn will end, too


def attempt(wire: socket.socket, step: Step, order: protocol.Message, namespaces: Place) -> None:
    """Bear a child, or tell why that can't be."""
    world = World()
    world.birthplace = order["birthplace"]
    try:
        bear(wire, step, world, order["calls"], namespaces)
    except BrokenPipeError:
        raise
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
