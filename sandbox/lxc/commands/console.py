"""lxc-console(1)."""

import argparse
import os
import sys

from ... import terminal
from ...container import Container
from ...errors import InvalidOption, NotPossibleHere
from . import Terminal

PURPOSE = "logs on the container with the identifier NAME"
USAGE = "--name=NAME [--tty NUMBER]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-t and -e."""
    parser.add_argument("-t", "--tty", metavar="NUMBER", type=int, default=-1, help="console tty number; 0 is the console")
    parser.add_argument("-e", "--escape", metavar="PREFIX", default="^a", help="prefix for escape command")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Be the terminal of it, until the escape keys or its end."""
    keys = Escape(prefix(asked.escape))
    if io.notebook:
        raise NotPossibleHere("a cell is no terminal", cure="%lxc_console in a cell has a terminal of its own")
    if not os.isatty(0):
        raise NotPossibleHere(
            "Failed to add stdin handler", condition="standard input is no terminal",
            cure="for a dialogue by a program: sandbox.Console in Python, expect(1), or script(1)",
        )  # fmt: skip
    job = Container(asked.name, asked.home).attach(asked.tty)
    while job.console < 0 and not job.done:
        job.poll(0.2)
    if job.done:
        job.result()  # raises: it has no such terminal, or somebody has it
        return 1
    print(greeting(job.tty, keys), end="", file=sys.stderr, flush=True)
    terminal.carry(job, stdin=True, keys=keys, ours=False)
    return 0


def greeting(tty: int, keys: "Escape") -> str:
    """What LXC says first."""
    key = f"Ctrl+{keys.letter}"
    return f"\nConnected to tty {tty}\nType <{key} q> to exit the console, <{key} {key}> to enter {key} itself\n"


def prefix(text: str) -> str:
    """The letter of "^a", "a" or "^A". Raises InvalidOption."""
    letter = text.removeprefix("^").lower()
    if len(letter) != 1 or not "a" <= letter <= "z":
        raise InvalidOption(f"invalid escape character specification {text!r}", cure="write '^LETTER', or just 'LETTER'")
    return letter


class Escape(terminal.DetachKeys):
    """Ctrl and a letter, then q, leave the terminal; that letter twice is itself, once; before any other it is just a key."""

    def __init__(self, letter: str) -> None:
        super().__init__(bytes([ord(letter) & 0x1F]))
        self.letter = letter
        self._pending = False

    def feed(self, typed: bytes) -> bytes:
        """What is to be handed on of this."""
        out = b""
        for byte in (bytes([number]) for number in typed):
            if self.pressed:
                break
            if self._pending:
                self._pending = False
                self.pressed = byte == b"q"
                out += b"" if self.pressed else byte if byte == self.keys else self.keys + byte
            elif byte == self.keys:
                self._pending = True
            else:
                out += byte
        return out
