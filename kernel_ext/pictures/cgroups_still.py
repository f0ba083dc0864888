"""The still picture of `%cgroups`: a row for each container, with the same plots as in the page."""

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from sandbox import Sampler, sampling

BLUE, ORANGE, GREEN, PURPLE, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"
MIB = 1 << 20
MARKED = ("oom", "refused", "limit", "frozen")
#: So many containers have a row, and so many moments of each are drawn.
MOST, POINTS = 12, 600


def figure(sampler: "Sampler") -> Figure:
    """CPU, memory, processes, bytes and pressure of each container, over the seconds before its last moment."""
    shown = list(sampler.histories.values())[:MOST]
    made = Figure(figsize=(11, 0.5 + 1.7 * max(len(shown), 1)), layout="constrained")
    if not shown:
        made.text(0.5, 0.5, "no container runs", ha="center", va="center")
        return made
    grid = made.subplots(len(shown), 5, squeeze=False)
    for row, history in zip(grid, shown, strict=True):
        _row(row, history, sampler)
    for axes, title in zip(grid[0], ("CPUs", "memory, MiB", "processes", "KiB/s", "pressure, %"), strict=True):
        axes.set_title(title, size=9)
    return made


def _row(row: Any, history: "sampling.History", sampler: "Sampler") -> None:
    moments, columns = history.kept()  # sampling goes on while this is drawn
    stride = max(1, len(moments) // POINTS)
    last = moments[-1] if moments else 0.0
    at = [moment - last for moment in moments[::stride]]
    of = {name: column[::stride].tolist() for name, column in columns.items()}
    cpu, memory, pids, io, pressure = row
    cpu.set_ylabel(f"{history.name}\n{history.state.lower()}", size=8)
    cpu.plot(at, of["cpu"], color=BLUE, linewidth=1)
    cpu.plot(at, of["cpu_limit"], color=RED, linewidth=1, linestyle="--")
    throttled = [value > 0 for value in of["throttled"]]
    cpu.fill_between(at, 0, 1, where=throttled, transform=cpu.get_xaxis_transform(), color=ORANGE, alpha=0.35, hatch="//")
    parts = [[0.0 if math.isnan(value) else value / MIB for value in of[name]] for name in ("anon", "file", "kernel")]
    memory.stackplot(at, parts, colors=(BLUE, GREEN, PURPLE), labels=("anon", "file", "kernel"))
    memory.plot(at, [value / MIB for value in of["memory"]], color="black", linewidth=1)
    memory.plot(at, [value / MIB for value in of["memory_limit"]], color=RED, linewidth=1, linestyle="--")
    pids.plot(at, of["pids"], color=GREEN, linewidth=1)
    pids.plot(at, of["pids_limit"], color=RED, linewidth=1, linestyle="--")
    for name, colour, style in (("io_read", GREEN, "-"), ("io_written", ORANGE, "--")):
        io.plot(at, [value / 1024 for value in of[name]], color=colour, linewidth=1, linestyle=style)
    for name, colour, style in (("cpu_stalled", BLUE, "-"), ("memory_stalled", PURPLE, "--"), ("io_stalled", ORANGE, ":")):
        pressure.plot(at, [100 * value for value in of[name]], color=colour, linewidth=1, linestyle=style)
    for axes in row:
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
        for event in tuple(sampler.events):
            if event.name == history.name and event.kind in MARKED and at and event.at - last >= at[0]:
                colour = RED if event.kind in ("oom", "refused") else "grey"
                axes.axvline(event.at - last, color=colour, linewidth=0.8, alpha=0.7)
