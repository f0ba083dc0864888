"""Why a cgroup file or directory said no, as read from this machine right then: (condition, cure) for a card."""

import errno
import os

from . import knobs
from .hierarchy import SCOPE, is_ours, owner


def explain(error: OSError) -> tuple[str, str]:
    """Why mkdir, or a write to a file of a group, failed; two empty strings where there is nothing to add."""
    path = str(error.filename or "")
    directory, name = os.path.split(path)
    why = _REASONS.get(error.errno or 0)
    return why(path, directory, name) if why and path else ("", "")


def _missing(path: str, directory: str, name: str) -> tuple[str, str]:
    if not os.path.isdir(directory):
        ours = is_ours(directory)
        return (
            f"{directory} does not exist",
            "MakeCgroups must come first" if ours else "start the launcher again: its group is gone",
        )
    return f"this kernel's groups have no file {name}", "leave that limit out, or use a kernel that has it"


def _denied(path: str, directory: str, name: str) -> tuple[str, str]:
    target = path if os.path.exists(path) else directory
    return (owner(target) if os.path.exists(target) else f"{target} does not exist"), f"run as root, or {SCOPE}"


def _read_only(path: str, directory: str, name: str) -> tuple[str, str]:
    return f"the tree of {directory} is mounted read-only", "inside Docker: run the outer container with --privileged"


def _no_space(path: str, directory: str, name: str) -> tuple[str, str]:
    for file in ("cpuset.mems", "cpuset.cpus"):
        if name in ("cgroup.procs", "tasks") and knobs.text(directory, file).isspace():
            return f"{file} of {directory} is empty, so nothing can run in it", "MakeCgroups must come first"
    return f"no more groups can be made below {directory}", "remove containers; see num_cgroups in /proc/cgroups"


def _again(path: str, directory: str, name: str) -> tuple[str, str]:
    limits = ", ".join(f"{n} {knobs.text(directory, n).strip()}" for n in ("cgroup.max.descendants", "cgroup.max.depth"))
    return f"{directory} may hold no more groups ({limits})", "remove containers"


def _busy(path: str, directory: str, name: str) -> tuple[str, str]:
    if name == "cgroup.procs":
        handed = knobs.text(directory, "cgroup.subtree_control").strip()
        return f"{directory} hands on {handed!r}, so it may hold no processes itself", "join one of the groups below it"
    if name.startswith("memory."):
        used = knobs.text(directory, "memory.usage_in_bytes") or knobs.text(directory, "memory.current")
        return f"{used.strip()} bytes are in use already and can't be reclaimed", "set a higher limit"
    return f"processes or groups are left: {knobs.text(path, 'cgroup.procs').split()}", "kill them first"


def _exists(path: str, directory: str, name: str) -> tuple[str, str]:
    return f"{path} is left from an earlier run", "run: sandbox ledger"


def _invalid(path: str, directory: str, name: str) -> tuple[str, str]:
    above = os.path.dirname(directory)
    if name.startswith("cpuset."):
        allowed = (knobs.text(above, "cpuset.cpus.effective") or knobs.text(above, "cpuset.effective_cpus")).strip()
        return f"only the CPUs {allowed} can be had here", "name CPUs among these"
    if name == "cpu.cfs_quota_us":
        quota, period = (knobs.text(above, f"cpu.cfs_{n}_us").strip() for n in ("quota", "period"))
        return f"the group above has a quota of {quota} µs in {period} µs; the least is 1000 µs", "ask for a share that fits"
    return f"{name} does not take this value; it holds {knobs.text(directory, name).strip()!r}", "see the manual of that file"


def _gone(path: str, directory: str, name: str) -> tuple[str, str]:
    return "the process that was to join has ended", "look at the step before: the child died of it"


def _threaded(path: str, directory: str, name: str) -> tuple[str, str]:
    return f"{directory} is {knobs.text(directory, 'cgroup.type').strip()!r}", SCOPE


_REASONS = {
    errno.ENOENT: _missing, errno.ENODEV: _missing, errno.EACCES: _denied, errno.EPERM: _denied, errno.EROFS: _read_only,
    errno.ENOSPC: _no_space, errno.EAGAIN: _again, errno.EBUSY: _busy, errno.ENOTEMPTY: _busy, errno.EEXIST: _exists,
    errno.EINVAL: _invalid, errno.ERANGE: _invalid, errno.ESRCH: _gone, errno.EOPNOTSUPP: _threaded,
}  # fmt: skip
