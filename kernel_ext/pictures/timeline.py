"""`%timeline`: how a container was made, as two lanes to scale. What is drawn is worked out by `sandbox.timeline`."""

from typing import TYPE_CHECKING, Any

import sandbox

from .picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The colours of the topics, in the order of the legend: the names that js/shared.js gives them, and on white paper.
COLOURS = {
    "namespaces": ("blue", "#0072b2"), "ids": ("purple", "#b0568c"), "cgroups": ("orange", "#c77700"),
    "files": ("green", "#00805c"), "network": ("sky", "#2b87b8"), "rights": ("red", "#c04a00"),
    "process": ("yellow", "#8a7d00"), "waiting": ("grey", "#888888"),
}  # fmt: skip
#: A step that takes this part of the whole picture, at least, has its name written in the still.
NAMED = 0.02


class TimelinePicture(Picture):
    """The timeline of one run, or two on the same scale."""

    script = "timeline"

    def __init__(self, line: "sandbox.Timeline") -> None:
        self.line = line
        colours = {topic: name for topic, (name, _) in COLOURS.items()}
        labels = " and ".join(track.label for track in line.tracks)
        super().__init__(title=f"Timeline of {labels}", data={**line.to_json(), "colours": colours})

    def text(self) -> str:
        return str(self.line)

    def summary(self) -> str:
        return ". ".join(
            f"{track.label}: {track.length / 1000:.1f} ms until the program ran, {len(track.bars)} steps; at work "
            f"{track.busy('outside') / 1000:.1f} ms outside and {track.busy('inside') / 1000:.1f} ms inside"
            for track in self.line.tracks
        )

    def heard(self, message: dict[str, Any]) -> None:
        """Nothing can be asked of it: zoom and details are the page's own."""

    def figure(self) -> "Figure":
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        tracks = self.line.tracks
        drawn = Figure(figsize=(10, 3.4 * len(tracks) + 0.4), layout="constrained")
        longest = max(track.length for track in tracks) or 1.0
        for axes, track in zip(drawn.subplots(len(tracks), sharex=True, squeeze=False)[:, 0], tracks, strict=True):
            _draw(axes, track, longest)
        axes.set_xlabel("microseconds since the first step")
        topics = {bar.topic for track in tracks for bar in track.bars}
        legend = [Patch(color=colour, label=topic) for topic, (_, colour) in COLOURS.items() if topic in topics]
        drawn.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False, fontsize=8)
        return drawn


def _draw(axes: "Axes", track: "sandbox.Track", longest: float) -> None:
    lanes = {"outside": 1.0, "inside": 0.0}
    for bar in track.bars:
        colour, waits = COLOURS[bar.topic][1], bar.kind == "wait"
        axes.broken_barh(
            [(bar.at, bar.took)], (lanes[bar.lane], 0.5), facecolor="white" if waits else colour,
            edgecolor=colour if waits else "white", hatch="////" if waits else None, linewidth=0.5,
        )  # fmt: skip
    for lane, bottom in lanes.items():
        free = -longest
        for bar in track.bars:
            middle = bar.at + bar.took / 2
            if bar.lane == lane and bar.took >= longest * NAMED / 2 and middle - free >= longest * NAMED:
                outer, up = (bottom + 0.55, 45) if lane == "outside" else (bottom - 0.05, -45)
                anchor = "bottom" if lane == "outside" else "top"
                axes.text(middle, outer, bar.name, rotation=up, fontsize=7, ha="left", va=anchor, rotation_mode="anchor")
                free = middle
    for wait in track.waits:
        if wait.took:
            middle = lanes[wait.lane] + 0.25
            axes.plot([wait.at, wait.at + wait.took], [middle, middle], ":", color="#888888", linewidth=1)
    for number, signal in enumerate(track.signals):
        axes.annotate("", (signal.arrives, 0.5), (signal.at, 1.0), arrowprops={"arrowstyle": "->", "linewidth": 0.8})
        height = (0.85, 0.65)[number % 2]  # two that start close to each other do not hide each other's words
        axes.text(signal.at, height, f" {signal.what}", fontsize=7, va="center", ha="left" if number % 2 else "right")
    if track.exec:
        axes.axvline(track.exec.end, color="black", linewidth=1, linestyle="--")
        right = track.exec.end > longest / 5
        axes.text(track.exec.end, 2.2, " the program runs ", fontsize=7, ha="right" if right else "left")
    title = f"{track.label}: {track.length / 1000:.1f} ms until the program runs"
    axes.set(xlim=(0, longest * 1.04), ylim=(-1.0, 2.4), title=title)
    axes.set_yticks([1.25, 0.25], [f"outside:\n{track.outside}", "inside:\nthe new process"], fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
