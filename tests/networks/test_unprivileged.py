"""An ordinary user's container on a network: a program carries its packets, and goes with it."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.linux import syscalls
from tests.conftest import NOBODY, as_nobody
from tests.own_network import FAR, HOST, ask, in_own_network, telling_who_calls, the_world
from tests.primitives.network.steps import needs

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

SCRIPT = """
import json, os, sys, time
import sandbox
from sandbox.errors import SandboxError
from sandbox.home import home
from sandbox.launcher import client
def carriers():
    names = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{{pid}}/cmdline").read().split("\\0")
        except OSError:
            continue
        if home().runtime + "/carry-" in " ".join(words):
            names.append(os.path.basename(words[0]))
    return names
def gone():
    end = time.monotonic() + 30
    while carriers() and time.monotonic() < end:
        time.sleep(0.02)
    return carriers()
try:
{body}
except SandboxError as error:
    said = str(error)
sandbox.ledger()
print(json.dumps([said, gone(), sorted(os.listdir(home().runtime))]))
client.end(home())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sandbox-user-"))
    os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


def play(folder: Path, python: str, source: Path, body: str) -> Any:
    """What the script says, run by an ordinary user who may open /dev/net/tun; and nothing may be left of it."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    env = {"PATH": os.environ["PATH"], "SANDBOX_HOME": str(folder / "shelf"), "PYTHONPATH": str(source), "HOME": str(folder)}
    command = as_nobody(python, "-c", SCRIPT.format(body=indented))
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=100)
    assert done.returncode == 0, done.stderr
    said, carriers, files = json.loads(done.stdout.splitlines()[-1])
    assert carriers == [], "the program that carried the packets is still there"
    assert not [name for name in files if name.startswith("carry-")]
    return said


def may_open_tun(mode: int = 0o666) -> None:
    """Here /dev/net/tun may be opened by all, as it is on most machines."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun: modprobe tun")
    number = os.stat("/dev/net/tun").st_rdev
    syscalls.mount("tmpfs", "/dev/net", "tmpfs")
    os.mknod("/dev/net/tun", mode | 0o020000, number)
    os.chmod("/dev/net/tun", mode)


@in_own_network
def test_the_world_is_reached_and_the_host_is_not(folder: Path, user_python: str, user_source: Path) -> None:
    needs("slirp4netns", "slirp4netns")
    may_open_tun()
    outer = the_world()
    with telling_who_calls(outer.socket(), FAR, 80), telling_who_calls(socket.socket(), "127.0.0.1", 81):
        said = play(folder, user_python, user_source, f"""
look = "nc -w 3 {FAR} 80; nc -w 1 10.0.2.2 81; ip -4 a show eth0; cat /etc/resolv.conf"
result = sandbox.run("busybox", look, network="bridge")
said = [result.stdout.decode(), list(result.trace.results("CarryPackets"))]
""")  # fmt: skip
    text, how = said
    assert how == ["slirp4netns"]
    assert text.startswith(f"{HOST}\n")
    assert "inet 10.0.2.100/24" in text
    assert "nameserver 10.0.2.3" in text
    assert "127.0.0.1" not in text


@in_own_network
def test_a_port_is_published_by_pasta(folder: Path, user_python: str, user_source: Path) -> None:
    needs("pasta", "passt")
    may_open_tun()
    the_world()
    said = play(
        folder,
        user_python,
        user_source,
        """
import socket
box, trace = sandbox.launch("busybox", "while :; do echo hello | nc -l -p 80; done", publish="8080:80")
said, end = [], time.monotonic() + 30
while b"hello" not in said and time.monotonic() < end:
    try:
        with socket.create_connection(("127.0.0.1", 8080), 1) as one:
            said.append(one.recv(5))
    except OSError:
        time.sleep(0.05)
said = ["hello" if b"hello" in said else "", carriers(), list(box.info().ips)]
box.kill()
""",
    )
    assert said == ["hello", ["pasta"], ["10.0.2.100"]]
    assert ask("127.0.0.1", 8080) == ""


@in_own_network
def test_where_no_program_carries_packets_or_the_device_is_closed_that_is_said(
    folder: Path, user_python: str, user_source: Path
) -> None:
    run = 'said = sandbox.run("busybox", "true", network="bridge").exit_code'
    may_open_tun(0o600)
    assert "/dev/net/tun can't be opened by us" in play(folder, user_python, user_source, run)
    os.chmod("/dev/net/tun", 0o666)
    said = play(
        folder,
        user_python,
        user_source,
        """
spec = sandbox.spec_for("busybox", "true", network="bridge")
client.end(home())  # the next one gets this PATH
os.environ["PATH"] = "/nowhere"
said = sandbox.run(spec).exit_code
""",
    )
    assert "pasta is not installed, nor slirp4netns" in said


@in_own_network
def test_what_only_root_can_do_is_refused_in_a_sentence(folder: Path, user_python: str, user_source: Path) -> None:
    body = 'said = sandbox.run("busybox", "true", network=["bridge", "lab"]).exit_code'
    assert "can give a container one network" in play(folder, user_python, user_source, body)
    body = 'said = sandbox.run("busybox", "true", network="container:web").exit_code'
    assert "only root can share a container's network" in play(folder, user_python, user_source, body)
