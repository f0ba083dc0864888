"""A run that makes each step only when it is told to: the launcher's half of `sandbox.Stepper`.

The child holds a *leash* beside its wire: each word on it is the number of a step. One that fails may be tried again. When
whoever steps goes away, the leash ends, and the child with it.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import InvalidOption, WrongState
from ..step import Step
from . import inside, protocol
from .ledger import Ledger
from .nursery import Nursery
from .runs import Run

Tell = Callable[[protocol.Message], None]


class Stepped(Run):
    """The life of one process that is made step by step."""

    stepped = True

    def start(
        self, streams: tuple[int, ...], ledger: Ledger, stamp: dict[str, Any], nursery: Nursery, hold: Callable[[Run], None]
    ) -> None:
        """Note that there is one, and wait for the first word."""
        self.ledger, self.nursery, self.hold = ledger, nursery, hold
        self.leash, self.theirs = protocol.wires()
        self.world.streams, self.world.shelf = streams or self._own_streams(), ledger.path
        self.outside = [Step.from_json(step) for step in self.request["plan"]["outside"]]
        self.answer: Tell | None = None  # to whom the child's next word goes
        ledger.intend(self.name, {**self._facts(), **stamp, "stepped": True}, [])

    def step(self, lane: str, number: int, answer: Tell) -> None:
        """Make this step of this lane. The answer, "stepped", has its row of the trace, and the refusal if it failed."""
        if self.running:
            raise WrongState(f"{self.name!r} runs already: there is no step left", cure="reset, to begin again")
        if self.answer:
            raise WrongState(f"a step of {self.name!r} is not done yet", cure="wait for it")
        if lane == "inside":
            if not self.born:
                raise WrongState("nobody is there yet to make a step inside", cure="Clone comes before all of them")
            self.answer = answer
            with suppress(BrokenPipeError):  # it was killed just now: who waits is told of its end
                protocol.send(self.leash, {"step": number})
            return
        if not 0 <= number < len(self.outside):
            raise InvalidOption(f"the plan has no step {number} outside")
        answer(self._step_outside(number))

    def _step_outside(self, number: int) -> protocol.Message:
        step, refused = self.outside[number], {}
        begun = len(self.rows)
        try:
            if step.name == "Clone" and self.born:
                raise WrongState("the child is there already")
            step = step.choose(self.world)
            if step.leaves_something:  # written before the act, as always
                self.undo = [*self.undo, step.to_json()]
                self.ledger.add(self.name, {"undo": self.undo})
            self.perform(number, step, self.ledger, self.nursery, self.hold, observe=True)
        except Exception as error:
            refused = {"refused": inside.refusal(step, error, self.world).to_json()}
        return {"event": "stepped", "row": self.rows[-1] if len(self.rows) > begun else None, **refused}

    def _give_work(self, work: protocol.Message) -> None:
        streams, self.world.streams = self.world.streams, ()
        protocol.send(self.wire, {**work, "stepped": True}, (*streams, self.theirs.fileno()))
        for fd in streams:
            os.close(fd)
        self.theirs.close()

    def hear(self, message: protocol.Message, fds: list[int]) -> None:
        """What the child says: of one step, or that its program begins."""
        super().hear(message, fds)
        if "stepped" in message:
            if self.running:  # it could not become its program: that step is told now, with its end
                self.running = False
                self.rows.pop()
            self.rows.append(message["stepped"])
            refused = {key: message[key] for key in ("refused",) if key in message}
            self._tell({"event": "stepped", "row": message["stepped"], **refused})

    def began(self) -> None:
        """Its program runs: the last step was made. Its own call could not be told by who made it: that one is no more."""
        row = self.rows[-1]
        args = self.request["plan"]["inside"][row[1]]["args"]
        where = "" if "/" in args[0] else " in PATH"
        row[5] = [["execve", f"{args[0]!r}{where}, {list(args)!r}, …", 0, row[2], row[3]]]
        self._tell({"event": "stepped", "row": self.rows[-1]})

    def _tell(self, message: protocol.Message) -> None:
        answer, self.answer = self.answer, None
        if answer:
            answer(message)

    def close(self) -> None:
        super().close()
        for fd in self.world.streams:
            os.close(fd)
        for sock in (self.leash, self.theirs):
            sock.close()
