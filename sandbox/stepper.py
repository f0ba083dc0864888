"""The step debugger: a container is made one step at a time, by whoever steps, and after each step one sees what it changed.

s = sandbox.Stepper("busybox", "hostname", hostname="box")
print(s.next())          the first step: its system calls, what it changed, how to see that oneself
s.to("PivotRoot")        all steps before that one
s.skip("Mask")           leave one out; s.move("SetHostname", before="Exec") makes it at another time
s.run()                  the rest; the Result of the program
s.reset()                everything is undone, and it begins again
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from signal import SIGKILL
from types import TracebackType
from typing import Any, Self

from . import observing
from .errors import InvalidOption, LauncherLost, SandboxError, WrongState, from_json
from .job import Job, Result
from .lanes import ESSENTIAL, Plan
from .launcher import client, protocol
from .launcher.ledger import Ledger
from .observing import Change, Facts
from .spec import Spec
from .stages import DONE, FAILED, MARKS, PENDING, SKIPPED, Stage, order
from .starting import How, Kept, place, request
from .step import Step
from .trace import Call

#: Bytes of a program's output that are kept together for whoever comes later.
TAIL = 20_000


class _Job(Job):
    """A job that also hears of steps."""

    again = "reset, to begin again"

    def __init__(self, *words: Any, **named: Any) -> None:
        self.stepped: list[dict[str, Any]] = []
        self.pieces: list[tuple[str, bytes]] = []  # what the program wrote while a step was waited for
        self.interrupted = False
        super().__init__(*words, **named)

    def _take_in(self, message: dict[str, Any], fds: list[int]) -> None:
        if message["event"] == "stepped":
            self.stepped.append(message)
        else:
            super()._take_in(message, fds)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Have one step made. Raises what the launcher refused, and LauncherLost."""
        if self.done:
            raise WrongState("it has ended", cure="reset, to begin again")
        with suppress(BrokenPipeError):  # the launcher was killed: `poll` finds out what became of it
            protocol.send(self._wire, {**message, "name": self.name})
        while not self.stepped and not self.done:
            try:
                self.pieces += self.poll(1.0)
            except KeyboardInterrupt:  # a step is made or not: first hear which. Whoever insists ends it all
                if self.interrupted:
                    self.abandon()
                    raise
                self.interrupted = True
        if self.stepped:
            return self.stepped.pop()
        raise self.failure or LauncherLost("it ended before its program began", condition=self.result().reason, cure="reset")


class Stepper:
    """A container that is made step by step. Nothing waits for it, and nothing of it is left after `reset`.

    Args are those of `sandbox.run`. Use it in a `with`, or call `reset` at the end; what is forgotten ends with this process.
    """

    def __init__(self, image: str | Spec, command: Sequence[str] | str | None = None, **options: Any) -> None:
        self.home, self.spec, self._log = place(image, command, False, options)
        self._job: _Job | None = None
        self._lock = threading.RLock()  # a notebook's cell and its picture may both step
        self.followers: list[Callable[[], object]] = []  # called after each change
        self.stages: list[Stage] = []
        self.result: Result | None = None
        self._begin()

    def _begin(self) -> None:
        """Compile the plan anew: what it found on the machine may be different now."""
        self._message = {**request(self.spec, How(calls=True), self.home, foreground=True, log=self._log), "stepped": True}
        self.stages = order(Plan.from_json(self._message["plan"]))
        self._facts: Facts = {}
        self.result, self._kept = None, Kept()
        # How many bytes its program has written so far, and the last of them, both streams as they came.
        self.output = (0, b"")

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """The child, as the host sees it; 0 before it is born and after its end."""
        return next((stage.pid for stage in reversed(self.stages) if stage.pid), 0) if self._job and not self._job.done else 0

    @property
    def upcoming(self) -> Stage | None:
        """The step that is next."""
        return next((stage for stage in self.stages if stage.state in (PENDING, FAILED)), None)

    @property
    def held(self) -> list[str]:
        """What the ledger holds for it: the steps that will be undone."""
        entry = Ledger(self.home.ledger).entry(self.name)
        return [str(Step.from_json(data)) for data in entry["undo"]] if entry else []

    def stage(self, which: str | int) -> Stage:
        """A step by its name (the first of that name that is not done, else the first) or its number. Raises InvalidOption."""
        found = [stage for stage in self.stages if which in (stage.name, stage.number)]
        if not found:
            names = ", ".join(dict.fromkeys(stage.name for stage in self.stages))
            raise InvalidOption(
                f"the plan has no step {which!r}", cure=f"it has: {names}; or a number up to {len(self.stages)}"
            )
        return next((stage for stage in found if stage.state in (PENDING, FAILED)), found[0])

    def __str__(self) -> str:
        upcoming, lines, lane = self.upcoming, [], ""
        for stage in self.stages:
            if stage.lane != lane:
                lane = stage.lane
                lines.append({"outside": "outside: the launcher, on the host", "inside": "inside: the new process"}[lane])
            mark = "▸" if stage is upcoming and stage.state == PENDING else MARKS[stage.state]
            lines.append(f" {mark} {stage.number:2}  {stage.step}" + (f"  = {stage.result}" if stage.result else ""))
        lines.append(f"ledger: {', '.join(self.held) or 'empty'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        done = sum(stage.state == DONE for stage in self.stages)
        return f"<Stepper {self.name}: {done} of {len(self.stages)} steps done>"

    # --- what one can do ---------------------------------------------------------------------------------------------

    def next(self, count: int = 1) -> Stage:
        """Make the next step, or the next few; return the last of them. One that is refused has an `error`, and stays next.

        Raises WrongState: there is no step left, or it has ended.
        """
        stage = None
        for _ in range(count):
            stage = self.upcoming
            if stage is None:
                raise WrongState("all steps are made", cure="reset, to begin again")
            self._make(stage)
            if stage.error:
                break
        if stage is None:
            raise InvalidOption(f"{count} steps can't be made")
        return stage

    def to(self, which: str | int) -> Stage:
        """Make all steps before this one; it is returned, or the one that was refused on the way.

        Raises WrongState: it is done already.
        """
        goal = self.stage(which)
        goal.refuse_done()
        while (stage := self.upcoming) and stage in takewhile(lambda each: each is not goal, self.stages):
            self._refuse_old(goal)
            self._make(stage)
            if stage.error:
                return stage
        return goal

    def skip(self, which: str | int | None = None) -> Stage:
        """Leave a step out: the next one, or that of this name or number. See what breaks."""
        stage = self.upcoming if which is None else self.stage(which)
        if stage is None:
            raise WrongState("all steps are made", cure="reset, to begin again")
        with self._lock:
            self._may_change(stage)
            stage.state = SKIPPED
        self._tell()
        return stage

    def move(self, which: str | int, before: str | int) -> None:
        """Make a step at another time: just before that one, which must not be done yet."""
        stage, goal = self.stage(which), self.stage(before)
        with self._lock:
            self._may_change(stage)
            goal.refuse_done()
            if stage is not goal:
                self.stages.remove(stage)
                self.stages.insert(self.stages.index(goal), stage)
        self._tell()

    def run(self) -> Result:
        """Make the rest, and wait until the program ends. Raises the refusal of a step that is not made.

        What keeps it from waiting (Interrupt) leaves the program running, until `reset`.
        """
        last = self.stages[-1]
        while (stage := self.upcoming) is not None:
            self._refuse_old(last)
            self._make(stage)
            if stage.error:
                raise stage.error
        while self.result is None:
            self._refuse_old(last)
            self.poll(0.2)
        return self.result

    def poll(self, seconds: float = 0.0) -> list[tuple[str, bytes]]:
        """What its program wrote within that time, once it runs. When that has ended, `result` is there.

        Each piece comes to one who asks, and all of them into `output`. Who gives no time waits for nobody who has it.
        """
        if not self._lock.acquire(blocking=seconds > 0):
            return []
        try:
            if self._job is None or self.result:
                return []
            pieces, self._job.pieces = self._job.pieces, []
            pieces += self._job.poll(0.0 if pieces else seconds)
            for stream, data in pieces:
                self._kept.add(stream, data)
                self.output = (self.output[0] + len(data), (self.output[1] + data)[-TAIL:])
            if self._job.done and self.upcoming is None:
                self.result = self._job.result(*self._kept.streams())
        finally:
            self._lock.release()
        return pieces

    def kill(self) -> None:
        """End what there is of it, from whatever thread: a step that does not come back (stopped, frozen) is given up."""
        if (job := self._job) and not job.done:  # without the lock: whoever waits for that step has it
            with suppress(SandboxError):
                job.signal(SIGKILL)

    def reset(self) -> None:
        """Undo everything that was made so far, and begin again. The ledger is empty of it when this returns."""
        self.kill()
        with self._lock:
            if self._job:
                self._job.abandon()
                client.ask(self.home, {"do": "settle"})
                self._job = None
            self._begin()
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.reset()

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _may_change(self, stage: Stage) -> None:
        stage.refuse_done()
        if stage.name in ESSENTIAL:
            raise InvalidOption(f"without {stage.name} in its place there is nothing left to run", cure="choose another step")
        if "user" not in self.spec.namespaces:
            raise InvalidOption(
                "a step may be left out or moved only where the container has a user namespace of its own",
                condition="otherwise a half-made container has root's power over the host",
                cure="drop --userns host and --share user",
            )

    def _tell(self) -> None:
        for follower in self.followers:
            follower()

    def _refuse_old(self, stage: Stage) -> None:
        if stage not in self.stages:
            raise WrongState("it was reset meanwhile", cure="begin again")

    def _make(self, stage: Stage) -> None:
        """Make one step, and look at what it changed."""
        with self._lock:
            self._refuse_old(stage)
            if stage.state != DONE:  # somebody else was quicker
                self._ask(stage)
        self._tell()
        if self._job and self._job.interrupted:
            self._job.interrupted = False
            raise KeyboardInterrupt

    def _ask(self, stage: Stage) -> None:
        if self._job is None:
            self._job = _Job(self.home, self._message, self.spec)
            self._launcher = int(client.ask(self.home, {"do": "hello"})[0]["pid"])
            self._facts = self._look(0)
        reply = self._job.ask({"do": "step", "lane": stage.lane, "number": stage.place})
        pid = self.pid
        if row := reply["row"]:
            _, _, start, end, stage.result, calls = row
            stage.took, stage.calls = (end - start) / 1e9, tuple(Call(*call) for call in calls)
        if stage.name == "Clone" and "refused" not in reply:
            pid = int(stage.result.split()[1])
        stage.pid = pid
        stage.error = from_json(reply["refused"]) if "refused" in reply else None
        stage.state = FAILED if stage.error else DONE
        facts = self._look(pid)
        if pid and "program" not in facts:
            stage.changed = [Change("process", f"pid {pid}", "ended")]
        else:
            stage.changed, self._facts = observing.difference(self._facts, facts), facts

    def _look(self, pid: int) -> Facts:
        """What is true now: of the child, or before it is born of the launcher, of which it will be a copy."""
        entry = Ledger(self.home.ledger).entry(self.name)
        undo = entry["undo"] if entry else []
        facts = observing.observe(pid or self._launcher, observing.made(undo))
        return {**facts, "the launcher holds": observing.held(self._launcher), "ledger": tuple(data["step"] for data in undo)}
