"""The inside lane: run by the child itself, PID 1 of the new world, until it becomes the program. Never returns.

After PivotRoot nothing may be imported: there may be no Python in the new root. All rooms are loaded by then (a test looks).
"""

import contextlib
import errno
import json
import os
import socket
import time
from typing import Any, NoReturn

from ..errors import KernelRefused, SandboxError
from ..linux import files, syscalls
from ..primitives import capabilities
from ..primitives.barrier import WaitForGo
from ..primitives.namespaces import read as read_namespaces
from ..step import Step, World
from . import protocol

WIRE = 3  # where the wire to the launcher lies in the child; all higher descriptors are closed


def main(wire: socket.socket, own_namespaces: dict[str, str]) -> NoReturn:
    """Be the child, from birth: wait for the work, which comes over the wire with the streams, and do it."""
    os.dup2(wire.fileno(), WIRE, inheritable=False)
    # What the launcher holds is not the container's business (CVE-2024-21626).
    syscalls.close_range(WIRE + 1)
    world = World()
    world.pid = 0
    world.wire = socket.socket(fileno=WIRE)
    shared = {kind for kind, name in read_namespaces().items() if own_namespaces.get(kind) == name}
    while True:
        work, streams = protocol.receive(world.wire)
        if work is None:
            os._exit(125)
        if work["do"] == "rehearse":
            rehearse(work["steps"])
            continue
        leash = socket.socket(fileno=streams.pop()) if work.get("stepped") else None
        for standard, fd in enumerate(streams):
            os.dup2(fd, standard)
            os.close(fd)
        if leash:
            obey(leash, work["steps"], world, shared)
        become(work["steps"], world, shared, work["calls"])


def rehearse(steps: list[dict[str, Any]]) -> None:
    """Touch what the real work will touch: memory just forked is copied page by page, at 2 µs each, when first written to."""
    for data in steps:
        Step.from_json(data)
    json.dumps([["inside", time.monotonic_ns(), steps]])
    syscalls.take_calls()


def become(steps: list[dict[str, Any]], world: World, shared: set[str], observe: bool) -> NoReturn:
    """Apply the steps. The wire says what happened: the trace just before the program starts, or the refusal."""
    rows: list[list[object]] = []
    assert world.wire is not None
    step: Step = WaitForGo()
    try:
        syscalls.observe(observe)
        for number, step in enumerate([Step.from_json(data) for data in steps]):
            if step.name == "Exec":
                rows.append(["inside", number, time.monotonic_ns(), 0, "", []])
                protocol.send(world.wire, {"trace": rows}, [fd for pair in world.terminals for fd in pair])
                rows = []
            run(step, world, ["inside", number], rows, shared)
    except BaseException as error:
        protocol.send(world.wire, {"failed": refusal(step, error, world).to_json(), "trace": rows})
    finally:
        os._exit(125)


def obey(leash: socket.socket, steps: list[dict[str, Any]], world: World, shared: set[str]) -> NoReturn:
    """Apply the steps that the leash names, one at a time. The wire says what came of each; after a refusal we go on."""
    assert world.wire is not None
    syscalls.observe(True)
    made = [Step.from_json(data) for data in steps]
    while True:
        word, _ = protocol.receive(leash)
        if word is None:
            os._exit(125)  # whoever steps has gone
        number, rows, refused = word["step"], list[list[object]](), {}
        step = made[number]
        try:
            if step.name == "Exec":
                begun = ["inside", number, time.monotonic_ns(), 0, "", []]
                protocol.send(world.wire, {"trace": [begun]}, [fd for pair in world.terminals for fd in pair])
            run(step, world, ["inside", number], rows, shared)
        except Exception as error:
            refused = {"refused": refusal(step, error, world).to_json()}
        protocol.send(world.wire, {"stepped": rows[0], **refused})


def run(
    step: Step, world: World, head: list[object], rows: list[list[object]], shared: set[str] | frozenset[str] = frozenset()
) -> None:
    """Apply one step and note it: `head` is its lane and its number there. A step that would spoil the host is refused."""
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
        end = time.monotonic_ns()
        calls = [list(call) for call in syscalls.take_calls()]
        rows.append([*head, start, end, "" if result is None else str(result), calls])


def _why_not_permitted() -> tuple[str, str]:
    """What may stand behind EPERM, whatever the call. capabilities(7), seccomp(2)."""
    status = files.status()
    if "CAP_SYS_ADMIN" not in capabilities.names(int(status.get("CapEff", "0"), 16)):
        return (
            f"CAP_SYS_ADMIN is not effective (CapEff: {status.get('CapEff')})",
            "SetCapabilities comes later; or see `sandbox doctor`",
        )
    if status.get("Seccomp") == "2":
        return "a seccomp filter is on (Seccomp: 2)", "InstallSeccomp comes later; in Docker: its profile"
    return "", ""


def refusal(step: Step, error: BaseException, world: World) -> SandboxError:
    """What was raised, as one error that says step, call, errno, condition and cure."""
    if isinstance(error, SandboxError):
        return error
    if not isinstance(error, OSError):
        return SandboxError(
            f"{step.name}: {type(error).__name__}: {error}", cure="this is a mistake of ours: please report it"
        )
    condition = cure = ""
    with contextlib.suppress(OSError):
        condition, cure = step.explain(error, world)
        if not condition and error.errno == errno.EPERM:
            condition, cure = _why_not_permitted()
    name, _, section = step.man.partition("(")  # "mount(2)": made by `os`, which does not tell its calls
    call = getattr(error, "call", name if section.startswith("2") else "")
    path = error.filename if isinstance(error.filename, str) else ""
    return KernelRefused(step.name, call, error.errno or 0, path=path, condition=condition, cure=cure)
