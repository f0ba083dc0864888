"""`%lxc_console`: a terminal in the notebook, a dialogue line by line, or one by a script."""

import shlex
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import sandbox
from sandbox import InvalidOption

from .container_magic import Session
from .lxc_magics import finish, parse, run, split
from .parser import Parser
from .streaming import OUTPUT_LIMIT, Printer
from .views import need_widgets, view_of

if TYPE_CHECKING:
    from .pump import Pump, View

#: Of a console's history, the bytes that are shown when it is opened.
HISTORY = 1 << 15


def console(session: Session, command: str, line: str, cell: str = "") -> None:
    """LXC's lxc-console in a cell, which returns at once; as a cell magic, the text below is a dialogue."""
    ours = _own_options()
    own, words = ours.parse_known_args(split(line))
    asked = parse(session, command, ["--help"] if own.help else words)
    if asked is None:
        print(ours.format_help())
        return
    if cell and own.script:
        raise InvalidOption(
            f"--script {own.script}: there are two dialogues", cure="leave out the variable, or the cell's text"
        )
    if cell or own.script is not None:
        turns = cell or _turns(session, own.script)
        finish(session, asked, lambda: _play(asked, turns, own.timeout))
    elif session.in_notebook:
        finish(session, asked, lambda: _open(session, asked, words, own.dialogue))
    elif own.dialogue:
        raise InvalidOption("--dialogue needs a notebook's page", cure="--script, or at a terminal %lxc_console alone")
    else:
        finish(session, asked, lambda: run(session, asked))


def _own_options() -> Parser:
    """What a cell has beyond LXC's options."""
    parser = Parser("In a cell:")
    parser.usage = "%%lxc_console -n NAME [options]"
    parser.add_argument("--dialogue", action="store_true", help="line by line, without a terminal")
    what = "hold the dialogue that is in a variable, or in the cell's text, and wait for its end"
    parser.add_argument("--script", metavar="VAR", nargs="?", const="", help=what)
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help="how long each answer may take (30)")
    return parser


def _turns(session: Session, name: str) -> "str | list[sandbox.console.Turn]":
    """The dialogue that a variable holds: a text, or a list of pairs."""
    value: Any = session.variable(name) if name else None
    pairs = isinstance(value, list) and all(isinstance(turn, tuple) and len(turn) == 2 for turn in value)
    if pairs or isinstance(value, str):
        return value  # type: ignore[no-any-return]
    raise InvalidOption(
        f"--script: {name} is no dialogue" if name else "--script: there is no dialogue",
        condition=f"it is of type {type(value).__name__}" if name else "",
        cure='a text, or a list of pairs: [("login:", "root"), …]; or %%lxc_console --script, and the text below it',
    )


def _play(asked: Namespace, turns: "str | list[sandbox.console.Turn]", timeout: float) -> int:
    """Hold a dialogue, and show it as it happens."""
    printer = Printer(OUTPUT_LIMIT, "print less in the dialogue")

    def shown(text: str) -> None:
        printer.feed("stdout", text.encode())
        printer.show()

    try:
        with sandbox.Console(sandbox.Container(asked.name, asked.home), asked.tty, shown=shown) as opened:
            opened.play(turns, timeout)
    finally:
        printer.finish()
    return 0


def _open(session: Session, asked: Namespace, words: list[str], dialogue: bool) -> int:
    """Open a console that stays when the cell has ended."""
    name = [] if asked.name in words else ["-n", asked.name]
    elsewhere = shlex.join(["sandbox", asked.command, *words, *name])
    need_widgets(elsewhere)
    container = sandbox.Container(asked.name, asked.home)
    known = sandbox.lxc.commands.module(asked.command)
    letter = known.prefix(asked.escape)
    # What was opened for the same terminal before is left: a cell that is run again takes its console over.
    place = (container.home.containers, container.name, str(asked.tty) if asked.tty >= 0 else session.cell)
    if earlier := session.consoles.pop(place, None):
        earlier.pump.leave()
        earlier.pump.join()
    first = container.attach(asked.tty)
    shown = sandbox.console.opened(first)

    def begin(view: "View", job: sandbox.Job = first, shown: bytes = shown) -> "Pump":
        from .pump import Pump

        if job.tty == 0:  # the history of the console, which ends with what came just now
            shown = b"".join(data for _, _, data in container.logs())[-HISTORY:]
        return Pump(job, view, first=shown, keys=known.Escape(letter))

    def again(view: "View") -> "Pump":
        job = container.attach(first.tty)
        return begin(view, job, sandbox.console.opened(job))

    title = f"{asked.name}: " + (f"tty{first.tty}" if first.tty else "console")
    hint = f"Nothing to see? Enter shows the prompt. The same in a terminal: `{elsewhere}`"
    session.consoles[place] = view_of(begin, title, hint, again, f"Ctrl-{letter} q", dialogue)
    return 0
