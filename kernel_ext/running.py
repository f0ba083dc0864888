"""A job in a cell: what it writes is shown as it comes, and Interrupt ends it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox import SandboxError

from .card import Card
from .interrupt import Interrupt
from .streaming import Printer

if TYPE_CHECKING:
    import sandbox

#: Seconds that the main thread waits for output before it looks around. An Interrupt is seen this much later at most.
PATIENCE = 0.05


class Interrupted(SandboxError):
    """Interrupt was pressed; what ran is gone."""


def stream(start: "Callable[[], sandbox.Job]", limit: int, rest: "Callable[[sandbox.Job], str]", kept: "sandbox.Kept"
           ) -> tuple["sandbox.Job", str]:  # fmt: skip
    """Start a job and show what it writes until it ends; an Interrupt kills it. Returns it, and what there is to say of that.

    `rest` says where what the cell does not show can be read.
    """
    with Interrupt() as interrupt:
        job = start()
        printer = Printer(limit, rest(job))
        try:
            while not job.done and not interrupt.noted:
                for name, data in job.poll(PATIENCE):
                    printer.feed(name, data)
                    kept.add(name, data)
                printer.show()
            killed = not job.done
        finally:
            job.abandon()
        printer.finish(stop=lambda: interrupt.noted)
    said = f"interrupted: {job.name} was killed" if killed else "interrupted: it had ended, but not all is shown"
    return job, said if interrupt.noted else ""


def ending(result: "sandbox.Result") -> str:
    """How it ended, in a sentence."""
    return f"exit code {result.exit_code}" + (f": {result.reason}" if result.reason else "")


def show_ending(result: "sandbox.Result") -> None:
    """A card, where there is something to say."""
    if result.exit_code:
        Card(ending(result), kind="warning").show()
