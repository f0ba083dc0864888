"""Addresses and names for everybody on a bridge: dnsmasq, which answers DHCP and DNS there and nowhere else. dnsmasq(8)."""

import os
import signal
import socket
from contextlib import suppress

from ...linux import files, syscalls
from ...step import Step, World
from . import helpers, state


class ServeNames(Step):
    """Let a server on the bridge know this container: it gives the address to who asks by DHCP, and tells others the names.

    Where dnsmasq is not installed, the address is set from inside all the same, and names stand in /etc/hosts. dnsmasq(8)
    """

    lane = "outside"
    man = "dnsmasq(8)"
    see = "cat /run/container-sandbox-networks/*/dnsmasq.conf"

    bridge: str
    network: str
    gateways: tuple[str, ...]  # the host's addresses on the bridge, with the lengths of their prefixes
    container: str  # what its files here are called
    hwaddr: str
    addresses: tuple[str, ...]  # its own, that of IPv4 first
    names: tuple[str, ...]
    routed: bool = True

    def apply(self, world: World) -> str:
        program = helpers.find_program("dnsmasq")
        if not program:
            return "dnsmasq is not installed: no DHCP, and names only in /etc/hosts"
        folder = state.folder_of(self.bridge)
        known = {
            "hosts": "".join(f"{address} {' '.join(self.names)}\n" for address in self.addresses),
            "dhcp": f"{self.hwaddr},{self.addresses[0]},{self.names[0]}\n",
        }
        for kind, text in known.items():
            with suppress(FileExistsError):
                os.mkdir(f"{folder}/{kind}")
            with open(f"{folder}/{kind}/{self.container}", "w", encoding="ascii") as file:
                file.write(text)
        if server(self.bridge):
            return "it is there already, and reads what is new"
        words = (program, "--conf-file=-", f"--pid-file={folder}/dnsmasq.pid")
        helpers.start(words, f"{folder}/dnsmasq.conf", self._configuration(folder), world)
        return f"dnsmasq --conf-file={folder}/dnsmasq.conf"

    def undo(self) -> None:
        folder = state.folder_of(self.bridge)
        for kind in ("hosts", "dhcp"):
            with suppress(FileNotFoundError):
                os.unlink(f"{folder}/{kind}/{self.container}")
        if self.hwaddr != hwaddr_of(self.addresses[0]) and (pid := server(self.bridge)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)  # it notices names that go by itself, but not that an address is free again

    def _configuration(self, folder: str) -> str:
        gateway, _, length = self.gateways[0].partition("/")
        lines = [
            f"interface={self.bridge}",
            "except-interface=lo",
            "bind-interfaces",
            # Names: those in this folder; all others are asked of the servers in the host's /etc/resolv.conf.
            "no-hosts",
            f"hostsdir={folder}/hosts",
            f"domain={self.network}",
            f"local=/{self.network}/",
            "expand-hosts",
            "domain-needed",
            "bogus-priv",
            # Addresses: nobody gets one who is not in this folder.
            f"dhcp-hostsdir={folder}/dhcp",
            f"dhcp-range={gateway},static,{_netmask(int(length))},1h",
            "dhcp-authoritative",
            "leasefile-ro",
        ]
        if not self.routed:
            lines += ["no-resolv", "dhcp-option=option:router"]
        if not _may_change_groups():
            lines += ["user=root", "group="]  # or it would fail as it tries to become somebody else
        return "\n".join([*lines, ""])


def hwaddr_of(address: str) -> str:
    """The address of the device of who has chosen none: it follows from the IPv4 address, and so never is somebody else's."""
    return (b"\x02\x16" + socket.inet_aton(address)).hex(":")


def _may_change_groups() -> bool:
    """Whether root here may become somebody else: not if it is an ordinary user's, in a namespace. user_namespaces(7)"""
    try:
        return files.read("/proc/self/setgroups").strip() == "allow"
    except FileNotFoundError:  # a kernel without user namespaces
        return True


def _netmask(length: int) -> str:
    return ".".join(str(byte) for byte in (0xFFFFFFFF << 32 - length & 0xFFFFFFFF).to_bytes(4, "big"))


def server(bridge: str) -> int:
    """The pid of a bridge's dnsmasq, or 0. Its command line names the file that the pid stands in: so it is no stranger's."""
    path = f"{state.folder_of(bridge)}/dnsmasq.pid"
    with suppress(OSError, ValueError):
        pid = int(files.read(path))
        if f"--pid-file={path}" in files.read(f"/proc/{pid}/cmdline").split("\0"):
            return pid
    return 0


def end(bridge: str) -> None:
    """End the server of a bridge."""
    helpers.wait_for(f"{state.folder_of(bridge)}/dnsmasq.conf")
    with suppress(ProcessLookupError):
        if pid := server(bridge):
            pidfd = os.pidfd_open(pid)
            try:
                if server(bridge) == pid:  # it still is, now that the number can't be given to another
                    syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
