"""lxc-cgroup(1)."""

import argparse

from ...errors import InvalidOption, NotFound, SandboxError, WrongState
from ...launcher.ledger import Ledger, directories, is_alive
from ...linux import files
from ...primitives import cgroups
from . import Terminal

PURPOSE = "gets or sets the value of a state object (for example, 'cpuset.cpus')\nin the container's cgroup"
USAGE = "--name=NAME state-object [value]"

#: What is the same under version 1 and under version 2: for who asks for the file of the other one.
PAIRS = (
    ("memory.limit_in_bytes", "memory.max"), ("memory.usage_in_bytes", "memory.current"), ("cpu.shares", "cpu.weight"),
    ("memory.max_usage_in_bytes", "memory.peak"), ("memory.soft_limit_in_bytes", "memory.low"),
    ("memory.oom_control", "memory.events"), ("cpu.cfs_quota_us", "cpu.max"), ("freezer.state", "cgroup.freeze"),
    ("blkio.weight", "io.weight"), ("blkio.throttle.io_service_bytes_recursive", "io.stat"),
)  # fmt: skip
#: Whoever is moved into a container's group is killed with it.
_MOVES = ("cgroup.procs", "cgroup.threads", "tasks")


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Print the text of a control file, or write it."""
    if not asked.words:
        raise InvalidOption("Missing state object", cure="lxc-cgroup -n NAME memory.stat")
    name, *values = asked.words
    where = f"{asked.home.containers}:{asked.name}"
    entry = Ledger(asked.home.ledger).entry(asked.name)
    if entry is None or not is_alive(entry):
        raise WrongState(f"'{where}' is not running", cure=f"lxc-start -n {asked.name}")
    groups = directories(entry)
    failure = f"Failed to assign '{values[0]}' value to '{name}' for '{asked.name}'" if values else \
        f"Failed to retrieve value of '{name}' for '{where}'"  # fmt: skip
    path = cgroups.control_file(groups, name)
    if not path:
        raise NotFound(failure, condition=_why_missing(groups, name), cure=_other(groups, name))
    if values and name in _MOVES:
        raise InvalidOption(failure, condition="a process of the host does not belong in there",
                            cure=f"lxc-attach -n {asked.name} -- COMMAND")  # fmt: skip
    try:
        if values:
            files.write(path, values[0])
        else:
            print(files.read(path), end="")
    except OSError as error:
        raise SandboxError(failure, condition=f"{path}: {error.strerror}") from None
    return 0


def _why_missing(groups: cgroups.Directories, name: str) -> str:
    controller, dot, _ = name.partition(".")
    if not dot or "/" in name or controller in dict(groups) or controller == "cgroup":
        return "its group has no such file"
    problem = cgroups.read_layout().at(controller).problem
    return problem or f"it has not joined the {controller} controller"


def _other(groups: cgroups.Directories, name: str) -> str:
    """The file that says the same in the other version of control groups, if it has that."""
    same = dict(PAIRS) | {new: old for old, new in PAIRS}
    other = same.get(name, "")
    return f"here it is {other}" if other and cgroups.control_file(groups, other) else ""
