"""How a step of networks is tried: outside of any container, on a child that only sleeps in a network namespace of its own."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from typing import TypeVar

import pytest

from sandbox.launcher.inside import refusal
from sandbox.linux import files
from sandbox.primitives.network import AwaitHelpers, find_program
from sandbox.step import Step, World
from tests.own_network import Elsewhere

S = TypeVar("S", bound=Step)


def apply(step: S, world: World) -> S:
    """The step as it was chosen, applied. Raises what the launcher would tell."""
    chosen = step.choose(world)
    try:
        chosen.apply(world)
    except BaseException as error:
        raise refusal(chosen, error, world) from error
    return chosen


@contextlib.contextmanager
def child() -> Iterator[tuple[World, Elsewhere]]:
    """A world with a child in a network namespace of its own, and that namespace."""
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as process:
        while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.005)
        world, there = World(), Elsewhere.__new__(Elsewhere)
        world.pid = process.pid
        there.fd = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)
        try:
            yield world, there
        finally:
            process.kill()
            os.close(there.fd)
            for fd in world.held.values():
                os.close(fd)


def await_helpers(world: World) -> None:
    apply(AwaitHelpers(), world)


def needs(program: str, package: str) -> str:
    path = find_program(program)
    if not path:
        pytest.skip(f"needs {program}: apt-get install {package}")
    return path


def nft(*words: str) -> str:
    return subprocess.run([needs("nft", "nftables"), *words], capture_output=True, text=True).stdout


def setting(path: str) -> str:
    """What stands in a file below /proc/sys/net."""
    return files.read(f"/proc/sys/net/{path}").strip()


def names_of_links() -> set[str]:
    """The network devices that there are, but for lo."""
    return {line.partition(":")[0].strip() for line in files.read("/proc/net/dev").splitlines()[2:]} - {"lo"}


def without(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Let these programs not be found."""
    from sandbox.primitives.network import helpers

    known = find_program
    monkeypatch.setattr(helpers, "find_program", lambda name: "" if name in programs else known(name))
