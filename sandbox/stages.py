"""The steps of a plan on their way: in which order, how far, and what came of each."""

from dataclasses import dataclass, field, replace
from typing import Any

from .errors import SandboxError, WrongState
from .lanes import Plan
from .observing import Change
from .step import Lane, Step
from .trace import Call

PENDING, DONE, FAILED, SKIPPED = "pending", "done", "failed", "skipped"
#: How a step is marked in print().
MARKS = {PENDING: " ", DONE: "✓", FAILED: "✗", SKIPPED: "-"}


@dataclass(eq=False)
class Stage:
    """One step on its way: which it is, how far it is, and what came of it."""

    number: int  # as in print(plan), from 1
    lane: Lane
    place: int  # its number in its lane, from 0
    step: Step
    state: str = PENDING
    result: str = ""
    took: float = 0.0  # seconds
    calls: tuple[Call, ...] = ()
    changed: list[Change] = field(default_factory=list)
    error: SandboxError | None = None
    pid: int = 0  # of the child, once there is one

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def see(self) -> str:
        """The command that shows its effect."""
        return self.step.see.replace("PID", str(self.pid)) if self.pid else self.step.see

    @property
    def purpose(self) -> str:
        """What it is for, in a sentence."""
        return (self.step.__doc__ or "").split("\n", 1)[0]

    def refuse_done(self) -> None:
        """Raises WrongState: it is done already."""
        if self.state == DONE:
            raise WrongState(f"{self.name} is done already", cure="reset, to begin again")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows where a cell ends with one: what print() does."""
        printer.text(str(self))

    def __str__(self) -> str:
        lines = [f"{self.number:2}  {self.step}", f"    {self.purpose}  [{self.lane}, {self.step.man}]"]
        if self.state in (PENDING, SKIPPED):
            return "\n".join([*lines, f"    {self.state}"])
        lines += [f"    {call.name}({call.arguments}) = {call.result}" for call in self.calls]
        if self.error:
            lines.append(f"    refused: {self.error}")
        lines += [f"    {change}" for change in self.changed] or ["    changed: nothing that can be seen from outside"]
        if self.step.see:
            lines.append(f"    see it yourself: {self.see}")
        return "\n".join(lines)


def order(plan: Plan) -> list[Stage]:
    """The steps of both lanes in one order: what a real start does side by side, one after the other.

    Outside until there is a child; the child, until it needs the outside; outside, until the child may go on; the child.
    """
    lanes: dict[Lane, tuple[Step, ...]] = {"outside": plan.outside, "inside": plan.inside}
    cut = {"outside": _after(plan.outside, "Clone"), "inside": _after(plan.inside, "WaitForGo") - 1}
    parts: list[tuple[Lane, range]] = [
        ("outside", range(cut["outside"])), ("inside", range(cut["inside"])),
        ("outside", range(cut["outside"], len(plan.outside))), ("inside", range(cut["inside"], len(plan.inside))),
    ]  # fmt: skip
    stages = [Stage(0, lane, place, lanes[lane][place]) for lane, places in parts for place in places]
    return [replace(stage, number=number) for number, stage in enumerate(stages, 1)]


def _after(lane: tuple[Step, ...], name: str) -> int:
    return next(number for number, step in enumerate(lane, 1) if step.name == name)
