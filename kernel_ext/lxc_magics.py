"""LXC's commands as line magics: `%lxc_info` is lxc-info, with its options. These are read where the commands are, not here.

What a cell has beyond LXC: without a name, the last container of the notebook is meant; {name} and $name are Python variables;
errors are cards; and where LXC needs a keyboard (console, attach, a start that shows how it boots), a cell has its own way.
"""

import functools
import shlex
from argparse import Namespace
from collections.abc import Callable

import sandbox
from sandbox import InvalidOption, SandboxError

from .card import Card
from .container_magic import Session
from .interrupt import Interrupt
from .parser import Parser
from .running import Interrupted, stream
from .streaming import OUTPUT_LIMIT, Printer
from .untrusted import Decoder, TerminalDecoder

#: Commands that must be told which container: they make one, or take one away.
NO_DEFAULT = ("lxc-create", "lxc-destroy", "lxc-copy", "lxc-clone", "lxc-execute")
#: Commands that go on until Interrupt: it is their end, and no failure.
ENDLESS = ("lxc-monitor", "lxc-top")


def lxc(session: Session, command: str, line: str) -> None:
    """Do what a command of LXC does."""
    words = split(line)
    if asked := parse(session, command, words):
        finish(session, asked, lambda: run(session, asked, shlex.join(["sandbox", command, *words])))


def run(session: Session, asked: Namespace, elsewhere: str = "") -> int:
    """What the command itself does; returns its exit code. `elsewhere` is the same command for a terminal."""
    show = functools.partial(_show, asked, elsewhere) if session.in_notebook else None
    here = sandbox.lxc.commands.Terminal(not session.in_notebook, session.in_notebook, show)
    code: int = sandbox.lxc.commands.module(asked.command).run(asked, here)
    return code


def _show(asked: Namespace, elsewhere: str, job: "sandbox.Job") -> None:
    """What a command's job writes, until it ends; or a terminal for it, with which it goes on."""
    if job.terminal:
        from .views import open_terminal

        return open_terminal(job, f"{asked.name}: {asked.command}", elsewhere)
    _, interrupted = stream(lambda: job, OUTPUT_LIMIT, lambda job: "run it with less output, or into a file", sandbox.Kept(0))
    if interrupted:
        raise Interrupted(interrupted)


def split(line: str) -> list[str]:
    """The words of a line, as a shell cuts them. Raises InvalidOption."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidOption(f"{str(error).lower()} in {line!r}") from None


def parse(session: Session, command: str, words: list[str]) -> Namespace | None:
    """What a command's words mean; None if they only ask for help, which is printed."""
    asked = sandbox.lxc.commands.parse(command, words, "" if command in NO_DEFAULT else session.last)
    if asked.answer:
        print(asked.answer)
        return None
    return asked


def finish(session: Session, asked: Namespace, do: Callable[[], int]) -> None:
    """Do it; say with which exit code it ended, if that was not 0; and remember the container that was spoken of."""
    try:
        code = do()
    except KeyboardInterrupt:
        if asked.command in ENDLESS:
            return
        raise Interrupted(f"interrupted: {asked.command}") from None
    except SandboxError:
        raise
    except OSError as error:
        raise SandboxError(f"{asked.command}: {error}") from None
    if code:
        Card(f"exit code {code}", kind="warning").show()
    elif getattr(sandbox.lxc.commands.module(asked.command), "NAMED", True) is True and "name" in asked:
        session.last = "" if asked.command == "lxc-destroy" else asked.name


def container_logs(session: Session, line: str) -> None:
    """Show what a container wrote: %container_logs [NAME] [--output-limit SIZE]. Without NAME: the last one."""
    parser = Parser("%container_logs", "What a container wrote, running or ended; the beginning and the end of it.")
    parser.add_argument("--output-limit", dest="limit", metavar="SIZE", help="how much the cell shows (default 1m)")
    found, words = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    if len(words) > 1:
        parser.error(f"one name, please, and not {len(words)}: {' '.join(words)}")
    name = words[0] if words else session.last
    if not name:
        raise InvalidOption(f"{parser.prog}: of which container?", cure="no cell of this notebook made one yet: give its name")
    container = sandbox.Container(name)
    limit = OUTPUT_LIMIT if found.limit is None else sandbox.values.size(found.limit)
    decoder = TerminalDecoder if container.on_shelf and container.spec.process.terminal else Decoder
    printer = Printer(limit, f"more of it: %container_logs {name} --output-limit 16m", decoder)
    with Interrupt() as interrupt:
        for _, stream, data in container.logs():
            printer.feed(stream, data)
            printer.show()
            if interrupt.noted:
                break
        printer.finish(stop=lambda: interrupt.noted)
