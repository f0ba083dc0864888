"""container-sandbox: real Linux containers for teaching, made by plans that can be read, stepped and broken.

    import sandbox
    sandbox.run("busybox", "hostname; id; ps; ls /", memory="64m", hostname="box")

Names are loaded when they are first used: importing this package costs next to nothing.
"""

TYPE_CHECKING = False  # `typing` itself would take as long as half of Python's start
if TYPE_CHECKING:
    from typing import Any

    from . import console, host, lxc, options, terminal, values
    from .console import Console
    from .container import Container, launch
    from .errors import InvalidOption, KernelRefused, NotFound, NotPossibleHere, SandboxError
    from .job import Job, Result
    from .listing import Info, containers, ledger
    from .maps.namespaces import NamespaceMap, namespaces
    from .maps.networks import Cable, NetworkMap, network_map
    from .runc import record_runc
    from .spec import Spec
    from .stages import Stage
    from .starting import Kept, plan, run, spawn, spec_for
    from .stepper import Stepper
    from .timelines import Timeline, Track, timeline
    from .trace import Trace

__version__ = "0.1.0"

_WHERE = {
    "Console": "console", "Container": "container", "launch": "container", "InvalidOption": "errors", "KernelRefused":
    "errors", "NotFound": "errors", "NotPossibleHere": "errors", "SandboxError": "errors", "Job": "job", "Result": "job",
    "Info": "listing", "containers": "listing", "ledger": "listing", "Spec": "spec", "Kept": "starting", "Stage": "stages",
    "Stepper": "stepper", "Timeline": "timelines", "Track": "timelines", "Trace": "trace", "plan": "starting", "record_runc":
    "runc", "run": "starting", "spawn": "starting", "spec_for": "starting", "timeline": "timelines",
    "NamespaceMap": "maps.namespaces", "namespaces": "maps.namespaces", "NetworkMap": "maps.networks",
    "network_map": "maps.networks", "Cable": "maps.networks",
}  # fmt: skip

#: Modules that are handed on whole.
_ROOMS = ("console", "host", "lxc", "options", "terminal", "values")

__all__ = [
    "Cable", "Console", "Container", "Info", "InvalidOption", "Job", "Kept", "KernelRefused", "NamespaceMap", "NetworkMap",
    "NotFound", "NotPossibleHere", "Result", "SandboxError", "Spec", "Stage", "Stepper", "Timeline", "Trace", "Track",
    "console", "containers", "host", "launch", "ledger", "lxc", "namespaces", "network_map", "options", "plan",
    "record_runc", "run", "spawn", "spec_for", "terminal", "timeline", "values",
]  # fmt: skip


def __getattr__(name: str) -> "Any":
    import importlib

    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _WHERE:
        value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
