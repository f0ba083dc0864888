"""`%%container`: the cell is a script, and it runs in a container. Synchronous, so that Interrupt always works.

An asynchronous cell can't be interrupted (ipykernel#881); here the main thread polls the job, prints what comes, and looks
whether somebody pressed Interrupt.
"""

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from IPython.display import display

import sandbox
from sandbox import InvalidOption, SandboxError

from .card import Card
from .running import Interrupted, ending, show_ending, stream
from .untrusted import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from .arguments import Asked
    from .pump import View


class Failed(SandboxError):
    """The script of a cell with --check ended with another exit code than 0."""


@dataclass
class Session:
    """What the magics of one kernel know: the shell, the last container and run, and the warnings that were shown."""

    shell: "InteractiveShell"
    last: str = ""
    #: What the last run did.
    trace: "sandbox.Trace | None" = None
    warned: set[str] = field(default_factory=set)
    #: Consoles that are open in this notebook, by what they are taken for.
    consoles: "dict[tuple[str, ...], View]" = field(default_factory=dict)
    #: Step debuggers, by the cell that began them.
    steppers: "dict[str, sandbox.Stepper]" = field(default_factory=dict)

    @property
    def in_notebook(self) -> bool:
        """Whether this is a kernel; otherwise it is IPython in a terminal."""
        return getattr(self.shell, "kernel", None) is not None

    @property
    def cell(self) -> str:
        """The identity of the cell that runs, where the front end tells it."""
        parent: dict[str, Any] = self.shell.get_parent() if self.in_notebook else {}  # type: ignore[attr-defined]
        return str(parent.get("metadata", {}).get("cellId", ""))

    def variable(self, name: str) -> Any:
        """A variable of the user. Raises InvalidOption, with the one that was meant."""
        names = self.shell.user_ns
        if name not in names:
            alike = difflib.get_close_matches(name, [known for known in names if not known.startswith("_")], 1)
            raise InvalidOption(
                f"there is no variable {name!r}", cure=f"did you mean {alike[0]}?" if alike else "set it first"
            )
        return names[name]

    def container(self, line: str, cell: str) -> object:
        """Run the cell's text as a script in a container. `%%container --help` lists the options.

        %%container busybox --memory 64m --hostname box
        hostname; id; ps; ls /
        """
        from . import arguments

        asked = arguments.parse(line)
        if asked.help:
            print(arguments.help_text())
            return None
        if not cell.strip():
            raise InvalidOption("the cell has no script", cure="write the commands below the line with %%container")
        if asked.step:
            return self._step(asked, cell)
        if asked.detach and not asked.plan:
            return self._launch(asked, cell)
        if asked.plan:
            self._plan(asked, cell)
        else:
            self._run(asked, cell)
        return None

    def _plan(self, asked: "Asked", script: str) -> None:
        plan = sandbox.plan(sandbox.spec_for(asked.image, script, **asked.options), without=asked.without)
        print(visible(str(plan)))
        self._keep(asked, plan)

    def _step(self, asked: "Asked", script: str) -> object:
        """The step debugger. The one of an earlier run of the same cell is undone."""
        # Who runs notebooks without a page (nbclient) tells no cell: then it is known by what it asks for.
        cell = self.cell or asked.options.get("name") or f"{asked.image} {asked.options}\n{script}"
        if earlier := self.steppers.pop(cell, None):
            earlier.reset()
        self.steppers[cell] = stepper = sandbox.Stepper(asked.image, script, **asked.options)
        self._keep(asked, stepper)
        return stepper

    def _launch(self, asked: "Asked", script: str) -> object:
        container, trace = sandbox.launch(
            asked.image, script, without=asked.without, calls=asked.calls, keep=asked.keep, **asked.options
        )
        self.last = container.name
        self._show_trace(asked, trace)
        self._keep(asked, container)
        return None if asked.out else container

    def _run(self, asked: "Asked", script: str) -> None:
        kept = sandbox.Kept() if asked.out else sandbox.Kept(0)
        job, interrupted = stream(lambda: self._start(asked, script), asked.limit, _where_the_rest_is(asked), kept)
        self._show_trace(asked, job.trace)
        if interrupted:
            raise Interrupted(interrupted)
        result = job.result(*kept.streams())
        self._keep(asked, result)
        for warning in result.warnings:
            if warning not in self.warned:
                self.warned.add(warning)
                Card(warning, kind="warning").show()
        if asked.check and result.exit_code:
            raise Failed(ending(result))
        show_ending(result)

    def _start(self, asked: "Asked", script: str) -> "sandbox.Job":
        stdin = None if asked.stdin is None else self._bytes(asked.stdin)
        calls = asked.calls
        if asked.inside is not None:
            job = sandbox.Container.get(asked.inside).spawn(script, stdin=stdin, calls=calls, **asked.options)
            self.last = asked.inside
        else:
            job = sandbox.spawn(
                asked.image, script, stdin=stdin, calls=calls, without=asked.without, keep=asked.keep, **asked.options
            )
            self.last = job.name
        return job

    def _bytes(self, name: str) -> bytes:
        value = self.variable(name)
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise InvalidOption(f"--stdin: {name} is of type {type(value).__name__}", cure="give text or bytes")

    def _keep(self, asked: "Asked", value: object) -> None:
        if asked.out is not None:
            self.shell.user_ns[asked.out] = value

    def _show_trace(self, asked: "Asked", trace: "sandbox.Trace") -> None:
        self.trace = trace
        if asked.timeline:
            display(sandbox.timeline(trace, labels=("this run",)))  # type: ignore[no-untyped-call]
        elif asked.trace or asked.calls:
            print(visible(str(trace)))


def _where_the_rest_is(asked: "Asked") -> "Callable[[sandbox.Job], str]":
    if asked.inside is not None:
        return lambda job: "what --in prints goes to no log: use --output-limit 10m to see more, or --out VAR"
    return lambda job: f"all of it, or the last 8 MiB at least: %container_logs {job.name} --output-limit 16m"
