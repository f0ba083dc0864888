"""A bridge: a switch inside the kernel, and the host's own place on it. bridge(8), ip-link(8)."""

import fcntl
import os
import zlib
from contextlib import suppress

from ...errors import NotPossibleHere
from ...linux import files
from ...linux.netlink import Netlink, Setting
from ...step import Step, World
from . import names, nat, state
from .link import explain

_CONF = "/proc/sys/net/{family}/conf/{bridge}/{name}"


class MakeBridge(Step):
    """Have a bridge: the host has these addresses on it. The last container that is unplugged takes it along. bridge(8)."""

    lane = "outside"
    man = "bridge(8)"
    see = "ip address show type bridge; bridge link"
    lingers = True  # taking it down takes 50 ms, and the next container may want it

    bridge: str
    addresses: tuple[str, ...] = ()
    routed: bool = True  # whether there is a way out

    def apply(self, world: World) -> str:
        # Until Go: so long nobody takes down what is without ports only because we are not there yet.
        if f"bridge {self.bridge}" not in world.held:
            world.held[f"bridge {self.bridge}"] = state.lock(self.bridge, fcntl.LOCK_SH)
        if state.is_made(self.bridge):
            return "it is there already"
        with Netlink() as net:
            found = net.link(self.bridge)
            if found and found.hwaddr != _hwaddr(self.bridge):
                raise NotPossibleHere(
                    f"{self.bridge} is not a bridge of ours",
                    condition=f"a {found.kind or 'device'} of that name is there already",
                    cure="remove it, or give the network another one: sandbox network create --bridge NAME",
                )
            with suppress(FileExistsError):  # another launcher was faster, or one was killed in the middle
                net.add_link("bridge", Setting(self.bridge, hwaddr=_hwaddr(self.bridge)))
            made = net.link(self.bridge)
            assert made
            # Before it has addresses, so that nobody takes it for a way out that others may open and close.
            _set("ipv4", self.bridge, "forwarding", str(int(self.routed)))
            _set("ipv6", self.bridge, "accept_ra", "0")  # or a container could tell the host where to send (CVE-2020-13401)
            for address in self.addresses:
                with suppress(FileExistsError):
                    net.add_address(made.index, address)
            net.set_link(made.index, Setting(up=True))
        state.note_made(self.bridge)
        return f"index {made.index}"

    def undo(self) -> None:
        try:
            alone = state.lock(self.bridge, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody is just plugging in: it is theirs
        try:
            with Netlink() as net:
                found = net.link(self.bridge)
                ours = found is not None and found.hwaddr == _hwaddr(self.bridge)
                if found and ours and net.links(master=found.index):
                    return
                names.end(self.bridge)
                nat.lower(self.bridge)
                if found and ours:
                    with suppress(OSError):  # somebody took it away by hand
                        net.delete_link(found.index)
            state.remove(self.bridge)
        finally:
            os.close(alone)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 1:
            return "CAP_NET_ADMIN is missing over this network namespace", "run as root, or in a namespace of your own"
        if error.errno == 30:  # EROFS
            return "/proc/sys is read-only here, as it is inside Docker", "docker run --privileged"
        return explain(error)


def _hwaddr(bridge: str) -> str:
    """The address of a bridge: by it we know our own; and without one it would change with every port."""
    return (b"\x02\x5b" + zlib.crc32(bridge.encode()).to_bytes(4, "big")).hex(":")


def _set(family: str, bridge: str, name: str, value: str) -> None:
    path = _CONF.format(family=family, bridge=bridge, name=name)
    with suppress(FileNotFoundError):  # a kernel without IPv6
        if files.read(path).strip() != value:
            files.write(path, value)
