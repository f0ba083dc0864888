"""The way in: ports of the host that lead to a container. nft(8), bind(2)."""

import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress

from ...linux import files, syscalls
from ...step import Step, World
from . import helpers, nat, state


class Publish(Step):
    """Let ports of the host lead to the container: (address or "" for all, port, container's address, port, "tcp" or "udp").

    Each is taken on the host as well, as long as the container runs: so nobody else can have it. nft(8), bind(2)
    """

    lane = "outside"
    man = "nft(8)"
    see = "nft list ruleset"

    bridge: str
    container: str
    ports: tuple[tuple[str, int, str, int, str], ...]

    def apply(self, world: World) -> str:
        for host, port, protocol in dict.fromkeys((row[0], row[1], row[4]) for row in self.ports):
            for fd in _take(host, port, protocol):
                world.held[f"port {protocol} {host} {port} {fd}"] = fd
        files.write(f"/proc/sys/net/ipv4/conf/{self.bridge}/route_localnet", "1")  # 127.0.0.1 of the host, too
        table = f"table inet {self.table}"
        rows = "".join(f"        {row}\n" for row in self._rows())
        script = f"{table}\ndelete {table}\n{table} {{\n"
        for chain, hook in (("arriving", "prerouting priority dstnat"), ("own", "output priority -100")):
            script += f"    chain {chain} {{\n        type nat hook {hook}; policy accept;\n{rows}    }}\n"
        helpers.start((nat.find_nft(), "-f", "-"), self._script, script + "}\n", world)
        return f"nft -f {self._script}"

    def undo(self) -> None:
        helpers.wait_for(self._script)
        nat.delete_table(self.table)
        for path in (self._script, f"{self._script}.said"):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _rows(self) -> Iterator[str]:
        for host, port, address, inside, protocol in self.ports:
            family = nat.family_of(address)
            to = f"{address}:{inside}" if family == "ip" else f"[{address}]:{inside}"
            mine = f"{family} daddr {host}" if host else "fib daddr type local"
            only = "ipv4" if family == "ip" else "ipv6"
            yield f"meta nfproto {only} {mine} {protocol} dport {port} dnat {family} to {to}"

    @property
    def table(self) -> str:
        """The name of its table of rules."""
        return f"publish_{zlib.crc32(self.container.encode()):08x}"

    @property
    def _script(self) -> str:
        return f"{state.folder_of(self.bridge)}/{self.table}.nft"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == 98:  # EADDRINUSE
            return "a port is in use on this host already (ss -lntup tells by whom)", "publish another one: -p OTHER:PORT"
        if error.errno == 99:  # EADDRNOTAVAIL
            return "the host does not have that address", "leave it out: -p HOST:PORT"
        return "", ""


def _take(host: str, port: int, protocol: str) -> Iterator[int]:
    """Sockets that occupy a port of the host, on one address or on all."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        if host and (":" in host) != (family == socket.AF_INET6):
            continue
        try:
            sock = socket.socket(family, kind)
        except OSError:  # a kernel without IPv6
            continue
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((host or everywhere, port))
        except OSError as error:
            sock.close()
            raise syscalls.SyscallError("bind", error.errno or 0, f"{host or everywhere}:{port}/{protocol}") from None
        yield sock.detach()
