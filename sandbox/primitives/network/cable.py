"""Cables: devices that are put into a container. veth(4), ip-link(8)."""

import os
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Self

from ...errors import NotFound
from ...linux import constants as c
from ...linux import syscalls
from ...linux.netlink import Link, Netlink, Setting
from ...step import Step, World
from . import state
from .link import explain


class PlugVeth(Step):
    """A cable: one end is the container's `device`, the other is plugged into a bridge of the host. veth(4)."""

    lane = "outside"
    man = "veth(4)"
    see = "ip link show type veth"

    bridge: str  # "": into none
    device: str = "eth0"
    hwaddr: str = ""
    mtu: int = 0
    pair: str = ""  # the name of the host's end
    published: bool = False  # it may then send to itself, by a port of the host
    mark: str = ""  # of this one cable: ten hexadecimal digits

    @property
    def lingers(self) -> bool:
        """The kernel takes the cable away as it ends the container's namespace; but a chosen name must be free at once."""
        return not self.pair

    @property
    def host_end(self) -> str:
        """What the host's end is called."""
        return self.pair or f"veth{self.mark[:8]}"

    def choose(self, world: World) -> Self:
        return replace(self, mark=os.urandom(5).hex())

    def apply(self, world: World) -> str:
        try:
            master = socket.if_nametoindex(self.bridge) if self.bridge else 0
        except OSError:
            raise NotFound(f"there is no bridge {self.bridge!r} on the host", cure="`ip link` lists what there is") from None
        inner = Setting(self.device, mtu=self.mtu, hwaddr=self.hwaddr, netns_pid=world.pid)
        with Netlink() as net:
            net.add_link("veth", Setting(self.host_end, True, self.mtu, self._hwaddr, master), peer=inner)
            if self.published and master:
                net.reflect(socket.if_nametoindex(self.host_end))
        if (lock := world.held.pop(f"bridge {self.bridge}", -1)) >= 0:
            os.close(lock)  # as long as it has a port, nobody takes it down
        return self.host_end

    @property
    def _hwaddr(self) -> str:
        """Of the host's end: high, so that no bridge takes it for its own; and by it we know our cable."""
        return bytes.fromhex(f"fe{self.mark}").hex(":")

    def undo(self) -> None:
        with Netlink() as net, suppress(OSError):  # it may go by itself at any moment
            found = net.link(self.host_end)
            if found and found.hwaddr == self._hwaddr:
                net.delete_link(found.index)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 17:
            return f"there is a device {self.host_end} or, inside, {self.device}", "choose another name"
        return explain(error)


class PlugMacvlan(Step):
    """A second address of a device of the host, and the container's own: it goes with the container. ip-link(8), macvlan."""

    lane = "outside"
    man = "ip-link(8)"
    see = "ip -details link show DEVICE"

    link: str
    device: str = "eth0"
    hwaddr: str = ""
    mtu: int = 0
    mode: str = "private"

    def apply(self, world: World) -> None:
        with Netlink() as net:
            wanted = Setting(self.device, mtu=self.mtu, hwaddr=self.hwaddr, netns_pid=world.pid)
            net.add_link("macvlan", wanted, link=_index(self.link), mode=self.mode)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 95:
            return "this kernel has no macvlan (CONFIG_MACVLAN)", "use a veth"
        return explain(error)


class MoveLink(Step):
    """Give a device of the host to the container; at the end it comes back, under its old name. ip-link(8), netns.

    The container's network namespace is given a name meanwhile, as `ip netns attach` does: so what is left of it can still be
    entered when all its processes have ended.
    """

    lane = "outside"
    man = "ip-link(8)"
    see = "ip link"

    link: str
    device: str
    container: str

    def apply(self, world: World) -> None:
        index = _index(self.link)
        os.makedirs(state.STATE, exist_ok=True)
        os.close(os.open(self._name, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        syscalls.mount(f"/proc/{world.pid}/ns/net", self._name, None, c.MS_BIND)
        with Netlink() as net:
            net.set_link(index, Setting(self.device, netns_pid=world.pid))

    def undo(self) -> None:
        try:
            inside = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError), Netlink.of(inside) as net:  # EINVAL: it never got its name
                for each in net.links():
                    if self._is_it(each):
                        net.set_link(each.index, Setting(up=False))
                        net.set_link(each.index, Setting(self.link, netns_fd=own))
        finally:
            os.close(inside)
            os.close(own)
        with suppress(OSError):
            syscalls.umount2(self._name, c.MNT_DETACH)
        os.unlink(self._name)
        with suppress(OSError):  # the last one
            os.rmdir(state.STATE)

    @property
    def _name(self) -> str:
        return f"{state.STATE}/netns-{self.container}-{self.link}"

    def _is_it(self, found: Link) -> bool:
        """Its name; or, if the container gave it another, what it is: a device that nobody there can have made."""
        return found.name == self.device or (found.kind == "" and found.name != "lo")

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 17:
            return f"{self._name} is there: it is given away already", "stop that container first"
        if error.errno == 22:
            return f"{self.link} can't leave its network namespace", "use a macvlan of it"
        return explain(error)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise NotFound(f"there is no device {name!r} on the host", cure="`ip link` lists them") from None
