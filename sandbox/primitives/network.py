"""Network: a new network namespace holds one link, lo, and it is down. network_namespaces(7), netdevice(7)."""

import fcntl
import socket
import struct

from ..linux import constants as c
from ..linux import files
from ..step import Step, World


def read(pid: int | str = "self") -> dict[str, tuple[int, int]]:
    """The links of a process's network namespace: name → (bytes received, bytes sent)."""
    links = {}
    for line in files.read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        links[name.strip()] = (int(fields[0]), int(fields[8]))
    return links


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
        if error.errno == 1:
            return "CAP_NET_ADMIN is missing over this network namespace: it is the host's", "do not share network"
        return "", ""
