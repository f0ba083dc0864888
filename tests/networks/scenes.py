"""Containers on networks, as the tests here start, ask and wait for them; and what there may be left of them."""

import contextlib
import os
import time

import sandbox
from sandbox import Container
from sandbox.linux import files
from sandbox.primitives.network.state import STATE
from tests.primitives.network.steps import names_of_links, nft

SERVE = "exec nc -ll -p 80 -e echo hello from $(hostname)"
SLEEP = "sleep 1000"


def out(container: str | Container, script: str, **options: object) -> str:
    """What a script prints: in a running container, or in a new one of the default network."""
    if isinstance(container, Container):
        result = container.exec(script)
    else:
        result = sandbox.run(container, script, timeout=90, **({"network": "bridge"} | options))
    return (result.stdout + result.stderr).decode()


def started(name: str, script: str = SLEEP, **options: object) -> Container:
    return sandbox.launch("busybox", script, name=name, **({"network": "bridge"} | options))[0]  # type: ignore[arg-type]


def eventually(condition: object) -> None:
    """Wait until it is true; thirty seconds at most."""
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def remains() -> list[str]:
    """The devices, rules, processes and files of networks that there are."""
    servers = [f"pid {pid}" for pid in os.listdir("/proc") if pid.isdigit() and _serves(pid)]
    return [*(names_of_links() - {"up0"}), *nft("list", "tables").splitlines(), *servers, *left_files()]


def everything_gone() -> bool:
    """Whether none of it is left. What a namespace held goes a moment after it."""
    return not remains()


def _serves(pid: str) -> bool:
    with contextlib.suppress(OSError):
        same = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
        return same and f"--pid-file={STATE}" in files.read(f"/proc/{pid}/cmdline") and not files.is_zombie(pid)
    return False


def left_files() -> list[str]:
    """What lies in the folder of networks."""
    return os.listdir(STATE) if os.path.isdir(STATE) else []
