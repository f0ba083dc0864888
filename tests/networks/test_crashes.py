"""Whoever is killed, and whenever: nothing of a network is left, and what runs goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.linux import files
from sandbox.starting import spec_for
from tests.networks.scenes import SERVE, eventually, everything_gone, out, remains, started
from tests.own_network import ask, in_own_network, the_world
from tests.primitives.network.steps import needs, setting

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.needs_root]


@contextlib.contextmanager
def killed(*who: str) -> Iterator[None]:
    """Kill the launcher, or it and the keeper, at the end of the block."""
    yield
    reply, _ = client.ask(open_home(), {"do": "hello"})
    pids = [reply[name] for name in who]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return not files.is_zombie(pid)
    return False


@pytest.mark.parametrize("who", [("pid",), ("keeper", "pid")], ids=["launcher", "both"])
@in_own_network
def test_who_is_killed_leaves_nothing(who: tuple[str, ...]) -> None:
    needs("nft", "nftables")
    the_world()
    web = started("web", SERVE, publish="8080:80", network=None)
    with killed(*who):
        eventually(lambda: ask("127.0.0.1", 8080) == "hello from web")
    assert web.state == "RUNNING"
    eventually(lambda: ask("127.0.0.1", 8080) == "hello from web")  # it goes on as before
    second = started("second")
    eventually(lambda: "hello from web" in out(second, f"nc -w 2 {web.info().ips[0]} 80 </dev/null"))
    with killed(*who):
        second.kill()
    web.kill()
    assert sandbox.ledger() == []
    eventually(everything_gone)
    assert setting("ipv4/conf/up0/forwarding") == "0"


@in_own_network
def test_killed_between_any_two_steps_nothing_is_left() -> None:
    needs("nft", "nftables")
    the_world()
    plan = sandbox.plan(spec_for("busybox", "true", network="bridge", publish="8080:80"))
    names = [step.name for step in plan.outside]
    for number in range(names.index("MakeBridge"), names.index("Go") + 1):
        if names[number] == "Clone":  # the cradle does that: tests/launcher/test_crashes.py
            continue
        script = CRASH.format(number=number)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=90)
        assert "LauncherLost" in done.stderr + done.stdout, done.stderr
        assert sandbox.ledger() == [], names[number]
        end = time.monotonic() + 30
        while remains() and time.monotonic() < end:
            time.sleep(0.02)
        assert remains() == [], f"after a crash before {names[number]}"
        client.end(open_home())
    assert setting("ipv4/conf/up0/forwarding") == "0"


#: The launcher of a run that ends itself just before the step of that number: its keeper is told by the environment.
CRASH = """
import os, signal
from sandbox.launcher import client
plain = client._KEEPER
client._KEEPER = plain.replace("from sandbox.launcher.keeper", "exec(KILL); from sandbox.launcher.keeper").replace(
    "import os, sys;", "import os, sys; KILL = " + repr('''
from sandbox.launcher import inside
import os, signal
usual = inside.run
def run(step, world, head, rows, shared=frozenset()):
    if head[0] == "outside" and head[1] == {number} and not os.path.exists(os.environ["SANDBOX_HOME"] + "/crashed"):
        open(os.environ["SANDBOX_HOME"] + "/crashed", "w")
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(step, world, head, rows, shared)
inside.run = run
''') + ";")
import sandbox
from sandbox.home import home
if os.path.exists(home().path + "/crashed"):
    os.unlink(home().path + "/crashed")
sandbox.run("busybox", "true", network="bridge", publish="8080:80")
"""
