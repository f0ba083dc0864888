"""A plan: the steps of the two lanes, in order, as plain data. `plans.py` makes it, the launcher carries it out."""

import json
from collections.abc import Iterator
from typing import Any

from .errors import InvalidOption
from .immutable import immutable
from .primitives.mounts import OpenTree
from .primitives.namespaces import Clone
from .step import Step

#: Steps without which there is no child, no barrier and no program: a plan without them is not a plan.
ESSENTIAL = {"Clone", "Enter", "Go", "WaitForGo", "Exec"}


@immutable
class Plan:
    """The steps of the two lanes, in order."""

    outside: tuple[Step, ...]
    inside: tuple[Step, ...]

    def __iter__(self) -> Iterator[Step]:
        return iter((*self.outside, *self.inside))

    def __len__(self) -> int:
        return len(self.outside) + len(self.inside)

    def without(self, *names: str) -> "Plan":
        """The plan that leaves these steps out, to see what breaks. Raises InvalidOption for a name that is not in it.

        Only for containers with a user namespace: in it, even a wrong plan can't spoil the host.
        """
        present = {step.name for step in self}
        for name in names:
            if name not in present:
                raise InvalidOption(f"the plan has no step {name!r}", cure=f"it has: {', '.join(sorted(present))}")
            if name in ESSENTIAL:
                raise InvalidOption(f"without {name} there is nothing left to run", cure="leave out another step")
        clone = next((step for step in self.outside if isinstance(step, Clone)), None)
        if names and (clone is None or "user" not in clone.namespaces):
            raise InvalidOption(
                "a step may be left out only where the container has a user namespace of its own",
                condition="otherwise a half-made container has root's power over the host",
                cure="drop --userns host and --share user",
            )
        kept = [tuple(s for s in lane if s.name not in names) for lane in (self.outside, self.inside)]
        return Plan(*kept)

    def to_json(self) -> dict[str, Any]:
        """JSON types: {"outside": [step …], "inside": [step …]}."""
        return {"outside": [s.to_json() for s in self.outside], "inside": [s.to_json() for s in self.inside]}

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> "Plan":
        """The plan that `to_json` wrote (as JSON types or as text). Raises ValueError for what is no plan."""
        if isinstance(data, str):
            data = json.loads(data)
        if (
            not isinstance(data, dict)
            or set(data) != {"outside", "inside"}
            or not all(isinstance(v, list) for v in data.values())
        ):
            raise ValueError("a plan is an object with the lists outside and inside")
        lanes = {lane: tuple(Step.from_json(step) for step in steps) for lane, steps in data.items()}
        for lane, steps in lanes.items():
            for step in steps:
                if step.lane != lane and not isinstance(step, OpenTree):
                    raise ValueError(f"{step.name} belongs to the {step.lane} lane")
        return cls(**lanes)

    def __str__(self) -> str:
        """Numbered, one step a line, each with its man page and the first line of what it is for."""
        lines = []
        number = 0
        for title, lane in (
            ("outside: the launcher, on the host", self.outside),
            ("inside: the new process, by itself", self.inside),
        ):
            lines.append(title)
            for step in lane:
                number += 1
                purpose = (step.__doc__ or "").split("\n", 1)[0]
                lines.append(f"  {number:2}  {step}")
                lines.append(f"      {purpose}" + (f"  [{step.man}]" if step.man and step.man not in purpose else ""))
        return "\n".join(lines)
