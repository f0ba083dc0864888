"""`%networks`: what is plugged into what, as a plan of boxes and cables, with counters that move."""

from typing import TYPE_CHECKING, Any

import sandbox
from sandbox import InvalidOption

from ..untrusted import visible
from .moving import MovingPicture
from .wiring import identity, wiring

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What the boxes look like in the still picture: edge and face, on white paper.
LOOKS = {
    "host": ("#666666", "#f4f4f4"), "world": ("#2b87b8", "#e3f1f9"), "bridge": ("#0072b2", "#dcebf5"),
    "other": ("#888888", "#eeeeee"), "container": ("#00805c", "#dff2eb"), "lonely": ("#888888", "#ffffff"),
}  # fmt: skip
#: Bytes per second from which on a cable is drawn thicker, and thicker still.
BUSY = (1, 10_000, 1_000_000)


class NetworksPicture(MovingPicture):
    """The map of networks; Enter on a box or a cable tells all about it."""

    script = "networks"

    def __init__(self, seen: "sandbox.NetworkMap") -> None:
        super().__init__(title="Which cable leads where")
        self.map = seen
        self.data = wiring(seen)

    def text(self) -> str:
        return str(self.map)

    def summary(self) -> str:
        seen = self.map
        ours = [bridge.network for bridge in seen.bridges if bridge.network]
        lines = [f"{cable.container} on {cable.plugged or cable.kind}" for cable in seen.cables[:12]]
        apart = "; ".join(seen.apart())
        return (
            f"{len(ours)} networks of ours, {len(seen.cables)} cables{': ' if lines else ''}{', '.join(lines)}. "
            f"{f'{apart}. ' if apart else ''}The way out: {'; '.join(seen.ways) or 'none'}."
        )

    def look(self) -> dict[str, Any]:
        before, now = self.map, sandbox.network_map(with_rules=False)
        if wiring(now)["cables"] != wiring(before)["cables"] or now.published != before.published:
            now = sandbox.network_map()  # rules have changed, too: a program is asked for them only then
        else:
            now = now.with_rules(before.rules)
        self.map = now
        self.data = wiring(now)
        return {"counters": counters(before, now)}

    def heard(self, message: dict[str, Any]) -> Any:
        match message:
            case {"do": "refresh"}:
                self.frame(self.look())
                return self.refresh()
            case {"do": "live", "on": bool(on)}:
                return self.go_live(on)
        raise InvalidOption(f"the map does not know {str(message)[:80]!r}")

    def figure(self) -> "Figure":
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch

        width, height = self.data["size"]
        figure = Figure(figsize=(width / 90, height / 90))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        for cable in self.data["cables"]:
            x1, y1, x2, y2 = cable["line"]
            style = ":" if cable["kind"] == "closed" else "-"
            axes.plot([x1, x2], [y1, y2], style, color="#c77700" if cable["label"] else "#2b87b8", linewidth=2.2, zorder=2)
            if cable["label"]:
                behind = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
                axes.text((x1 + x2) / 2, (y1 + y2) / 2 - 6, cable["label"], ha="center", size=7, zorder=3, bbox=behind)
        for box in self.data["boxes"]:
            x, y, wide, high = box["place"]
            edge, face = LOOKS[box["kind"]]
            axes.add_patch(FancyBboxPatch((x, y), wide, high, boxstyle="round,pad=0,rounding_size=8", edgecolor=edge,
                                          facecolor=face, linestyle="--" if box["kind"] == "lonely" else "-",
                                          zorder=0 if box["kind"] == "host" else 2))  # fmt: skip
            axes.text(x + 8, y + 16, box["title"], size=8.5, weight="bold", zorder=4)
            for number, line in enumerate(box["lines"]):
                axes.text(x + 8, y + 32 + 14 * number, line, size=7, zorder=4)
        return figure


def counters(before: "sandbox.NetworkMap", now: "sandbox.NetworkMap") -> dict[str, list[Any]]:
    """Of each cable what to write on it, and how thick it is: what came and went per second."""
    rates, found = now.rates(before), {}
    for cable in now.cables:
        received, sent = rates.get((cable.container, cable.device), (0.0, 0.0))
        level = sum(received + sent >= limit for limit in BUSY)
        total = f"{size(cable.received)} in, {size(cable.sent)} out in all"
        found[identity(cable)] = [f"↓ {size(received)}/s  ↑ {size(sent)}/s", level, total]
    return found


def size(number: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return visible(f"{number:.1f} GB")
