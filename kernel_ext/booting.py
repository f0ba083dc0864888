"""`%lxc_start`: the container starts in the background, and the cell shows how it boots until somebody could log in."""

import re
import shlex
import time
from argparse import Namespace

import sandbox

from .card import Card
from .container_magic import Session
from .interrupt import Interrupt
from .lxc_magics import finish, parse, run, split
from .running import ending
from .streaming import OUTPUT_LIMIT, Printer
from .untrusted import TerminalDecoder

#: What getty(8) shows, at the end of all that is shown.
LOGIN = re.compile(r"login: ?\Z")
#: Seconds after which the cell no longer waits: when nothing was shown for so long, and altogether.
SILENCE, LIMIT = 20.0, 60.0


def start(session: Session, command: str, line: str) -> None:
    """LXC's lxc-start; with -d it returns at once."""
    asked = parse(session, command, split(line))
    if asked is None:
        return
    container = sandbox.Container(asked.name, asked.home)
    watched = asked.foreground is not False and container.entry is None
    asked.foreground = False
    began = time.time()
    finish(session, asked, lambda: run(session, asked))
    if watched:
        _watch(container, began, to_log_in(asked))


def to_log_in(asked: Namespace) -> str:
    """The line that opens its console."""
    elsewhere = ["-P", asked.lxcpath] if asked.lxcpath else []
    return shlex.join(["%lxc_console", "-n", asked.name, *elsewhere])


def _watch(container: sandbox.Container, began: float, log_in: str) -> None:
    """Show what its console shows, from `began` (seconds since the epoch) on, and say how one gets in."""
    name, plain, last = container.name, sandbox.console.Plain(), ""
    printer = Printer(OUTPUT_LIMIT, f"all of it: %container_logs {name}", TerminalDecoder)
    heard = start = time.monotonic()
    card = None
    with Interrupt() as interrupt:
        for piece in container.follow():
            now = time.monotonic()
            if piece and piece[0] >= began:
                printer.feed("stdout", piece[2])
                last, heard = (last + plain(piece[2]))[-200:], now
            printer.show()
            if piece is None and LOGIN.search(last):
                break
            if interrupt.noted:
                card = Card(f"no longer watched: {name} goes on", cure=log_in)
                break
            if now - start > LIMIT or now - heard > SILENCE:
                why = f"the last it showed is {now - heard:.0f} s old" if heard > start else "it showed nothing so far"
                card = Card(f"no login: after {now - start:.0f} s; {name} goes on", why, log_in, "warning")
                break
        else:
            card = Card(f"{name} stopped: {ending(container.wait())}", cure=f"%container_logs {name}", kind="warning")
        printer.finish(stop=lambda: interrupt.noted)
    if card:
        card.show()
    else:
        print(f"\n\nTo log in: {log_in}")
