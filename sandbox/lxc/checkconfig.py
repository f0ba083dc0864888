"""lxc-checkconfig: the report of LXC 5 about a kernel, and below it what this project can do here.

LXC's own script greps the kernel's configuration, and gives up where there is none. Here most lines are found by trying or
by reading what the kernel shows; the configuration, or the list of its modules, is asked only for the rest. A line that
nothing tells is "unknown", with the reason. lxc-checkconfig(1).
"""

import gzip
import os
import platform
from collections.abc import Iterator
from typing import NamedTuple

from .. import host
from ..errors import NotPossibleHere
from ..linux import files


class Line(NamedTuple):
    """One line of LXC's report: its label, the symbol of the kernel's configuration, and the module as lsmod(8) names it."""

    label: str
    symbol: str
    module: str = ""
    required: bool = False


SECTIONS = {
    "Namespaces": (
        Line("Namespaces", "NAMESPACES", required=True),
        Line("Utsname namespace", "UTS_NS"),
        Line("Ipc namespace", "IPC_NS", required=True),
        Line("Pid namespace", "PID_NS", required=True),
        Line("User namespace", "USER_NS"),
        Line("Network namespace", "NET_NS"),
    ),
    "Control groups": (
        Line("Cgroups", "CGROUPS"),
        Line("Cgroup namespace", "cgroup namespace"),
        Line("Cgroup device", "CGROUP_DEVICE"),
        Line("Cgroup sched", "CGROUP_SCHED"),
        Line("Cgroup cpu account", "CGROUP_CPUACCT"),
        Line("Cgroup memory controller", "MEMCG"),
        Line("Cgroup cpuset", "CPUSETS"),
    ),
    "Misc": (
        Line("Veth pair device", "VETH", "veth"),
        Line("Macvlan", "MACVLAN", "macvlan"),
        Line("Vlan", "VLAN_8021Q", "8021q"),
        Line("Bridges", "BRIDGE", "bridge"),
        Line("Advanced netfilter", "NETFILTER_ADVANCED", "nf_tables"),
        Line("CONFIG_IP_NF_TARGET_MASQUERADE", "IP_NF_TARGET_MASQUERADE", "nf_nat_masquerade_ipv4"),
        Line("CONFIG_IP6_NF_TARGET_MASQUERADE", "IP6_NF_TARGET_MASQUERADE", "nf_nat_masquerade_ipv6"),
        Line("CONFIG_NETFILTER_XT_TARGET_CHECKSUM", "NETFILTER_XT_TARGET_CHECKSUM", "xt_CHECKSUM"),
        Line("CONFIG_NETFILTER_XT_MATCH_COMMENT", "NETFILTER_XT_MATCH_COMMENT", "xt_comment"),
        Line("FUSE (for use with lxcfs)", "FUSE_FS", "fuse"),
    ),
    "Checkpoint/Restore": (
        Line("checkpoint restore", "CHECKPOINT_RESTORE"),
        Line("CONFIG_FHANDLE", "FHANDLE"),
        Line("CONFIG_EVENTFD", "EVENTFD"),
        Line("CONFIG_EPOLL", "EPOLL"),
        Line("CONFIG_UNIX_DIAG", "UNIX_DIAG"),
        Line("CONFIG_INET_DIAG", "INET_DIAG"),
        Line("CONFIG_PACKET_DIAG", "PACKET_DIAG"),
        Line("CONFIG_NETLINK_DIAG", "NETLINK_DIAG"),
        Line("File capabilities", "file capabilities"),
    ),
}

#: Symbols that a trial of `host.report` settles if it went well; otherwise it only says why nothing is known.
TRIED = {
    "VETH": "network.veth", "BRIDGE": "network.bridge", "EVENTFD": "eventfd", "EPOLL": "epoll", "UNIX_DIAG": "diag.unix",
    "INET_DIAG": "diag.inet", "PACKET_DIAG": "diag.packet", "NETLINK_DIAG": "diag.netlink",
}  # fmt: skip

#: Symbol → file or folder that is there exactly if the kernel was built with it.
SHOWN = {
    "UTS_NS": "/proc/self/ns/uts", "IPC_NS": "/proc/self/ns/ipc", "PID_NS": "/proc/self/ns/pid",
    "USER_NS": "/proc/self/ns/user", "NET_NS": "/proc/self/ns/net", "CGROUPS": "/proc/self/cgroup",
    "cgroup namespace": "/proc/self/ns/cgroup", "CHECKPOINT_RESTORE": "/proc/sys/kernel/ns_last_pid",
}  # fmt: skip

#: Symbol → (file, word): the word stands in the file once the kernel has it, built in or loaded.
LISTED = {
    "CGROUP_DEVICE": ("/proc/cgroups", "devices"),
    "CGROUP_SCHED": ("/proc/cgroups", "cpu"),
    "CGROUP_CPUACCT": ("/proc/cgroups", "cpuacct"),
    "MEMCG": ("/proc/cgroups", "memory"),
    "CPUSETS": ("/proc/cgroups", "cpuset"),
    "VLAN_8021Q": ("/proc/net/vlan/config", "VLAN"),
    "IP_NF_TARGET_MASQUERADE": ("/proc/net/ip_tables_targets", "MASQUERADE"),
    "IP6_NF_TARGET_MASQUERADE": ("/proc/net/ip6_tables_targets", "MASQUERADE"),
    "NETFILTER_XT_TARGET_CHECKSUM": ("/proc/net/ip_tables_targets", "CHECKSUM"),
    "NETFILTER_XT_MATCH_COMMENT": ("/proc/net/ip_tables_matches", "comment"),
    "FUSE_FS": ("/proc/filesystems", "fuse"),
}

#: Symbol → name of the v2 controller that stands for it where /proc/cgroups no longer lists it (Linux 6.15).
CONTROLLER = {"CGROUP_SCHED": "cpu", "MEMCG": "memory", "CPUSETS": "cpuset"}

#: What this project does, and the findings that it takes; "a|b": one of the two is enough.
ABILITIES = (
    ("Containers with namespaces of their own", ("clone3", "namespace.user", "namespace.cgroup", "namespace.mount")),
    ("Their own /proc, /sys and /dev", ("mount.proc", "mount.sysfs", "mount.tmpfs", "mount.devpts", "mount.mqueue")),
    ("Images in layers", ("mount.overlay", "mount_api")),
    ("What a container writes, kept in memory", ("tmpfs.xattr",)),
    ("Layers shared by containers with different ids", ("idmap",)),
    ("System calls filtered", ("seccomp",)),
    ("Limit memory", ("cgroup.memory",)),
    ("Limit CPU", ("cgroup.cpu",)),
    ("Limit the number of processes", ("cgroup.pids",)),
    ("Choose CPUs", ("cgroup.cpuset",)),
    ("Measure and limit disk traffic", ("cgroup.io|cgroup.blkio",)),
    ("Freeze", ("cgroup.freeze|cgroup.freezer",)),
    ("Kill a container at one blow", ("cgroup.kill",)),
    ("Join containers by a network", ("network.veth", "network.bridge", "network.nft")),
    ("Virtual machines with KVM (tried when one boots)", ("kvm",)),
)

IDS = {
    "range": "a range of 65,536 for each container",
    "newuidmap": "one range, of /etc/subuid, shared by all your containers",
    "single": "one: root inside is you outside, and no other user exists there",
}


def report(*, color: bool = False) -> str:
    """LXC's report for this host, then what this project can do here. Raises SandboxError if nothing could be tried."""
    findings = host.report()
    kernel = _Kernel(findings)
    shown: list[str] = []
    for title, lines in SECTIONS.items():
        shown.append(f"--- {title} ---")
        for line in lines:
            shown.append(f"{line.label}: {_told(line, kernel, color)}")
            if line.symbol == "USER_NS" and kernel.has("USER_NS")[0]:
                shown += _map_programs()
            if line.symbol == "cgroup namespace":
                shown += _cgroup_mounts(color)
        shown.append("")
    shown.append("--- What this project can do here ---")
    shown += _ids(color)
    for ability, needs in ABILITIES:
        shown += _able(ability, needs, findings, color)
    return "\n".join(shown) + "\n"


def _paint(word: str, color: bool) -> str:
    """The word in the colour that LXC gives it."""
    numbers = {"enabled": "1;32", "yes": "1;32", "required": "1;31", "no": "1;31", "missing": "1;33", "unknown": "1;33"}
    return f"\033[{numbers[word]}m{word}\033[0;39m" if color else word


def _told(line: Line, kernel: "_Kernel", color: bool) -> str:
    has, why = kernel.has(line.symbol, line.module)
    if has is None:
        return f"{_paint('unknown', color)} ({why})"
    if not has:
        return _paint("required" if line.required else "missing", color)
    loaded = ""
    if line.module and kernel.loaded is not None:
        loaded = ", loaded" if line.module in kernel.loaded else ", not loaded"
    return _paint("enabled", color) + loaded


def _map_programs() -> Iterator[str]:
    for kind in ("uid", "gid"):
        path = host.program(f"new{kind}map")
        if path is None:
            yield f"new{kind}map is not installed"
        elif not host.privileged(path, kind):  # unlike LXC's script, this knows file capabilities
            yield f"Warning: new{kind}map is not setuid-root"


def _cgroup_mounts(color: bool) -> Iterator[str]:
    mounts = list(files.mountinfo())
    points = {version: [m.mount_point for m in mounts if m.fstype == version] for version in ("cgroup", "cgroup2")}
    for version, name in (("cgroup", "v1"), ("cgroup2", "v2")):
        yield f"Cgroup {name} mount points: "
        yield from (f" - {point}" for point in points[version])
    if points["cgroup2"] == ["/sys/fs/cgroup"]:
        return
    for name in ("systemd", "freezer"):
        if not any(f"/{name}" in point for point in points["cgroup"]):
            yield f"Cgroup v1 {name} controller: {_paint('missing', color)}"
    if points["cgroup"] and os.path.exists(f"{points['cgroup'][0]}/cgroup.clone_children"):
        yield f"Cgroup v1 clone_children flag: {_paint('enabled', color)}"


def _ids(color: bool) -> Iterator[str]:
    try:
        yield f"Ids of a container: {IDS[host.mapping_mode()]}"
    except NotPossibleHere as refusal:
        yield f"Ids of a container: {_paint('no', color)}"
        yield f"  {refusal.condition}"
        yield f"  → {refusal.cure}"


def _able(ability: str, needs: tuple[str, ...], findings: host.Report, color: bool) -> Iterator[str]:
    """The ability with yes or no, and below it each reason against it, once."""
    choices = [key.split("|") for key in needs]
    lacking = [some for some in choices if not any(findings.can(key) for key in some)]
    yield f"{ability}: {_paint('no' if lacking else 'yes', color)}"
    known = ([key for key in some if key in findings] or some for some in lacking)
    yield from (f"  {key}: {findings.why_not(key)}" for some in known for key in some)


class _Kernel:
    """What is known of the kernel, by the symbols of its configuration: seen, or else looked up."""

    def __init__(self, findings: host.Report) -> None:
        self.findings = findings
        release = platform.release()
        #: The text of lsmod, or None where the kernel has no modules at all.
        self.loaded = _text("/proc/modules")
        folder = f"/lib/modules/{release}"
        places = ("/proc/config.gz", f"/boot/config-{release}", f"{folder}/build/.config", f"{folder}/config")
        self.config = next((text for path in places if (text := _text(path))), None)
        listed = (_text(f"{folder}/modules.{kind}") or "" for kind in ("builtin", "dep"))
        self.modules = {line.partition(":")[0].rpartition("/")[2].partition(".")[0] for line in "\n".join(listed).splitlines()}

    def has(self, symbol: str, module: str = "") -> tuple[bool | None, str]:
        """Whether the kernel has it, or None and why that can't be known here."""
        if symbol == "file capabilities":
            return True, ""  # part of every kernel since 2.6.33
        if symbol == "NAMESPACES":
            return any(self.has(f"{kind}_NS")[0] for kind in ("UTS", "IPC", "PID", "USER", "NET")), ""
        if symbol in SHOWN:
            return os.path.exists(SHOWN[symbol]), ""
        if self.findings.can(TRIED.get(symbol, "")) or self._is_listed(symbol):
            return True, ""
        if self.config is not None:
            return f"\nCONFIG_{symbol}=" in self.config, ""
        if module and module in self.modules:
            return True, ""
        tried = self.findings.why_not(TRIED[symbol]) if symbol in TRIED else "nothing that the kernel shows tells it"
        return None, f"{tried}; no configuration in /proc/config.gz, /boot or /lib/modules"

    def _is_listed(self, symbol: str) -> bool:
        path, word = LISTED.get(symbol, ("", ""))
        in_file = any(word in line.split() for line in (_text(path) or "").splitlines())
        return in_file or f"cgroup.{CONTROLLER.get(symbol)}" in self.findings


def _text(path: str) -> str | None:
    """The text of a file, unpacked if need be; None where it is missing or closed to us."""
    try:
        with gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="utf-8", errors="replace") as file:
            return str(file.read())
    except OSError:
        return None
