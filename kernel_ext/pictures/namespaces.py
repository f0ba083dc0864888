"""`%namespaces`: a grid of who is in which namespace. What is shared is one connected shape, and has the same letter."""

from typing import TYPE_CHECKING, Any

import sandbox
from sandbox import InvalidOption

from ..untrusted import visible
from .moving import MovingPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the letters on white paper, in the order in which js/shared.js has them; the first is the host's.
COLOURS = ("#0072b2", "#c77700", "#00805c", "#b0568c", "#2b87b8", "#c04a00", "#8a7d00")


class NamespacesPicture(MovingPicture):
    """The map of namespaces; click or Enter on a cell tells all about that namespace."""

    script = "namespaces"

    def __init__(self, seen: "sandbox.NamespaceMap") -> None:
        super().__init__(title="Who is in which namespace")
        self.map = seen
        self.data = drawn(seen)

    def text(self) -> str:
        return str(self.map)

    def summary(self) -> str:
        rows, marks = self.map.rows, self.map.marks
        containers = sum(row.what == "container" for row in rows)
        letters = {mark for mark in marks.values() if mark not in ("host", "own")}
        shared = (
            f"{len(letters)} groups of rows share namespaces that are not the host's"
            if letters
            else "none but the host's is shared"
        )
        return (
            f"The host, {containers} containers and {len(rows) - 1 - containers} others; {shared}. {self.map.unseen}".strip()
        )

    def look(self) -> dict[str, Any]:
        self.map = self.map.again()
        self.data = drawn(self.map)  # sent only if it is another
        return {}

    def heard(self, message: dict[str, Any]) -> Any:
        match message:
            case {"do": "details", "id": int(id)}:
                return [[visible(heading), [visible(line) for line in lines]] for heading, lines in self.map.about(id).items()]
            case {"do": "refresh"}:
                self.look()
                return self.refresh()
            case {"do": "live", "on": bool(on)}:
                return self.go_live(on)
        raise InvalidOption(f"the map does not know {str(message)[:80]!r}")

    def figure(self) -> "Figure":
        from matplotlib.figure import Figure

        rows = self.map.folded()[:60]
        kinds = self.data["kinds"]
        figure = Figure(figsize=(11, 0.9 + 0.34 * len(rows)))
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        axes.set(xlim=(-2.4, len(kinds)), ylim=(len(rows), -1))
        axes.axis("off")
        for column, (name, _) in enumerate(kinds):
            axes.text(column + 0.5, -0.5, name, ha="center", va="center", size=10, weight="bold")
            _rails(axes, column, [self.map.marks.get(row.ids[column], "") for row, _ in rows])
        for number, (row, count) in enumerate(rows):
            name = visible(row.name)[:26] + (f" and {count - 1} like it" if count > 1 else "")
            axes.text(-2.35, number + 0.5, name, va="center", size=8.5, weight="bold" if row.what == "host" else "normal")
            for column, id in enumerate(row.ids):
                if id:
                    _cell(axes, column, number, id, self.map.marks.get(id, ""))
        return figure


def _rails(axes: "Axes", column: int, marks: list[str]) -> None:
    """Of each namespace that is shared a line through all who are in it."""
    for mark in {mark for mark in marks if mark not in ("own", "")}:
        first, last = marks.index(mark), len(marks) - 1 - marks[::-1].index(mark)
        colour = COLOURS[number_of(mark) % len(COLOURS)]
        x = column + 0.09 + 0.05 * (number_of(mark) % 4)
        axes.plot([x, x], [first + 0.5, last + 0.5], color=colour, linewidth=3, alpha=0.6, solid_capstyle="round")


def _cell(axes: "Axes", column: int, row: int, id: int, mark: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    own = mark == "own"
    colour = "#888888" if own else COLOURS[number_of(mark) % len(COLOURS)]
    box = FancyBboxPatch(
        (column + 0.08, row + 0.14), 0.84, 0.72, boxstyle="round,pad=0,rounding_size=0.12", edgecolor=colour,
        facecolor="white" if own else f"{colour}38", linewidth=1,
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(column + 0.5, row + 0.5, str(id) if own else f"{mark} {id}", ha="center", va="center", size=6.5)


def number_of(mark: str) -> int:
    """Which colour a mark has: the host's is the first."""
    return 0 if mark == "host" else sum((ord(letter) - 64) * 26**place for place, letter in enumerate(reversed(mark)))


def drawn(seen: "sandbox.NamespaceMap") -> dict[str, Any]:
    """The map as JSON types, for the page."""
    return {
        "kinds": [[name, what] for name, what in seen.kinds],
        "rows": [
            {
                "name": visible(row.name), "what": row.what, "pids": list(row.pids[:1]), "count": len(row.pids),
                "cells": [[id, seen.marks.get(id, ""), number_of(seen.marks.get(id, "host"))] for id in row.ids],
                "alike": " ".join(seen.pattern(row)),
            }
            for row in seen.rows
        ],
        "nesting": {kind: [visible(line) for line in seen.nesting(kind)] for kind in ("user", "pid")},
        "unseen": visible(seen.unseen),
        "many": seen.MANY, "few": seen.ALIKE,
    }  # fmt: skip
