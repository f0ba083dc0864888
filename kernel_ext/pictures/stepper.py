"""The step debugger's picture: the plan in two lanes, what each step changed, and the buttons that make them."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox import InvalidOption, SandboxError, Stepper

from ..untrusted import Decoder, visible
from .picture import Picture
from .ticker import Ticker, ticker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sandbox import Stage

#: Seconds between two looks at what the program wrote.
GATHER = 0.1
#: Characters of the program's output that the picture shows: the last of them.
OUTPUT = 20_000
#: How the states look in the still picture: mark and colour.
LOOKS = {"done": ("✓", "#00805c"), "failed": ("✗", "#c04a00"), "skipped": ("–", "#666666"), "pending": (" ", "#bbbbbb")}  # noqa: RUF001


class StepperView(Picture):
    """A Stepper in the page. It follows what is done with the Stepper elsewhere, too."""

    script = "stepper"

    def __init__(self, stepper: Stepper) -> None:
        super().__init__(title=f"The start of {stepper.name}, step by step")
        self.stepper = stepper
        self._orders = Ticker()  # of its own: a step may not come back, and the other pictures must move on
        self._resets = 0  # how many were asked for: an order that is older than the last of them is not done any more
        self._polling = self._behind = False
        stepper.followers.append(self._changed)
        self.data = self._state()

    # --- what it shows -----------------------------------------------------------------------------------------------

    def text(self) -> str:
        written = Decoder()(self.stepper.output[1])
        output = f"\noutput:\n{written}" if written else ""
        return f"{self.stepper}{output}" + (f"\n{self._end()}" if self._end() else "")

    def summary(self) -> str:
        states = [stage.state for stage in self.stepper.stages]
        upcoming = self.stepper.upcoming
        after = f"next is {upcoming.name}" if upcoming else "all are made"
        left = f", {states.count('skipped')} left out" if "skipped" in states else ""
        refused = f", {states.count('failed')} refused" if "failed" in states else ""
        held = len(self.stepper.held)
        return (
            f"{states.count('done')} of {len(states)} steps are made{left}{refused}; {after}. The ledger holds {held} of them."
        )

    def figure(self) -> "Figure":
        from matplotlib.figure import Figure

        stages = self.stepper.stages
        figure = Figure(figsize=(9, 0.6 + 0.24 * len(stages)))
        axes = figure.add_axes((0.02, 0.01, 0.96, 0.98))
        axes.set(xlim=(0, 2), ylim=(len(stages) + 0.6, -1.6))
        axes.axis("off")
        for left, title in ((0.0, "outside: the launcher, on the host"), (1.0, "inside: the new process")):
            axes.text(left + 0.02, -0.8, title, weight="bold", size=9)
        for row, stage in enumerate(stages):
            mark, colour = LOOKS[stage.state]
            left = 0.0 if stage.lane == "outside" else 1.0
            edge = 2.0 if stage is self.stepper.upcoming else 0.5
            axes.barh(row, 0.97, left=left, height=0.86, color=colour, alpha=0.18, edgecolor="#222222", linewidth=edge)
            axes.text(left + 0.02, row, f"{mark} {stage.number}  {_short(stage)}", size=7.5, va="center", family="DejaVu Sans")
        return figure

    def _state(self) -> dict[str, Any]:
        upcoming = self.stepper.upcoming
        self._read, tail = self.stepper.output  # so many bytes of it are shown, or wait to be
        self._decoder, self._unsent, self._sent = Decoder(), "", self._read
        return {
            "stages": [_plain(stage) for stage in self.stepper.stages],
            "next": upcoming.number if upcoming else 0,
            "held": [visible(text) for text in self.stepper.held],
            "pid": self.stepper.pid,
            "output": self._decoder(tail),
            "written": self._read,
            "end": self._end(),
        }

    def _end(self) -> str:
        result = self.stepper.result
        if result is None:
            return ""
        return visible(f"exit code {result.exit_code}" + (f": {result.reason}" if result.reason else ""))

    # --- what it does ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        with suppress(ValueError):  # it was closed before
            self.stepper.followers.remove(self._changed)
        super().close()

    def _obey(self, message: dict[str, Any]) -> None:
        """One order after another; but a reset gives up the step that is waited for, and what was ordered before it."""
        if message.get("do") == "reset":
            self._resets += 1
            self.stepper.kill()
        obey, resets = super()._obey, self._resets
        self._orders.post(lambda: obey({**message, "resets": resets}))

    def heard(self, message: dict[str, Any]) -> None:
        try:
            if message["resets"] == self._resets:
                self._do(message)
        except SandboxError:
            if message["resets"] == self._resets:
                raise

    def _do(self, message: dict[str, Any]) -> None:
        stepper, number = self.stepper, message.get("stage")
        match message:
            case {"do": "next"}:
                stepper.next()
            case {"do": "to", "stage": int(number)}:
                stepper.to(number)
            case {"do": "run"}:
                while stepper.upcoming and stepper.next().error is None:
                    pass
            case {"do": "skip", "stage": int(number)}:
                stepper.skip(number)
            case {"do": "move", "stage": int(number), "before": int(before)}:
                stepper.move(number, before)
            case {"do": "reset"}:
                stepper.reset()
            case _:
                raise InvalidOption(f"the step debugger does not know {str(message)[:80]!r}")

    def _changed(self) -> None:
        """Something is different. It is shown once, however often it changes until then."""
        if not self._behind:
            self._behind = True
            ticker.post(self._follow)

    def _follow(self) -> None:
        """Show what is so now."""
        self._behind = False
        self.data = self._state()
        self.refresh()
        if self._runs() and not self._polling:
            self._polling = True
            ticker.every(GATHER, self._listen)

    def _listen(self) -> bool:
        """Show what the program wrote, until it ends; whoever asks for it, here or in a cell."""
        self.stepper.poll()
        if not self._runs():
            self._polling = False
            self._changed()
            return False
        written, tail = self.stepper.output
        if new := written - self._read:
            self._unsent = (self._unsent + self._decoder(tail[-new:]))[-OUTPUT:]
            self._read = written
            self.refresh()
        if self._unsent and self.frame({"output": self._unsent, "from": self._sent, "to": written}):
            self._unsent, self._sent = "", written
        return not self.closed

    def _runs(self) -> bool:
        return self.stepper.result is None and self.stepper.upcoming is None

    def catch_up(self) -> None:
        self._follow()


def _short(stage: "Stage") -> str:
    text = str(stage.step)
    return visible(text if len(text) <= 62 else f"{text[:60]}…")


def _about(stage: "Stage") -> str:
    """What a step is about, in a word: where it mounts, what it sets."""
    fields = (getattr(stage.step, name, "") for name in ("destination", "hostname", "path", "tree"))
    return visible(next((field for field in fields if isinstance(field, str) and field), ""))


def _plain(stage: "Stage") -> dict[str, Any]:
    """A step as JSON types, for the page."""
    error = stage.error
    return {
        "number": stage.number, "lane": stage.lane, "name": stage.name, "text": visible(str(stage.step)),
        "about": _about(stage), "state": stage.state, "purpose": stage.purpose, "man": stage.step.man, "see": stage.see,
        "result": visible(stage.result), "took": stage.took,
        "calls": [visible(f"{call.name}({call.arguments}) = {call.result}") for call in stage.calls],
        "changed": [[visible(part) for part in change] for change in stage.changed],
        "error": error and [visible(error.message), visible(error.condition), visible(error.cure)],
    }  # fmt: skip
