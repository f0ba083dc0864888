"""Limits: what the group of the container gets (cgroups), what each process gets (rlimits), and kernel settings of its own.

`lxc.cgroup.*` are the control files of version 1, `lxc.cgroup2.*` those of version 2. Each controller is under one of them on
a machine, and which, the launcher finds out: so the two are read as two ways to say one thing, and version 2's wins. What has
no field in a Spec is written to the file of that name.
"""

import re
from dataclasses import replace

from ..errors import InvalidOption
from ..spec import MIB, Resources
from . import values
from .draft import Draft, Row, kept

#: What holds without a line: enough for a system with services, and no more than a machine survives.
DEFAULTS = Resources(memory=1024 * MIB, pids=4096)

_SHARES = 1024  # of version 1, by default; a weight of 100 is the same in version 2
_PERIOD = 100_000  # µs, the kernel's own
_NO_DEVICES = (
    "no list of devices is kept: in a user namespace nobody can make a device, nor open one that is not in its /dev. "
    "user_namespaces(7)"
)

RLIMITS = (
    "as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)  # fmt: skip


def cgroup1(draft: Draft, value: str, which: str) -> None:
    _limit(draft, 1, which, value)


def cgroup2(draft: Draft, value: str, which: str) -> None:
    _limit(draft, 2, which, value)


def _limit(draft: Draft, version: int, file: str, value: str) -> None:
    limits = draft.limits[version]
    match file:
        case "memory.limit_in_bytes" | "memory.max":
            limits["memory"] = values.size(value)
        case "memory.memsw.limit_in_bytes":
            limits["both"] = values.size(value)
        case "memory.swap.max" if value != "max":
            limits["swap"] = values.size(value)
        case "pids.max":
            limits["pids"] = None if value == "max" else values.whole(value, 0, 1 << 22)
        case "cpu.shares":
            limits["cpu_weight"] = min(max(round(values.whole(value, 2, 1 << 18) * 100 / _SHARES), 1), 10_000)
        case "cpu.weight":
            limits["cpu_weight"] = values.whole(value, 1, 10_000)
        case "cpu.cfs_quota_us":
            limits["quota"] = values.whole(value, -1, 1 << 40)
        case "cpu.cfs_period_us":
            limits["period"] = values.whole(value, 1000, 1_000_000)
        case "cpu.max":
            quota, _, period = value.partition(" ")
            limits["quota"] = -1 if quota == "max" else values.whole(quota, 1000, 1 << 40)
            limits["period"] = values.whole(period.strip() or str(_PERIOD), 1000, 1_000_000)
        case "cpuset.cpus":
            if not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", value):
                raise InvalidOption(f"{value!r} is no list of CPUs", cure="write 0, 0-1 or 0,2. cpuset(7)")
            limits["cpuset"] = value
        case _ if file.startswith("devices."):
            draft.note(_NO_DEVICES)
        case _:
            if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+", file):
                raise InvalidOption(f"{file!r} is no control file", cure="cgroups(7) names them: memory.high")
            draft.files.append((file, value))


def resources_of(draft: Draft) -> tuple[Resources, tuple[str, ...]]:
    """The limits, and the names of those that were asked for: they are refused where they can't be had."""
    said = draft.limits[1] | draft.limits[2]
    quota, period = said.pop("quota", None), said.pop("period", _PERIOD)
    if quota is not None:
        said["cpus"] = quota / period if quota > 0 else None
    both, memory = said.pop("both", None), said.get("memory")
    if both is not None and memory is not None:
        said.setdefault("swap", max(both - memory, 0))
    asked = tuple(name for name, value in said.items() if value is not None and name != "swap")
    return replace(DEFAULTS, **{**said, "swap": said.get("swap") or 0}, files=tuple(draft.files)), asked


def rlimit(draft: Draft, value: str, which: str) -> None:
    """soft:hard, or one number for both; or "unlimited"."""
    if which not in RLIMITS:
        raise InvalidOption(f"there is no limit {which!r}", cure=f"there are: {', '.join(RLIMITS)}. setrlimit(2)")
    soft, _, hard = value.partition(":")
    least, most = _number(soft), _number(hard or soft)
    if most != -1 and not 0 <= least <= most:
        raise InvalidOption(f"{value!r}: the soft limit is above the hard one", condition="setrlimit(2)")
    draft.rlimits[f"RLIMIT_{which.upper()}"] = least, most


def _number(word: str) -> int:
    return -1 if word.strip() == "unlimited" else values.whole(word.strip(), 0, (1 << 63) - 1)


def sysctl(draft: Draft, value: str, which: str) -> None:
    draft.sysctls[which] = value


_OUR_PLACE = "its group is made below the launcher's own, wherever that is"

ROWS: dict[str, Row] = {
    "lxc.cgroup.dir": kept(_OUR_PLACE),
    "lxc.cgroup.dir.container": kept(_OUR_PLACE),
    "lxc.cgroup.dir.container.inner": kept(_OUR_PLACE),
    "lxc.cgroup.dir.monitor": kept(_OUR_PLACE),
    "lxc.cgroup.dir.monitor.pivot": kept(_OUR_PLACE),
    "lxc.cgroup.relative": kept(_OUR_PLACE, ("1",)),
    "lxc.cgroup.*": cgroup1,
    "lxc.cgroup2.*": cgroup2,
    "lxc.prlimit.*": rlimit,
    "lxc.sysctl.*": sysctl,
}
