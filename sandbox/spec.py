"""Spec: what is wanted, as plain data. A subset of the OCI runtime specification (config.md, config-linux.md) with its names.

Sizes are bytes, times seconds, ids numbers, unless a field says otherwise.
"""

import functools
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .immutable import immutable

NamespaceName = Literal["mount", "pid", "network", "ipc", "uts", "user", "cgroup", "time"]
NAMESPACES: tuple[NamespaceName, ...] = get_args(NamespaceName)

#: What Docker leaves a container's root by default.
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
)  # fmt: skip

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

#: The network of ours that is meant where none is named.
DEFAULT_NETWORK = "sandbox"

MIB = 1 << 20


@immutable
class IdMapping:
    """`size` ids from `container_id` on are the host's ids from `host_id` on. user_namespaces(7)."""

    container_id: int
    host_id: int
    size: int


@immutable
class Process:
    """What runs. `user` is "name", "uid", "name:group" or "uid:gid", looked up in the container's own files."""

    args: tuple[str, ...] = ("/bin/sh",)
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    cwd: str = "/"
    user: str = "0:0"
    terminal: bool = False
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privileges: bool = True
    init: bool = False  # a small init of ours is PID 1: it reaps orphans and hands signals on
    rlimits: tuple[tuple[str, int, int], ...] = ()  # ("RLIMIT_NOFILE", soft, hard); -1 is no limit. setrlimit(2)


@immutable
class Root:
    """The root file system: layer folders, lowest first, seen through overlay.

    `upper` is the folder that keeps what the container writes ("upper" and "work" inside it), or "" for a tmpfs of `size`
    bytes that goes with the container.
    """

    layers: tuple[str, ...] = ()
    upper: str = ""
    size: int = 64 * MIB
    readonly: bool = False
    path: str = ""  # a folder that is the root itself, written to in place, instead of layers
    shifted: bool = False  # its files belong to the container's host ids already: no id map on its mount


@immutable
class Mount:
    """A mount below the new root. For `type` "bind", `source` is a host path; options are those of mount(8).

    `type` "cgroup" shows the container's own control groups, which its root may divide further (with "ro": only see).
    """

    destination: str
    type: str = "bind"
    source: str = ""
    options: tuple[str, ...] = ()


@immutable
class Network:
    """One network device of the container, in the words of lxc.net.N in lxc.container.conf(5).

    `type` "veth": a cable to the bridge `link`, or to the bridge of our own network `network`. "macvlan": a second address of
    the host's device `link`. "phys": the host's device `link` itself, which comes back at the end. "empty": only loopback.
    """

    type: Literal["empty", "veth", "macvlan", "phys"] = "veth"
    network: str = ""  # the name of one of our networks (networks.py), which gives an address, names and the way out
    link: str = ""
    name: str = ""  # inside; "" is eth0, eth1 …
    hwaddr: str = ""
    mtu: int = 0
    mode: str = ""  # of a macvlan: private, bridge, vepa, passthru
    pair: str = ""  # of a veth: the name of the end on the host
    addresses: tuple[str, ...] = ()  # "10.0.3.5/24", "fd00::5/64"
    gateways: tuple[str, ...] = ()
    up: bool = True
    publish: tuple[tuple[str, int, int, str], ...] = ()  # (host address or "", host port, port inside, "tcp" or "udp")
    bridge: tuple[str, ...] = ()  # of our own network: the host's addresses on it, "10.0.3.1/24"
    internal: bool = False  # of our own network: it has no way out


@immutable
class Hook:
    """A program run at a moment of the container's life; `when` is LXC's word. lxc.container.conf(5), container hooks.

    pre-start, start-host, stop and post-stop run on the host, mount and autodev inside before pivot_root, start inside after.
    """

    when: Literal["pre-start", "pre-mount", "mount", "autodev", "start-host", "start", "stop", "post-stop", "clone", "destroy"]
    args: tuple[str, ...]
    env: tuple[str, ...] = ()


@immutable
class Resources:
    """cgroup limits; None is "no limit". `cpus` is in CPUs (0.5 is half of one), `cpu_weight` 1 … 10,000 as in cgroup v2."""

    memory: int | None = None
    swap: int = 0
    cpus: float | None = None
    cpu_weight: int | None = None
    cpuset: str | None = None
    pids: int | None = None
    files: tuple[tuple[str, str], ...] = ()  # other control files of the group, as cgroups(7) names them: ("io.weight", "50")


@immutable
class Spec:
    """One container, whole. `image` is for people; the kernel sees `root`."""

    name: str = ""
    image: str = ""
    hostname: str = ""
    process: Process = Process()
    root: Root = Root()
    mounts: tuple[Mount, ...] = ()
    namespaces: tuple[NamespaceName, ...] = NAMESPACES
    #: Empty: a range of 65,536 ids is claimed at the start (as root), or made from /etc/subuid by the caller.
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    resources: Resources = Resources(memory=512 * MIB, pids=512)
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS
    seccomp: str = "default"  # the profile's name in primitives/seccomp.py, or "unconfined"
    timeout: float | None = None
    networks: tuple[Network, ...] = ()
    join_network: str = ""  # the container whose network namespace this one shares
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (address, names) of others, for its /etc/hosts
    nameservers: tuple[str, ...] = ()  # for its /etc/resolv.conf
    system: bool = False  # its first process is an init of its own, which boots services and may halt and reboot. reboot(2)
    terminals: int = 0  # further terminals beside the console: /dev/tty1 …, for logins
    hooks: tuple[Hook, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()  # of its own namespaces: ("net.ipv4.ip_forward", "1")
    stop_signal: int = 0  # asks its first process to end; 0: SIGTERM, or what its init is known to listen to
    reboot_signal: int = 0
    annotations: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON types, field for field."""
        made: dict[str, Any] = _plain(self)
        return made

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Spec":
        """The Spec that `to_json` wrote. Raises ValueError for unknown fields and values of a wrong type."""
        spec = _build(cls, data, "spec")
        assert isinstance(spec, Spec)
        return spec


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    return value


_hints = functools.cache(get_type_hints)


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value`, as JSON gave it, as the type `kind`; lists become tuples, dictionaries dataclasses."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{where}: {value!r} should be an object")
        hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
        if unknown := set(value) - {f.name for f in fields(kind)}:
            raise ValueError(f"{where}: unknown field {sorted(unknown)[0]!r}")
        if missing := [f.name for f in fields(kind) if f.default is MISSING and f.name not in value]:
            raise ValueError(f"{where}: {missing[0]!r} is missing")
        return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})  # type: ignore[operator]
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where}: {value!r} should be a list")
        inner = get_args(kind)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise ValueError(f"{where}: {value!r} should have {len(kinds)} items")
        return tuple(_build(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(zip(kinds, value, strict=True)))
    if origin is UnionType:
        if value is None and NoneType in get_args(kind):
            return None
        return _build(next(k for k in get_args(kind) if k is not NoneType), value, where)
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{where}: {value!r} is not one of {', '.join(get_args(kind))}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: {value!r} should be {kind.__name__}")
    return value
