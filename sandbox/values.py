"""What one value may look like: text or a Python value in, a checked value out; and back to text where people read it.

Every parser raises InvalidOption with one sentence. It does not say which option was meant: `options` puts that in front.
"""

import os
import posixpath
import re
import socket
from collections.abc import Callable, Iterable

from .errors import InvalidOption
from .home import runtime_base, shelf_path
from .spec import NAMESPACES, Mount, NamespaceName
from .store import check_name

#: Until exec, the process that becomes the program is a copy of the launcher: 3.3 MiB were measured. Docker's minimum, too.
LEAST_MEMORY = 6 << 20
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_LAST_ID = (1 << 32) - 2  # the one above is -1: "no change", for setresuid(2)
_KERNELS_OWN = ("/proc", "/sys", "/dev")


def text(value: object) -> str:
    """A string that the kernel can take: without NUL, and with no surrogates but those that stand for bytes (PEP 383)."""
    if not isinstance(value, str):
        raise InvalidOption(f"{value!r} is no text")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise InvalidOption(f"{value!r} can't be written as bytes") from None
    if "\0" in value:
        raise InvalidOption(f"{value!r} holds a NUL character, which no path or argument may")
    return value


def _number(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", value):
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise InvalidOption(f"{value!r} is no number")


def _decimal(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def whole(least: int, most: int) -> Callable[[object], int]:
    """A parser of whole numbers in these bounds."""

    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise InvalidOption(f"{value!r} is no whole number from {least} to {most}")
        return number

    return parse


def one_of(*words: str, hint: str = "") -> Callable[[object], str]:
    """A parser that takes these words only."""

    def parse(value: object) -> str:
        if value not in words:
            raise InvalidOption(f"{value!r} is not possible", cure=hint or f"choose one of: {', '.join(words)}")
        return str(value)

    return parse


def flag(value: object) -> bool:
    """True or False, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise InvalidOption(f"{value!r} is neither True nor False")
    return value


# --- amounts --------------------------------------------------------------------------------------------------------


def size(value: object) -> int:
    """Bytes: a number, or text with Docker's letters b, k, m, g, t (powers of 1024; KiB, MB … mean the same)."""
    if isinstance(value, int) and not isinstance(value, bool):
        amount = value
    else:
        found = isinstance(value, str) and re.fullmatch(
            r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?(?:([kmgt])(?:i?b)?|b)?", value, re.IGNORECASE
        )
        if not found:
            raise InvalidOption(f"{value!r} is no size", cure="write 64m, 1.5g, 512k or a number of bytes")
        number, part, unit = found.groups()
        factor = _UNITS[unit.lower()] if unit else 1
        amount = int(number) * factor + int(part or "0") * factor // 10 ** len(part or "")
    if not 0 <= amount < 1 << 63:
        raise InvalidOption(f"{value!r} is no size that a kernel can count")
    return amount


def size_text(amount: int | None) -> str:
    """The shortest text that `memory` reads as exactly this."""
    if amount is None:
        return "max"
    for unit, factor in reversed(_UNITS.items()):
        if amount and amount % factor == 0:
            return f"{amount // factor}{unit}"
    return str(amount)


def memory(value: object) -> int | None:
    """A size of at least 6 MiB, or "max" (None): no limit."""
    if value == "max":
        return None
    amount = size(value)
    if amount < LEAST_MEMORY:
        raise InvalidOption(
            f"{value!r} is less than {size_text(LEAST_MEMORY)}, which the start itself needs",
            condition="until exec the new process is a copy of the launcher, and counts",
            cure="give at least 6m",
        )
    return amount


def cpus(value: object) -> float:
    """A number of CPUs, 0.01 … those that are online; 0.5 is half of one."""
    number, online = round(_number(value), 3), os.sysconf("SC_NPROCESSORS_ONLN")
    if not 0.01 <= number <= online:
        raise InvalidOption(f"{value!r} is no part of this machine's CPUs", cure=f"give a number from 0.01 to {online}")
    return number


def cpus_text(number: float) -> str:
    """The text that `cpus` reads as this."""
    return _decimal(number)


def cpuset(value: object) -> str:
    """CPUs by number: "0", "0-3", "0,2-3". cpuset(7), list format."""
    last = os.sysconf("SC_NPROCESSORS_CONF") - 1
    for part in text(value).split(","):
        found = re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        if not found or not int(found[1]) <= int(found[2] or found[1]) <= last:
            raise InvalidOption(f"{value!r} is no list of CPUs", cure=f"write 0, 0-1 or 0,2; the last one here is {last}")
    return text(value)


_some = whole(1, 1 << 22)  # PID_MAX_LIMIT, proc_sys_kernel(5)


def pids(value: object) -> int | None:
    """A number of processes and threads, or "max" (None): no limit."""
    return None if value == "max" else _some(value)


def duration(value: object) -> float:
    """Seconds, to the millisecond: a number, or text with ms, s, m or h."""
    number, unit = value, "s"
    if isinstance(value, str) and (found := re.fullmatch("(.*?)(ms|s|m|h)", value)):
        number, unit = found.groups()
    try:
        seconds = round(_number(number) * _SECONDS[unit], 3)
    except (InvalidOption, OverflowError, ValueError):  # round() of nan and infinity
        seconds = 0
    if not 0 < seconds <= 1e9:
        raise InvalidOption(f"{value!r} is no time to wait", cure="write 10s, 500ms, 2m, 1h or a number of seconds")
    return seconds


def duration_text(seconds: float) -> str:
    """The text that `duration` reads as this."""
    return f"{_decimal(seconds)}s"


# --- names ----------------------------------------------------------------------------------------------------------


def hostname(value: object) -> str:
    """A host name as hostname(7) has it, of at most 64 bytes, which is all that the kernel keeps. sethostname(2)."""
    if not re.fullmatch(r"(?=.{1,64}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*", text(value)):
        raise InvalidOption(f"{value!r} is no host name", cure="use letters, digits and '-' between dots, at most 64 in all")
    return text(value)


def user(value: object) -> str:
    """ "name", "uid", "name:group" or "uid:gid". Strict: what is no plain number is no number (CVE-2026-30892)."""
    who = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    parts = who.split(":")
    if len(parts) > 2 or not all(_is_id(part) or re.fullmatch("[a-z_][a-z0-9_-]{0,31}", part) for part in parts):
        raise InvalidOption(f"{value!r} is no user", cure="write a name or a number from 0, then perhaps ':' and a group")
    return who


def _is_id(part: str) -> bool:
    return bool(re.fullmatch("0|[1-9][0-9]{0,9}", part)) and int(part) <= _LAST_ID


def env(value: object) -> str:
    """ "NAME=value"; a bare "NAME" is taken from the caller's environment ("" if it is not there, and then left out)."""
    name, given, content = text(value).partition("=")
    if not name:
        raise InvalidOption(f"{value!r} has no name", cure="write NAME=value, or NAME to take it from your environment")
    if given:
        return f"{name}={content}"
    return f"{name}={os.environ[name]}" if name in os.environ else ""


def namespace(value: object) -> NamespaceName:
    """A kind of namespace, in OCI's words or unshare(1)'s ("network" or "net"); any but mount."""
    word = {"net": "network", "mnt": "mount"}.get(str(value), value)
    for name in NAMESPACES:
        if word == name != "mount":
            return name
    if word == "mount":
        raise InvalidOption(
            "the mount namespace can't be shared",
            condition="the container's root would be mounted over the host's",
            cure="show it a folder of the host with --volume",
        )
    raise InvalidOption(
        f"{value!r} is no namespace", cure=f"choose one of: {', '.join(n for n in NAMESPACES if n != 'mount')}"
    )


# --- networks -------------------------------------------------------------------------------------------------------


def network(value: object) -> str:
    """ "none", "bridge", "host", "container:NAME" or the name of a network."""
    word = text(value)
    if word.startswith("container:"):
        return f"container:{check_name(word.removeprefix('container:'))}"
    if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", word):
        raise InvalidOption(f"{word!r} is no network", cure="write none, bridge, host, container:NAME or a network's name")
    return word


Port = tuple[str, int, int, str]


def publish(value: object) -> Port:
    """ "8080:80", "8080:80/udp" or "127.0.0.1:8080:80": (host address or "", host port, port inside, protocol)."""
    word = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    found = re.fullmatch(r"(?:(?:([0-9.]+)|\[([0-9A-Fa-f:]+)\]):)?([0-9]{1,5}):([0-9]{1,5})(?:/(tcp|udp))?", word)
    if not found or not all(0 < int(port) < 65536 for port in found.groups()[2:4]):
        raise InvalidOption(f"{value!r} is no pair of ports", cure="write HOST:CONTAINER: 8080:80, 127.0.0.1:53:53/udp")
    ipv4, ipv6, outer, inner, protocol = found.groups()
    try:
        socket.inet_pton(socket.AF_INET6 if ipv6 else socket.AF_INET, ipv6 or ipv4 or "0.0.0.0")
    except OSError:
        raise InvalidOption(f"{ipv6 or ipv4} is no address", cure="write one of the host's, or none") from None
    return ipv6 or ("" if ipv4 == "0.0.0.0" else ipv4 or ""), int(outer), int(inner), protocol or "tcp"


def publish_text(port: Port) -> str:
    """The text that `publish` reads as this."""
    address, outer, inner, protocol = port
    where = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    return f"{where}{outer}:{inner}" + ("/udp" if protocol == "udp" else "")


# --- paths ----------------------------------------------------------------------------------------------------------


def is_within(path: str, folders: Iterable[str]) -> bool:
    """Whether a normalised path is one of these folders or lies in one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _absolute(value: object) -> str:
    path = text(value)
    if not path.startswith("/"):
        raise InvalidOption(f"{path!r} is not absolute", cure="begin it with '/'")
    return "/" + posixpath.normpath(path).lstrip("/")


def workdir(value: object) -> str:
    """An absolute path, normalised. Not below /proc or /dev/fd: there, links lead out of any root (CVE-2024-21626)."""
    path = _absolute(value)
    if is_within(path, ("/proc", "/dev/fd")):
        raise InvalidOption(f"{path} is no place to work in", condition="its links may lead out of the container")
    return path


def volume(value: object) -> Mount:
    """ "source:destination[:ro|rw]", read-only if not said otherwise. The source is there, and nothing of ours is in it."""
    parts = text(value).split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise InvalidOption(f"{value!r} is no volume", cure="write /on/the/host:/in/the/container, and ':rw' if it may write")
    source, destination = parts[0], _absolute(parts[1])
    if destination == "/" or is_within(destination, _KERNELS_OWN):
        raise InvalidOption(
            f"{destination} can't be a volume", condition="it is the container's own", cure="mount it elsewhere"
        )
    if not source.startswith(("/", "./", "../")) and source not in (".", ".."):
        raise InvalidOption(
            f"{source!r} is no path on the host", cure="begin it with '/' or './' (there are no named volumes)"
        )
    real = os.path.realpath(source)
    if not os.path.exists(real):
        raise InvalidOption(f"{source} is not there", cure=f"mkdir -p {source}")
    for ours, what in ((shelf_path(), "the shelf"), (os.path.realpath(runtime_base()), "the runtime's sockets")):
        if is_within(real, [ours]) or is_within(ours, [real]):
            raise InvalidOption(
                f"{real} can't be a volume",
                condition=f"{what} lies at {ours}: the container could command the runtime",
                cure="give a folder that does not hold it",
            )
    if is_within(real, ("/proc", "/sys")):
        raise InvalidOption(f"{real} can't be a volume", condition="it is the host's kernel", cure="read it on the host")
    # A container that may write does so as its own ids, not as host root: seen through an id map, it would be root on disk.
    mode = ("rw", "nosuid", "nodev") if parts[2:] == ["rw"] else ("ro", "nosuid", "nodev")
    return Mount(destination, "bind", real, ("rbind", *mode))


def volume_text(mount: Mount) -> str:
    """The text that `volume` reads as this."""
    return f"{mount.source}:{mount.destination}:{'rw' if 'rw' in mount.options else 'ro'}"
