"""container-sandbox: real Linux containers for teaching, made by plans that can be read, stepped and broken.

    import sandbox
    sandbox.run("busybox", "hostname; id; ps; ls /", memory="64m", hostname="box")

Names are loaded when they are first used: importing this package costs next to nothing.
"""

TYPE_CHECKING = False  # `typing` itself would take as long as half of Python's start
if TYPE_CHECKING:
    from typing import Any

    from . import columns, console, host, loads, lxc, options, sampling, terminal, values
    from .console import Console
    from .container import Container, launch
    from .errors import InvalidOption, KernelRefused, NotFound, NotPossibleHere, SandboxError
    from .job import Job, Result
    from .listing import Info, containers, ledger
    from .maps.namespaces import NamespaceMap, namespaces
    from .maps.networks import Cable, NetworkMap, network_map
    from .runc import record_runc
    from .sampling import Sampler
    from .spec import Spec
    from .stages import Stage
    from .starting import Kept, plan, run, spawn, spec_for
    from .stepper import Stepper
    from .timelines import Timeline, Track, timeline
    from .trace import Trace

__version__ = "0.1.0"

_WHERE = {
    "Cable": "maps.networks", "Console": "console", "Container": "container", "Info": "listing", "InvalidOption": "errors",
    "Job": "job", "Kept": "starting", "KernelRefused": "errors", "NamespaceMap": "maps.namespaces",
    "NetworkMap": "maps.networks", "NotFound": "errors", "NotPossibleHere": "errors", "Result": "job",
    "Sampler": "sampling", "SandboxError": "errors", "Spec": "spec", "Stage": "stages", "Stepper": "stepper",
    "Timeline": "timelines", "Trace": "trace", "Track": "timelines", "containers": "listing", "launch": "container",
    "ledger": "listing", "namespaces": "maps.namespaces", "network_map": "maps.networks", "plan": "starting",
    "record_runc": "runc", "run": "starting", "spawn": "starting", "spec_for": "starting", "timeline": "timelines",
}  # fmt: skip

#: Modules that are handed on whole.
_ROOMS = ("columns", "console", "host", "loads", "lxc", "options", "sampling", "terminal", "values")

__all__ = [
    "Cable", "Console", "Container", "Info", "InvalidOption", "Job", "Kept", "KernelRefused", "NamespaceMap",
    "NetworkMap", "NotFound", "NotPossibleHere", "Result", "Sampler", "SandboxError", "Spec", "Stage", "Stepper",
    "Timeline", "Trace", "Track", "columns", "console", "containers", "host", "launch", "ledger", "loads", "lxc",
    "namespaces", "network_map", "options", "plan", "record_runc", "run", "sampling", "spawn", "spec_for", "terminal",
    "timeline", "values",
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
