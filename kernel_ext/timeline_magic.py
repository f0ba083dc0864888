"""`%timeline`: the picture of how long each step of a run took, or of two runs."""

from typing import TYPE_CHECKING

from IPython.display import display

import sandbox
from sandbox import InvalidOption

from .parser import Parser

if TYPE_CHECKING:
    from .container_magic import Session


def timeline(session: "Session", line: str) -> None:
    """How a run went, to scale: `%timeline` the last one, `%timeline A B` two Results beside each other."""
    parser = Parser(
        "%timeline",
        "The last run of %%container, or the Result in VAR; with VAR2 two runs on the same scale, and their difference.\n"
        "Run it with --calls to have the system calls in it.",
    )
    parser.usage = "%timeline [VAR [VAR2]] [--runc]"
    parser.add_argument("--runc", action="store_true", help="beside it, runc: recorded now, by strace, on this machine")
    found, names = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    if len(names) + found.runc > 2:
        raise InvalidOption("%timeline shows two runs at most", cure="leave out a name, or --runc")
    runs: list[sandbox.Trace | sandbox.Track] = [traced(session, name) for name in names]
    if not runs:
        if session.trace is None:
            raise InvalidOption("nothing was run yet", cure="run a cell with %%container first, or name a Result")
        runs = [session.trace]
    if found.runc:
        runs.append(sandbox.record_runc())
    shown = sandbox.timeline(runs[0], runs[1] if len(runs) > 1 else None, [*(names or ["last run"]), "runc"])
    display(shown)  # type: ignore[no-untyped-call]


def traced(session: "Session", name: str) -> "sandbox.Trace":
    """The trace in a variable of the user, which is a Result or a trace. Raises InvalidOption."""
    value = session.variable(name)
    trace = getattr(value, "trace", value)
    if not isinstance(trace, sandbox.Trace):
        raise InvalidOption(
            f"{name} is of type {type(value).__name__}",
            cure=f"%%container --out {name} makes a Result, and Stepper.run() does",
        )
    return trace
