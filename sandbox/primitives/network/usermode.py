"""A network for who may make none: a program carries its packets over, by ordinary sockets. pasta(1), slirp4netns(1)."""

import os
import signal
from contextlib import suppress

from ...errors import NotPossibleHere
from ...linux import files, syscalls
from ...step import Step, World
from . import helpers

#: What both programs can be told to be: slirp4netns always is.
ADDRESS, GATEWAY, NAMESERVER = "10.0.2.100/24", "10.0.2.2", "10.0.2.3"

# It stays in the foreground: the shell leaves it to the keeper as soon as it says, on descriptor 3, that it is ready.
_SLIRP = """
(base=$1; shift; "$@" 3>&1 >/dev/null 2>"$base.err" & echo $! >"$base.pid") | { read -r ready; [ -n "$ready" ]; } && exit
cat "$1.err"; exit 1
"""


class CarryPackets(Step):
    """Give an ordinary user's container a device whose packets a program carries over by the sockets of its user. pasta(1)

    The world is reached as the user reaches it, but for the host itself and its loopback. `ports` are those of the host that
    lead in: (address or "", port, port inside, "tcp" or "udp").
    """

    lane = "outside"
    man = "pasta(1), slirp4netns(1)"
    see = "ps -C pasta,slirp4netns -o args"

    folder: str
    container: str
    device: str = "eth0"
    ports: tuple[tuple[str, int, int, str], ...] = ()

    def apply(self, world: World) -> str:
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            raise NotPossibleHere(
                "there is no network for an ordinary user's container",
                condition="/dev/net/tun can't be opened by us, or is not there",
                cure="have root allow it: modprobe tun; chmod 666 /dev/net/tun; or go without: --network none",
            )
        # slirp4netns first: the pasta of 2023 (Debian 12) leaves who is refused, or hangs up first, waiting for ever.
        if (slirp := helpers.find_program("slirp4netns")) and not self.ports:
            # The socket is there for its path, by which we know the process again.
            words = (slirp, "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=3",
                     f"--api-socket={self._base}.sock", str(world.pid), self.device)  # fmt: skip
            helpers.start(("/bin/sh", "-c", _SLIRP, "sh", self._base, *words), f"{self._base}.log", "", world)
            return "slirp4netns"
        if pasta := helpers.find_program("pasta"):
            helpers.start((pasta, *self._pasta(), str(world.pid)), f"{self._base}.log", "", world)
            return "pasta"
        raise NotPossibleHere(
            "there is no network for an ordinary user's container",
            condition="pasta is not installed" + (", and slirp4netns publishes no ports" if slirp else ", nor slirp4netns"),
            cure="apt-get install passt slirp4netns; or run as root",
        )

    def _pasta(self) -> tuple[str, ...]:
        address, _, length = ADDRESS.partition("/")
        ways = {"tcp": "-t", "udp": "-u"}
        # Else it would let in all ports that are open, and let out to those that only the host itself may reach.
        shut = ["-T", "none", "-U", "none", "--no-map-gw"]
        for protocol, way in ways.items():
            rows = [f"{host}/{port}:{inner}".lstrip("/") for host, port, inner, kind in self.ports if kind == protocol]
            shut += [word for row in rows or ["none"] for word in (way, row)]
        return (
            "--config-net", "--quiet", "--ns-ifname", self.device, "--address", address, "--netmask", length,
            "--gateway", GATEWAY, "--dns-forward", NAMESERVER, *shut, "--pid", f"{self._base}.pid",
        )  # fmt: skip

    def undo(self) -> None:
        helpers.wait_for(f"{self._base}.log")
        with suppress(OSError, ValueError):
            pid = self.carrier()
            pidfd = os.pidfd_open(pid)
            try:
                # Its own words name our files: so the number has not become a stranger's.
                if self._base in files.read(f"/proc/{pid}/cmdline"):
                    syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
        for end in ("log", "log.said", "pid", "sock", "err"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._base}.{end}")

    def carrier(self) -> int:
        """The pid of the program. Raises OSError and ValueError: it is not there yet."""
        return int(files.read(f"{self._base}.pid"))

    @property
    def _base(self) -> str:
        return f"{self.folder}/carry-{self.container}"
