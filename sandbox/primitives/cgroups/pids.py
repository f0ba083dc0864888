"""The pids controller, whose files are the same in both versions. What is written and what is read, side by side.

Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/pids.rst.
"""

from typing import Any

from ...linux import files
from . import knobs


def limit(directory: str, pids: int | None) -> None:
    files.write(f"{directory}/pids.max", "max" if pids is None else str(pids))


def glance(directory: str) -> dict[str, Any]:
    return {"pids": knobs.number(directory, "pids.current")}


def read(directory: str) -> dict[str, Any]:
    refused = files.pairs(knobs.text(directory, "pids.events")).get("max")
    return glance(directory) | {"pids_limit": knobs.number(directory, "pids.max"), "forks_refused": refused}
