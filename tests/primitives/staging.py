"""A stage for steps: a small launcher in a process of its own, whose child lives in new namespaces and is killed at the end.

A test gives the text of a function body; it runs in the child as PID 1, with `world` and all rooms at hand, and what it leaves
in `said` comes back as JSON. What a step refused comes back as the error's JSON.
"""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

from tests.conftest import REPOSITORY

#: Ids that no container has: the range that systemd keeps for containers lies elsewhere.
ROOT_MAP = ((0, 0x70000000, 0x10000),)
ALL = ("mount", "pid", "network", "ipc", "uts", "user")

STAGE = """
import errno, fcntl, json, os, signal, socket, stat, sys
sys.path.insert(0, sys.argv[1])
from sandbox.errors import SandboxError
from sandbox.launcher.inside import refusal
from sandbox.linux import constants as c, files, syscalls
from sandbox.primitives import capabilities, devices, mounts, namespaces, network, overlay, process, terminal, users
from sandbox.primitives.barrier import Go, WaitForGo
from sandbox.primitives.devices import MakeDev
from sandbox.primitives.mounts import (
    AttachTree, MakePrivate, MakeReadOnly, Mask, MountFilesystem, MountScratch, OpenTree,
)
from sandbox.primitives.namespaces import Clone, Enter, SetHostname, UnshareCgroupNamespace
from sandbox.primitives.network import BringUpLoopback
from sandbox.primitives.overlay import MountOverlay
from sandbox.primitives.process import ChangeDirectory, Exec, GiveStreams, ResetProcess, SetUser
from sandbox.primitives.root import AttachRoot, PivotRoot, ReadOnlyRoot
from sandbox.primitives.terminal import OpenConsole, TakeTerminal
from sandbox.primitives.users import BecomeRoot, ClaimIds, MapIds
from sandbox.step import World

namespaces_wanted, rows, outside, unmapped = json.loads(sys.argv[2])
rows = tuple(map(tuple, rows))

def do(step, world):
    try:
        return step.apply(world)
    except BaseException as error:
        told = refusal(step, error, world)
        raise told from error

def inside(world, say):
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))  # even PID 1 obeys, now that it has a handler
    signal.alarm(15)
    try:
        do(WaitForGo(), world)
        if "user" in namespaces_wanted and not unmapped:
            do(BecomeRoot(groups=len(rows) > 1 or rows[0][2] > 1), world)
        scope = globals() | {"world": world, "said": None}
        exec(compile(sys.argv[3], "<inside>", "exec"), scope)
        reply = {"said": scope["said"]}
    except SandboxError as error:
        reply = {"refused": error.to_json()}
    except BaseException as error:
        reply = {"raised": repr(error)}
    os.write(say, json.dumps(reply).encode())
    os._exit(0)

hear, say = os.pipe()
if os.fork() == 0:  # the launcher: its child becomes a child of ours
    os.close(hear)
    world = World()
    world.wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        do(Clone(tuple(namespaces_wanted)), world)
        if world.pid == 0:
            world.wire.close()
            world.wire = theirs
            inside(world, say)
        theirs.close()
        if "user" in namespaces_wanted and not unmapped:
            do(MapIds(rows, rows), world)
        exec(compile(outside, "<outside>", "exec"), globals() | {"world": world})
        do(Go(), world)
    except SandboxError as error:
        os.write(say, json.dumps({"refused": error.to_json()}).encode())
    except BaseException as error:
        os.write(say, json.dumps({"raised": repr(error)}).encode())
    os._exit(0)
os.close(say)
text = b""
while data := os.read(hear, 65536):
    text += data
while True:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        break
print(text.decode())
"""


def play(
    inside: str, *, outside: str = "", namespaces: tuple[str, ...] = ALL, unmapped: bool = False, user: int | None = None,
    rows: tuple[tuple[int, int, int], ...] = (), before: tuple[str, ...] = (),
    python: str = sys.executable, source: object = REPOSITORY,
) -> Any:  # fmt: skip
    """What the scene left in `said`. Raises what went wrong: Refused for a refusal, AssertionError for the rest."""
    uid = os.geteuid() if user is None else user
    rows = rows or (ROOT_MAP if uid == 0 else ((0, uid, 1),))
    asked = json.dumps([namespaces, rows, textwrap.dedent(outside), unmapped])
    drop = () if user is None or os.geteuid() else ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    command = [*before, *drop, python, "-I", "-S", "-c", STAGE, str(source), asked, textwrap.dedent(inside)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, cwd="/")
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"the scene did not end: {late.stderr!r}") from None
    assert done.stdout.strip(), done.stderr
    try:
        reply = json.loads(done.stdout)
    except ValueError:  # a process that the scene forked failed as well
        raise AssertionError(done.stdout) from None
    if "refused" in reply:
        raise Refused(reply["refused"])
    assert "said" in reply, reply
    return reply["said"]


class Refused(Exception):
    """A step was refused on the stage: the error's JSON as attributes."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.message, self.condition, self.cure = told["message"], told["condition"], told["cure"]
        self.errno: int = told.get("errno", 0)
        self.call: str = told.get("call", "")
        self.path: str = told.get("path", "")
