"""lxc-device, and lxc-unshare -i: network devices move, nodes in /dev do not. All in a network namespace of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root]


@pytest.fixture(scope="module")
def _cables() -> None:
    done = subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"a pair of devices is needed, and can't be made: {done.stderr.decode().strip()}")


HEAD = """
import contextlib, io, subprocess, sys
import sandbox
from sandbox.home import home
from sandbox.launcher import client
from sandbox.lxc.commands import main

def links():
    shown = subprocess.check_output(["ip", "-o", "link"], text=True).splitlines()
    return {line.split(":")[1].split("@")[0].strip() for line in shown}

def told(*words):
    with contextlib.redirect_stderr(io.StringIO()) as error:
        assert main(words[0], words[1:]) == 1
    return error.getvalue()

subprocess.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
box, _ = sandbox.launch("busybox", ["sleep", "100"], name="box")
inside = lambda: set(box.exec("ls /sys/class/net").text.split())
try:
"""
TAIL = """
finally:
    box.kill()
    sandbox.ledger()
    client.end(home())
"""


@pytest.fixture
def privately(tmp_path: Path, _cables: None) -> object:
    """Run a script in a network namespace of its own, with a container "box" and a pair of devices v0 and v1."""

    def run(script: str) -> None:
        whole = HEAD + textwrap.indent(textwrap.dedent(script), "    ") + TAIL
        environment = {**os.environ, "SANDBOX_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(["unshare", "-n", sys.executable, "-c", whole], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


def test_a_network_device_moves_in_and_out_under_other_names(privately) -> None:
    privately("""
        assert main("lxc-device", ["-n", "box", "add", "v1", "eth7"]) == 0
        assert inside() == {"lo", "eth7"}
        assert links() == {"lo", "v0"}
        assert main("lxc-device", ["-n", "box", "--", "del", "eth7", "back"]) == 0
        assert inside() == {"lo"}
        assert links() == {"lo", "v0", "back"}
        assert main("lxc-device", ["box", "add", "back"]) == 0
        assert inside() == {"lo", "back"}
    """)


def test_what_can_not_move_is_refused_and_stays_as_it_was(privately) -> None:
    privately("""
        assert "Failed to add lo to box (" in told("lxc-device", "-n", "box", "add", "lo")
        assert "LOOPBACK,UP" in subprocess.check_output(["ip", "link", "show", "lo"], text=True)
        assert "neither a network device nor a node" in told("lxc-device", "-n", "box", "add", "nosuch")
        assert "neither a network device nor a node" in told("lxc-device", "-n", "box", "del", "v1")
        assert "mounted nodev" in told("lxc-device", "-n", "box", "add", "/dev/null")
        assert "Please use add or del" in told("lxc-device", "-n", "box", "move", "v1")
        assert "Please use add or del" in told("lxc-device", "-n", "box", "add")
        assert "Container nope is not running" in told("lxc-device", "-n", "nope", "add", "v1")
        assert links() == {"lo", "v0", "v1"}
    """)


def test_who_shares_the_hosts_network_has_all_its_devices(privately) -> None:
    privately("""
        other, _ = sandbox.launch("busybox", ["sleep", "100"], name="other", share="network")
        assert "it shares the host's network" in told("lxc-device", "-n", "other", "add", "v1")
        other.kill()
    """)


def test_lxc_unshare_lends_a_device(privately) -> None:
    privately("""
        command = [sys.executable, "-m", "sandbox", "lxc-unshare", "-s", "NETWORK", "-i", "v1", "--", "ip", "-o", "link"]
        assert " v1@" in subprocess.check_output(command, text=True)
        assert "there is no device 'nosuch'" in told("lxc-unshare", "-s", "NETWORK", "-i", "nosuch", "--", "true")
    """)
