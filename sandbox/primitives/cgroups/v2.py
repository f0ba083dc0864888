"""Version 2: one tree for all controllers. What is written and what is read of each, side by side.

The same functions as in `v1`, each on one directory. Documentation/admin-guide/cgroup-v2.rst.
"""

from collections.abc import Callable
from typing import Any

from ...linux import files
from . import knobs, pids
from .hierarchy import UNIFIED

_PERIOD = 100_000  # µs: the kernel's own default


# --- memory ---------------------------------------------------------------------------------------------------------


def limit_memory(directory: str, memory: int | None, swap: int) -> str:
    """Limit memory (None: do not), and swap where there is any; returns what could not be done."""
    files.write(f"{directory}/memory.max", "max" if memory is None else str(memory))
    counted = knobs.write(directory, "memory.swap.max", str(swap))
    return "" if counted else "swap is not limited: this kernel does not count it (boot with swapaccount=1)"


def glance_memory(directory: str) -> dict[str, Any]:
    return {"memory": knobs.number(directory, "memory.current")}


def read_memory(directory: str) -> dict[str, Any]:
    stat = files.pairs(knobs.text(directory, "memory.stat"))
    return glance_memory(directory) | {
        "memory_peak": knobs.number(directory, "memory.peak"),  # Linux 5.19
        "memory_limit": knobs.number(directory, "memory.max"),
        "swap": knobs.number(directory, "memory.swap.current"),
        "anon": stat.get("anon"),
        "file": stat.get("file"),
        "kernel": stat.get("kernel"),  # Linux 5.18
        "oom_kills": oom_kills(directory),
    }


def oom_kills(directory: str) -> int:
    """Processes killed because memory ran out, in this group and below."""
    return files.pairs(knobs.text(directory, "memory.events")).get("oom_kill", 0)


# --- cpu, cpuset ----------------------------------------------------------------------------------------------------


def limit_cpu(directory: str, cpus: float) -> None:
    files.write(f"{directory}/cpu.max", f"{round(cpus * _PERIOD)} {_PERIOD}")


def weigh_cpu(directory: str, weight: int) -> None:
    files.write(f"{directory}/cpu.weight", str(weight))


def pin_cpus(directory: str, cpus: str) -> None:
    """Allow these CPUs only ("0-1,3")."""
    files.write(f"{directory}/cpuset.cpus", cpus)


def read_cpu(directory: str) -> dict[str, Any]:
    stat = files.pairs(knobs.text(directory, "cpu.stat"))
    return {"throttled": stat.get("nr_throttled"), "throttled_seconds": _seconds(stat.get("throttled_usec"))}


def read_cpu_limit(directory: str) -> dict[str, Any]:
    quota, _, period = knobs.text(directory, "cpu.max").partition(" ")  # "max 100000" where there is no limit
    return read_cpu(directory) | {"cpu_limit": int(quota) / int(period) if quota.isdigit() else None}


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


# --- io -------------------------------------------------------------------------------------------------------------


def read_io(directory: str) -> dict[str, Any]:
    """Bytes read from and written to devices, and how often; a group that did neither has no lines."""
    totals = {"rbytes": 0, "wbytes": 0, "rios": 0, "wios": 0}
    for line in knobs.text(directory, "io.stat").splitlines():  # "8:0 rbytes=4096 wbytes=0 rios=1 …"
        for word in line.split()[1:]:
            key, _, value = word.partition("=")
            if key in totals:
                totals[key] += int(value)
    operations = totals["rios"] + totals["wios"]
    return {"io_read": totals["rbytes"], "io_written": totals["wbytes"], "io_operations": operations}


# --- the tree itself: works without any controller -------------------------------------------------------------------


def glance_tree(directory: str) -> dict[str, Any]:
    return {"cpu_seconds": _seconds(files.pairs(knobs.text(directory, "cpu.stat")).get("usage_usec"))}


def read_tree(directory: str) -> dict[str, Any]:
    """CPU time, pressure and freezing, which the tree itself counts."""
    stat = files.pairs(knobs.text(directory, "cpu.stat"))
    return {
        "cpu_seconds": _seconds(stat.get("usage_usec")),
        "cpu_user": _seconds(stat.get("user_usec")),
        "cpu_system": _seconds(stat.get("system_usec")),
        "frozen": frozen(directory),
        "cpu_stalled": _stalled(directory, "cpu.pressure"),
        "memory_stalled": _stalled(directory, "memory.pressure"),
        "io_stalled": _stalled(directory, "io.pressure"),
    }


def _stalled(directory: str, name: str) -> float | None:
    """Seconds during which some process waited: "some avg10=0.00 … total=123" (µs). Documentation/accounting/psi.rst."""
    total = knobs.text(directory, name).partition("\n")[0].rpartition("total=")[2]
    return int(total) / 1e6 if total else None


def freeze(directory: str, on: bool) -> None:
    files.write(f"{directory}/cgroup.freeze", "1" if on else "0")


def frozen(directory: str) -> bool:
    """Whether every process stands still."""
    return files.pairs(knobs.text(directory, "cgroup.events")).get("frozen") == 1


def kill(directory: str) -> bool:
    """SIGKILL to every process of the group and below, at once, frozen or not. False before Linux 5.14: no such file."""
    return knobs.write(directory, "cgroup.kill", "1")


def events(directory: str) -> dict[str, int]:
    """What has happened in the group: whether it holds processes, is frozen, how often it hit its limits."""
    found = files.pairs(knobs.text(directory, "cgroup.events"))
    if memory := files.pairs(knobs.text(directory, "memory.events")):
        found |= {"memory_max": memory.get("max", 0), "oom_kill": memory.get("oom_kill", 0)}
    if (hits := files.pairs(knobs.text(directory, "pids.events")).get("max")) is not None:
        found["pids_max"] = hits
    return found


Reader = Callable[[str], dict[str, Any]]

#: Cheap: one file each.
GLANCES: dict[str, Reader] = {
    UNIFIED: glance_tree, "memory": glance_memory, "pids": pids.glance, "io": read_io,
}  # fmt: skip
#: What else moves all the time, where CPU time is limited.
THROTTLED: dict[str, Reader] = {"cpu": read_cpu}
READERS: dict[str, Reader] = {
    UNIFIED: read_tree, "cpu": read_cpu_limit, "memory": read_memory, "pids": pids.read, "io": read_io,
}  # fmt: skip
