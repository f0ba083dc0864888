"""The inside lane: run by the child itself, PID 1 of the new world, until it becomes the program. Never returns.

After PivotRoot nothing may be imported: there may be no Python in the new root. All rooms are loaded by then (a test looks).
"""

import os
import time
from typing import NoReturn

from ..errors import KernelRefused, SandboxError
from ..linux import syscalls
from ..primitives.namespaces import read as read_namespaces
from ..step import Step, World
from . import protocol

WIRE = 3  # where the wire to the launcher lies in the child; all higher descriptors are closed


def become(steps: tuple[Step, ...], world: World, observe: bool) -> NoReturn:
    """Apply the steps. The wire says what happened: the trace just before the program starts, or the refusal."""
    rows: list[list[object]] = []
    assert world.wire is not None
    try:
        syscalls.observe(observe)
        shared = {kind for kind, name in read_namespaces().items() if world.own_namespaces.get(kind) == name}
        for step in steps:
            if step.name == "Exec":
                rows.append(["inside", str(step), time.monotonic_ns(), 0, "", []])
                console = [world.console] if world.console >= 0 else []
                protocol.send(world.wire, {"trace": rows}, console)
                rows = []
            run(step, world, "inside", rows, shared)
    except BaseException as error:
        protocol.send(world.wire, {"failed": refusal(step, error, world).to_json(), "trace": rows})
    finally:
        os._exit(125)


def run(
    step: Step, world: World, lane: str, rows: list[list[object]], shared: set[str] | frozenset[str] = frozenset()
) -> None:
    """Apply one step and note it. A step that would change the host's own namespace is refused."""
    start = time.monotonic_ns()
    result: object = "failed"
    try:
        if step.touches in shared:
            raise KernelRefused(
                step.name, "refused by the interpreter", 1,
                condition=f"this is still the host's own {step.touches} namespace", cure="Clone must make a new one",
            )  # fmt: skip
        result = step.apply(world)
    finally:
        calls = [list(call) for call in syscalls.take_calls()]
        rows.append([lane, str(step), start, time.monotonic_ns(), "" if result is None else str(result), calls])


def refusal(step: Step, error: BaseException, world: World) -> SandboxError:
    """What was raised, as one error that says step, call, errno, condition and cure."""
    if isinstance(error, SandboxError):
        return error
    if not isinstance(error, OSError):
        return SandboxError(
            f"{step.name}: {type(error).__name__}: {error}", cure="this is a mistake of ours: please report it"
        )
    try:
        condition, cure = step.explain(error, world)
    except OSError:
        condition, cure = "", ""
    call = getattr(error, "call", step.man.partition("(")[0])
    path = error.filename if isinstance(error.filename, str) else ""
    return KernelRefused(step.name, call, error.errno or 0, path=path, condition=condition, cure=cure)
