"""The attacker's tools: images made by hand, and programs that try to get out."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sandbox
from sandbox.errors import LauncherLost, SandboxError
from sandbox.home import home as open_home
from sandbox.launcher import client

#: Before a program for the `host` image: raw system calls, each answered by 0 or the errno's name.
PRELUDE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    got = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return errno.errorcode[ctypes.get_errno()] if got < 0 else "0"
def tried(function, *args):
    try:
        function(*args)
        return "0"
    except OSError as error:
        return errno.errorcode[error.errno]
"""

#: A program that goes for every process which comes into its container, until there is a file /tmp/enough; then it prints how
#: many it saw, and what it got of them.
WATCHER = """
import time
def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read()
    except OSError:
        return ""
def is_helper(pid):
    return pid != "1" and comm(pid).startswith("sandbox-")
def python_of(pid):
    if "python" not in os.readlink(f"/proc/{pid}/exe"):
        raise OSError(errno.ENOENT, "")
def attacks(pid):
    for name in ("mem", "environ", "maps", "auxv"):
        yield name, tried(os.open, f"/proc/{pid}/{name}", os.O_RDONLY)
    yield "exe", tried(python_of, pid)
    yield "ptrace", call(101, 0x4206, int(pid), 0, 0)  # PTRACE_SEIZE
os.write(1, b"ready\\n")
seen, caught, end = 0, set(), time.time() + 20
while not os.path.exists("/tmp/enough") and time.time() < end:
    for pid in filter(is_helper, filter(str.isdigit, os.listdir("/proc"))):
        seen += 1
        for name, answer in attacks(pid):
            if answer == "0" and is_helper(pid):  # otherwise it had become the program meanwhile
                caught.add(name)
            if name == "ptrace" and answer == "0":
                os.waitpid(int(pid), 0x40000000)  # until it ends
    os.closerange(3, 256)
print(seen, sorted(caught))
"""


def program(code: str) -> list[str]:
    """The command that runs this Python code in the `host` image, with PRELUDE before it."""
    return ["/usr/bin/python3", "-I", "-c", PRELUDE + code]


def inside(code: str, **options: Any) -> list[str]:
    """The lines that this Python code prints in a container of its own. It must not fail."""
    done = sandbox.run("host", program(code), **options)
    assert done.exit_code == 0, (done.exit_code, done.reason, done.text, done.stderr.decode(errors="replace")[-2000:])
    return done.text.splitlines()


def shell(script: str, **options: Any) -> str:
    """What this script prints in a busybox container of its own, both streams, whatever its exit code."""
    done = sandbox.run("busybox", f"exec 2>&1; {script}", **options)
    return done.text


def refusal(attempt: Callable[[], object]) -> str:
    """What this attempt is refused with; "" if it is not."""
    try:
        attempt()
    except SandboxError as error:
        return str(error)
    return ""


def end_launcher() -> None:
    """End launcher and keeper of this SANDBOX_HOME: they live in our mount namespace, and would keep it."""
    with suppress(LauncherLost):
        client.ask(open_home(), {"do": "end"})


@dataclass
class Hostile:
    """An image in the making: busybox, and a layer on top of it that holds what the test puts into `folder`."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)

    def link(self, path: str, target: str | Path) -> None:
        """A symbolic link in the image."""
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """A file in the image."""
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        place.chmod(mode)

    def spec(self, command: Sequence[str] | str, **options: Any) -> sandbox.Spec:
        """What a door would make of an image that consists of these layers."""
        made = sandbox.spec_for("busybox", command, **options)
        return replace(made, root=replace(made.root, layers=(*made.root.layers, str(self.folder))))

    def refusal(self, command: Sequence[str] | str = ("true",), **options: Any) -> str:
        """Why a container of this image is refused, or fails to start; "" if it is not."""
        return refusal(lambda: self.run(command, **options))

    def run(self, command: Sequence[str] | str = ("true",), **options: Any) -> sandbox.Result:
        """Run a command in a container of this image."""
        return sandbox.run(self.spec(command, **options))
