"""Version 1: a tree for each controller. What is written and what is read of each, side by side.

The same functions as in `v2`, each on one directory. Documentation/admin-guide/cgroup-v1/*.rst.
"""

import errno
from collections.abc import Callable
from typing import Any

from ...linux import files
from . import knobs, pids

_PERIOD = 100_000  # µs: the kernel's own default
_NO_LIMIT = 1 << 62  # v1 has no "max": no limit shows as the largest number of whole pages


# --- memory ---------------------------------------------------------------------------------------------------------


def limit_memory(directory: str, memory: int | None, swap: int) -> str:
    """Limit memory, and memory and swap together where swap is counted; returns what could not be done. None: no limit."""
    alone, both = ("-1", "-1") if memory is None else (str(memory), str(memory + swap))
    try:
        files.write(f"{directory}/memory.limit_in_bytes", alone)
    except OSError as error:  # memory alone may never exceed memory and swap together, so raising goes the other way round
        if error.errno != errno.EINVAL:
            raise
        knobs.write(directory, "memory.memsw.limit_in_bytes", both)
        files.write(f"{directory}/memory.limit_in_bytes", alone)
    counted = knobs.write(directory, "memory.memsw.limit_in_bytes", both)
    return "" if counted else "swap is not limited: this kernel does not count it (boot with swapaccount=1)"


def glance_memory(directory: str) -> dict[str, Any]:
    return {"memory": knobs.number(directory, "memory.usage_in_bytes")}


def read_memory(directory: str) -> dict[str, Any]:
    stat = files.pairs(knobs.text(directory, "memory.stat"))
    used = knobs.number(directory, "memory.usage_in_bytes")
    with_swap = knobs.number(directory, "memory.memsw.usage_in_bytes")
    limit = knobs.number(directory, "memory.limit_in_bytes")
    return {
        "memory": used,
        "memory_peak": knobs.number(directory, "memory.max_usage_in_bytes"),
        "memory_limit": limit if limit is not None and limit < _NO_LIMIT else None,
        "swap": None if used is None or with_swap is None else max(with_swap - used, 0),
        "anon": stat.get("total_rss"),
        "file": stat.get("total_cache"),
        "kernel": knobs.number(directory, "memory.kmem.usage_in_bytes"),
        "oom_kills": oom_kills(directory),
    }


def oom_kills(directory: str) -> int:
    """Processes killed because memory ran out. v1 counts them where they were, not above: the groups below are added."""
    return sum(files.pairs(knobs.text(path, "memory.oom_control")).get("oom_kill", 0) for path in knobs.subtree(directory))


# --- cpu, cpuacct, cpuset -------------------------------------------------------------------------------------------


def limit_cpu(directory: str, cpus: float) -> None:
    files.write(f"{directory}/cpu.cfs_period_us", str(_PERIOD))
    files.write(f"{directory}/cpu.cfs_quota_us", str(round(cpus * _PERIOD)))


def weigh_cpu(directory: str, weight: int) -> None:
    """100 is v2's default weight and 1,024 v1's default of shares; the kernel converts the same way."""
    files.write(f"{directory}/cpu.shares", str(min(max(round(weight * 1024 / 100), 2), 262_144)))


def read_cpu(directory: str) -> dict[str, Any]:
    stat = files.pairs(knobs.text(directory, "cpu.stat"))
    nanoseconds = stat.get("throttled_time")
    return {
        "throttled": stat.get("nr_throttled"),
        "throttled_seconds": None if nanoseconds is None else nanoseconds / 1e9,
    }


def read_cpu_limit(directory: str) -> dict[str, Any]:
    quota, period = (knobs.number(directory, f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # -1 is no limit
    return read_cpu(directory) | {"cpu_limit": quota / period if quota and period else None}


def glance_cpuacct(directory: str) -> dict[str, Any]:
    return {"cpu_seconds": _seconds(directory, "cpuacct.usage")}


def read_cpuacct(directory: str) -> dict[str, Any]:
    return glance_cpuacct(directory) | {
        "cpu_user": _seconds(directory, "cpuacct.usage_user"),
        "cpu_system": _seconds(directory, "cpuacct.usage_sys"),
    }


def _seconds(directory: str, name: str) -> float | None:
    nanoseconds = knobs.number(directory, name)
    return None if nanoseconds is None else nanoseconds / 1e9


def pin_cpus(directory: str, cpus: str) -> None:
    """Allow these CPUs only ("0-1,3"). The memory nodes of a new group are none: those of the group above are taken."""
    above = knobs.text(directory.rpartition("/")[0], "cpuset.mems").strip()
    files.write(f"{directory}/cpuset.mems", above)
    files.write(f"{directory}/cpuset.cpus", cpus)


# --- blkio ----------------------------------------------------------------------------------------------------------


def glance_io(directory: str) -> dict[str, Any]:
    """Bytes read from and written to devices. Delayed writes are not counted: v1 does not know whose they are."""
    read, written = _totals(directory, "blkio.throttle.io_service_bytes_recursive")
    return {} if read is None else {"io_read": read, "io_written": written}


def read_io(directory: str) -> dict[str, Any]:
    read, written = _totals(directory, "blkio.throttle.io_serviced_recursive")
    return glance_io(directory) | ({} if read is None else {"io_operations": read + (written or 0)})


def _totals(directory: str, name: str) -> tuple[int | None, int | None]:
    text = knobs.text(directory, name)
    if not text:
        return None, None
    totals = {"Read": 0, "Write": 0}
    for line in text.splitlines():  # "8:0 Read 4096"
        device, _, rest = line.partition(" ")
        kind, _, value = rest.partition(" ")
        if kind in totals and ":" in device:
            totals[kind] += int(value)
    return totals["Read"], totals["Write"]


# --- freezer --------------------------------------------------------------------------------------------------------


def freeze(directory: str, on: bool) -> None:
    files.write(f"{directory}/freezer.state", "FROZEN" if on else "THAWED")


def frozen(directory: str) -> bool:
    """Whether every process stands still (a group that is on its way there is FREEZING)."""
    return knobs.text(directory, "freezer.state").strip() == "FROZEN"


def read_freezer(directory: str) -> dict[str, Any]:
    return {"frozen": frozen(directory)}


def events(directory: str) -> dict[str, int]:
    """What has happened in the group of one controller, under v2's names."""
    found = {}
    if (hits := knobs.number(directory, "memory.failcnt")) is not None:
        found = {"memory_max": hits, "oom_kill": oom_kills(directory)}
    if (hit := files.pairs(knobs.text(directory, "pids.events")).get("max")) is not None:
        found["pids_max"] = hit
    return found


Reader = Callable[[str], dict[str, Any]]

#: Cheap: one file each.
GLANCES: dict[str, Reader] = {
    "cpuacct": glance_cpuacct, "memory": glance_memory, "pids": pids.glance, "blkio": glance_io,
}  # fmt: skip
#: What else moves all the time, where CPU time is limited.
THROTTLED: dict[str, Reader] = {"cpu": read_cpu}
READERS: dict[str, Reader] = {
    "cpu": read_cpu_limit, "cpuacct": read_cpuacct, "memory": read_memory, "pids": pids.read, "blkio": read_io,
    "freezer": read_freezer,
}  # fmt: skip
