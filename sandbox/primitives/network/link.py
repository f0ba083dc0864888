"""Links as seen from inside: their counters, their addresses, and how they are set up. netdevice(7), rtnetlink(7)."""

import fcntl
import socket
import struct

from ...linux import constants as c
from ...linux import files
from ...linux.netlink import Netlink, Setting, told
from ...step import Step, World


def read(pid: int | str = "self") -> dict[str, tuple[int, int]]:
    """The links of a process's network namespace: name → (bytes received, bytes sent)."""
    links = {}
    for line in _shown(pid, "dev")[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        links[name.strip()] = (int(fields[0]), int(fields[8]))
    return links


def addresses(pid: int | str = "self", *, loopback: bool = False) -> tuple[str, ...]:
    """The addresses of a process's network namespace by which others may reach it: not those of one cable nor loopback's."""
    found, last = [], ""
    for line in _shown(pid, "fib_trie"):
        word = line.split()[-1] if line.strip() else ""
        if word == "LOCAL" and line.split()[0] == "/32" and (loopback or not last.startswith("127.")) and last not in found:
            found.append(last)
        elif "--" in line:
            last = word
    for line in _shown(pid, "if_inet6"):
        raw, _, _, scope, _, name = line.split()
        if (scope == "00" and name != "lo") or (loopback and scope == "10"):  # global; of the host. include/net/ipv6.h
            found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw)))
    return tuple(found)


def routes(pid: int | str = "self") -> tuple[str, ...]:
    """The routes of a process's network namespace, in the words of `ip route`. proc_pid_net(5), route and ipv6_route."""
    found = []
    for line in _shown(pid, "route")[1:]:
        device, network, gateway, _, _, _, _, mask = line.split()[:8]
        length = int(mask, 16).bit_count()
        found.append(_route(_ipv4(network), length, _ipv4(gateway) if int(gateway, 16) else "", device))
    for line in _shown(pid, "ipv6_route"):
        network, prefix, _, _, gateway, *_, device = line.split()
        if device != "lo" and not network.startswith(("fe80", "ff")):  # only those that lead somewhere
            via = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(gateway)) if int(gateway, 16) else ""
            found.append(_route(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(network)), int(prefix, 16), via, device))
    return tuple(found)


def _route(network: str, length: int, via: str, device: str) -> str:
    return ("default" if length == 0 else f"{network}/{length}") + (f" via {via}" if via else "") + f" dev {device}"


def _ipv4(text: str) -> str:
    """An address as the kernel prints it there: as a number in the machine's own order of bytes."""
    return socket.inet_ntoa(struct.pack("=I", int(text, 16)))


def _shown(pid: int | str, name: str) -> list[str]:
    """The lines of a file about its network; none on a kernel without IPv6, and of a process that is ending: its network goes
    before it does, and PID 1 waits for all the others then."""
    try:
        return files.read(f"/proc/{pid}/net/{name}").splitlines()
    except FileNotFoundError:
        return []


class BringUpLoopback(Step):
    """Set lo up: 127.0.0.1 and ::1 answer, and nothing else is reachable. netdevice(7)."""

    man = "netdevice(7)"
    see = "cat /proc/net/dev"
    touches = "network"

    def apply(self, world: World) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            request = struct.pack("16sH14x", b"lo", 0)
            flags = struct.unpack("16xH14x", fcntl.ioctl(sock, c.SIOCGIFFLAGS, request))[0]
            fcntl.ioctl(sock, c.SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | c.IFF_UP))

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        return explain(error)


class ConfigureLink(Step):
    """Set up a device that was put into this network namespace: its addresses, and who leads out of here. rtnetlink(7)."""

    man = "rtnetlink(7)"
    see = "ip address; ip route"
    touches = "network"

    device: str
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mtu: int = 0
    hwaddr: str = ""
    up: bool = True

    def apply(self, world: World) -> None:
        index = socket.if_nametoindex(self.device)
        with Netlink() as net:
            if self.mtu or self.hwaddr:
                net.set_link(index, Setting(mtu=self.mtu, hwaddr=self.hwaddr))
            for address in self.addresses:
                net.add_address(index, address)
            if self.up:
                net.set_link(index, Setting(up=True))
                for gateway in self.gateways:
                    net.add_default_route(index, gateway)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 19 or getattr(error, "call", "") == "":  # ENODEV, as if_nametoindex(3) says it
            return f"there is no {self.device} in here, only {', '.join(read())}", "PlugVeth was left out: it brings it"
        return explain(error)


def explain(error: OSError) -> tuple[str, str]:
    """Why the kernel refuses a change of the network, as far as it is the same for all steps."""
    if error.errno == 1:
        return "CAP_NET_ADMIN is missing over this network namespace: it is the host's", "do not share network"
    return told(error), ""
