"""Tests that make bridges, cables and rules do so in a network namespace of their own, and never on the host."""

import contextlib
import functools
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.linux import constants as c
from sandbox.linux import syscalls
from sandbox.linux.netlink import Netlink, Setting
from sandbox.primitives.network.state import STATE

SECONDS = 60
#: The host's address and the one at the other end of its cable to the world; and one further away.
HOST, WORLD, FAR = "203.0.113.2", "203.0.113.1", "198.51.100.7"


def in_own_network(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a process of its own, with a network (lo alone, up) and mounts of its own.

    Launcher and keeper are born there too, if it starts a container: SANDBOX_HOME must be its own (fixture `home`).
    """

    @functools.wraps(test)
    def run(*args: Any, **words: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root: the tests of networks make them")
        hear, say = os.pipe()
        if (child := os.fork()) == 0:
            os.close(hear)
            os.write(say, _verdict(test, args, words).encode())
            os._exit(0)
        os.close(say)
        with open(hear) as file:
            verdict, _, told = file.read().partition(" ")
        os.waitpid(child, 0)
        if verdict == "skipped":
            pytest.skip(told)
        assert verdict == "passed", told or "the process of the test was killed"

    return run


def _verdict(test: Callable[..., None], args: Any, words: Any) -> str:
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        try:
            syscalls.unshare(c.CLONE_NEWNET | c.CLONE_NEWNS)
            syscalls.mount(None, "/", None, c.MS_REC | c.MS_PRIVATE)
            os.makedirs(STATE, exist_ok=True)
            syscalls.mount("tmpfs", STATE, "tmpfs")  # of the same bridges, another machine would have files of its own, too
        except PermissionError as error:
            return f"skipped needs to make a network namespace: {error}"
        with Netlink() as net:
            net.set_link(1, Setting(up=True))
        try:
            test(*args, **words)
            left = _end_launcher()
        except BaseException:
            _end_launcher()
            raise
        finally:
            _end_strays()
        assert not left, f"the test left in the ledger: {left}"
    except pytest.skip.Exception as skipped:
        return f"skipped {skipped}"
    except BaseException:
        return f"failed {traceback.format_exc()}"
    return "passed "


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"not done in {SECONDS} s")


def _end_launcher() -> list[str]:
    """End what the test started: it lives in its network, and would outlive it. Returns what was still in the ledger."""
    if "sandbox.launcher.client" not in sys.modules:
        return []
    import sandbox
    from sandbox.errors import LauncherLost, SandboxError
    from sandbox.home import home
    from sandbox.launcher import client

    left = [entry["name"] for entry in sandbox.ledger()]
    for name in left:
        with contextlib.suppress(SandboxError):
            sandbox.Container(name).kill()
    sandbox.ledger()
    with contextlib.suppress(LauncherLost):  # the test has ended it itself
        client.end(home())
    while os.path.exists(f"{home().runtime}/socket"):  # until its keeper has ended
        time.sleep(0.005)
    return left


def _end_strays() -> None:
    """End whatever else was born in this network: a server that a test left would live on in it for ever."""
    own = os.readlink("/proc/self/ns/net")
    assert own != os.readlink(f"/proc/{os.getppid()}/ns/net"), "this is not a network of our own"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(pid) != os.getpid() and os.readlink(f"/proc/{pid}/ns/net") == own:
                os.kill(int(pid), signal.SIGKILL)


# --- other namespaces -----------------------------------------------------------------------------------------------


class Elsewhere:
    """Another network namespace, that lives as long as somebody has it open. Sockets are made in it, processes are not."""

    def __init__(self) -> None:
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.unshare(c.CLONE_NEWNET)
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.setns(own, c.CLONE_NEWNET)
        os.close(own)
        with self.door() as net:
            net.set_link(1, Setting(up=True))

    def door(self) -> Netlink:
        """A netlink socket in there."""
        return Netlink.of(self.fd)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket in there."""
        with self:
            return socket.socket(family, kind)

    def __enter__(self) -> None:
        self.own = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.setns(self.fd, c.CLONE_NEWNET)

    def __exit__(self, *_: object) -> None:
        syscalls.setns(self.own, c.CLONE_NEWNET)
        os.close(self.own)


def the_world() -> Elsewhere:
    """A namespace that plays the rest of the world: HOST is our address on the cable to it, WORLD and FAR are its own."""
    world = Elsewhere()
    with Netlink() as net, world.door() as there:
        net.add_link("veth", Setting("up0"), peer=Setting("eth0", netns_fd=world.fd))
        for door, name, address in ((net, "up0", f"{HOST}/24"), (there, "eth0", f"{WORLD}/24")):
            link = door.link(name)
            assert link
            door.add_address(link.index, address)
            door.set_link(link.index, Setting(up=True))
        there.add_address(1, f"{FAR}/32")
        link = net.link("up0")
        assert link
        net.add_default_route(link.index, WORLD)
    return world


@contextlib.contextmanager
def telling_who_calls(sock: socket.socket, address: str, port: int) -> Iterator[None]:
    """A server on this socket that tells everybody the address that it sees."""
    sock.bind((address, port))
    sock.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, who = sock.accept()
                with client:
                    client.sendall(f"{who[0]}\n".encode())

    threading.Thread(target=serve, daemon=True).start()
    yield
    sock.close()


def ask(address: str, port: int, sock: socket.socket | None = None) -> str:
    """What such a server says; "" if it can't be reached."""
    with sock or socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
        one.settimeout(2)
        try:
            one.connect((address, port))
            return one.recv(100).decode().strip()
        except OSError:
            return ""
