"""The networks on the shelf: one file each, which is the truth.

$SANDBOX_HOME/networks/NAME.json    bridge, subnets, range; and the containers that keep an address
"""

import contextlib
import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from .. import disk
from ..errors import AlreadyExists, InvalidOption, NotFound, WrongState
from ..spec import DEFAULT_NETWORK
from ..store import Home
from . import leases, subnets
from .subnets import Subnet

#: Words of --network that are no name.
_WORDS = ("none", "host", "bridge", "container")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_BRIDGE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")


@dataclass(frozen=True)
class Net:
    """A network. `subnets` are "10.208.5.0/24" and perhaps "fd12:…::/64"; the host has the first address of each.

    Containers get the numbers `first` to `last` of it. Those in `kept`, by their folders, keep theirs.
    """

    name: str
    bridge: str
    subnets: tuple[str, ...]
    first: int
    last: int
    internal: bool = False
    kept: dict[str, int] = field(default_factory=dict)

    def at(self, number: int) -> tuple[str, ...]:
        """The addresses of a number: "10.208.5.7/24", "fd12:…::7/64"."""
        return tuple(Subnet.of(subnet).at(number) for subnet in self.subnets)

    def alive(self) -> dict[str, int]:
        """Those of `kept` that are still on the shelf: a crash may have come between a container's end and `release`."""
        return {folder: number for folder, number in self.kept.items() if os.path.isdir(folder)}


def names(home: Home) -> list[str]:
    """The names of all networks, sorted; the default one is among them once it was used."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name[:-5] for name in os.listdir(_folder(home)) if name.endswith(".json") and _NAME.fullmatch(name[:-5]))
    return []


def get(home: Home, name: str) -> Net:
    """A network; the default one is made when it is first asked for. Raises NotFound."""
    with locked(home):
        return load(home, name)


def create(home: Home, name: str, *, subnet: str = "", range: str = "", bridge: str = "", internal: bool = False) -> Net:
    """Put a new network on the shelf. What is not said is chosen so that it clashes with nothing on this host.

    `subnet` is "10.0.3.0/24", perhaps with one of IPv6 behind a comma; `range` is "10.0.3.100-10.0.3.199".

    Raises:
        AlreadyExists: the name is taken.
        InvalidOption: a value makes no sense, or clashes with an address or a route of the host, or with another network.
    """
    if not _NAME.fullmatch(name) or name in _WORDS:
        raise InvalidOption(f"{name!r} is no name for a network", cure=f"use a-z, 0-9, '_', '-'; not {', '.join(_WORDS)}")
    with locked(home):
        if os.path.exists(_path(home, name)):
            raise AlreadyExists(f"there is a network {name!r} already", cure="choose another name")
        return _create(home, name, subnet, range, bridge, internal)


def remove(home: Home, name: str) -> None:
    """Take a network off the shelf. Raises NotFound, and WrongState while a container has or keeps an address of it."""
    with locked(home):
        if users := containers(home, load(home, name)):
            raise WrongState(
                f"the network {name!r} is in use", condition=f"by {', '.join(sorted(users))}", cure="remove these"
            )
        os.unlink(_path(home, name))
        leases.forget(home, name)


def containers(home: Home, net: Net) -> dict[str, tuple[str, ...]]:
    """Who has which addresses of a network, kept or for now, by the container's name."""
    kept = {os.path.basename(folder): number for folder, number in net.alive().items()}
    return {name: net.at(number) for name, number in (leases.running(home, net.name) | kept).items()}


@contextlib.contextmanager
def locked(home: Home) -> Iterator[None]:
    """Be alone with the networks of a shelf. flock(2)"""
    with disk.explained(home.path), contextlib.suppress(FileExistsError):
        os.mkdir(_folder(home))
    fd = os.open(_folder(home), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def load(home: Home, name: str) -> Net:
    """The same as `get`, for who holds the lock."""
    path = _path(home, name)
    try:
        data = disk.read_json(path)
        here = [subnet for subnet in data["subnets"] if ":" not in subnet or subnets.has_ipv6()]
        return Net(**{**data, "subnets": tuple(here)})
    except FileNotFoundError:
        if name == DEFAULT_NETWORK:
            return _create(home, name, "", "", "", False)
        raise NotFound(f"there is no network {name!r}", cure=f"make it: sandbox network create {name}") from None
    except (ValueError, TypeError, KeyError) as error:
        aside = disk.set_aside(path)
        raise NotFound(
            f"the network {name!r} can't be read", condition=str(error), cure=f"make it anew; it lies in {aside}"
        ) from None


def save(home: Home, net: Net) -> None:
    """Write it. Hold the lock."""
    disk.write_json(_path(home, net.name), asdict(net))


def keep(home: Home, net: Net, folder: str, number: int) -> None:
    """Let a container keep an address. Hold the lock."""
    kept = net.alive() | {folder: number}
    if kept != net.kept:
        save(home, replace(net, kept=kept))


def _create(home: Home, name: str, subnet: str, range: str, bridge: str, internal: bool) -> Net:
    others = [net for other in names(home) for net in (load(home, other),)]
    taken = [(Subnet.of(text), f"the network {net.name!r} has {text}") for net in others for text in net.subnets]
    taken += subnets.in_use()
    chosen = [Subnet.of(text) for text in subnet.split(",")] if subnet else [subnets.choose(f"{home.path} {name}", taken)]
    if not subnet and subnets.has_ipv6():
        chosen.append(subnets.unique_local())
    _check(chosen, taken)
    first, last = _range(chosen[0], range)
    link = bridge or _bridge(home, name)
    if not _BRIDGE.fullmatch(link) or any(net.bridge == link for net in others):
        raise InvalidOption(f"{link!r} can't be the name of its bridge", cure="at most 15 letters and digits, and not taken")
    net = Net(name, link, tuple(map(str, chosen)), first, last, internal)
    save(home, net)
    return net


def _check(chosen: list[Subnet], taken: list[tuple[Subnet, str]]) -> None:
    if [each.bits for each in chosen] not in ([32], [32, 128]) or not 8 <= chosen[0].length <= 29 or chosen[-1].length > 96:
        raise InvalidOption(
            "a network has one IPv4 subnet of /8 to /29, and may have one of IPv6 up to /96", cure="--subnet 10.0.3.0/24"
        )
    for each in chosen:
        if why := subnets.clash(each, taken):
            raise InvalidOption(f"the subnet {each} can't be used", condition=why, cure="choose another, or none: then we do")


def _range(subnet: Subnet, text: str) -> tuple[int, int]:
    """The numbers of the first and the last address that containers get: between the host's own and the broadcast address."""
    if not text:
        return 2, min(subnet.size - 2, 65534)
    first, _, last = text.replace(",", "-").partition("-")
    numbers = subnet.number_of(first.strip()), subnet.number_of(last.strip())
    if not 2 <= numbers[0] <= numbers[1] <= subnet.size - 2:
        raise InvalidOption(f"{text!r} is no range in {subnet}", cure=f"write {subnet.at(2)[:-3]}-{subnet.at(9)[:-3]}")
    return numbers


def _bridge(home: Home, name: str) -> str:
    """What its bridge is called: readable on the machine's own shelf; on another by a number, so that two never meet."""
    readable = "sandbox0" if name == DEFAULT_NETWORK else f"sb-{name}"
    if "SANDBOX_HOME" in os.environ or len(readable) > 15:
        return f"sb{zlib.crc32(f'{home.path} {name}'.encode()):08x}"
    return readable


def _folder(home: Home) -> str:
    return f"{home.path}/networks"


def _path(home: Home, name: str) -> str:
    return f"{_folder(home)}/{name}.json"
