"""One limit of one group: set at the start, or turned while its processes run."""

from . import group as groups
from . import pids
from .hierarchy import Directories

#: Which controller each limit needs.
NEEDS = {"memory": "memory", "pids": "pids", "cpus": "cpu", "cpu_weight": "cpu", "cpuset": "cpuset"}


def set_limit(directories: Directories, limit: str, value: object, swap: int = 0) -> str:
    """Set one of NEEDS, whose controller the group has joined; None: no limit any more. Returns what could not be done.

    Raises:
        SyscallError: EBUSY, under v1, for less memory than is used and can't be taken back; v2 kills instead.
    """
    directory = dict(directories)[NEEDS[limit]]
    driver = groups.driver(directories, directory)
    if limit == "memory":
        note: str = driver.limit_memory(directory, value, swap)
        return note
    write = {"pids": pids.limit, "cpus": driver.limit_cpu, "cpu_weight": driver.weigh_cpu, "cpuset": driver.pin_cpus}[limit]
    write(directory, value)
    return ""
