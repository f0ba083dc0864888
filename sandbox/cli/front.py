"""`sandbox …`: the shell's door to the nouns, in Docker's words. Each command is a few lines; what it needs is imported there.
LXC's words are another door: `sandbox lxc-info …`.

    sandbox run -it busybox         a shell in a new container; ^P ^Q leaves it running, `sandbox attach` comes back
    sandbox run --plan host         how one would be made; nothing is run

Exit codes are those of `docker run`: the program's own (128 + signal if it was killed), 127 if there is no such program in the
container, 126 if it can't be run, 125 if we failed. What went wrong is one message on standard error.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import InvalidOption, SandboxError
from . import keeping, linking, networking, running, telling
from .words import COMMANDS, OURS, Command, complain, note

ALIASES = {"pause": "freeze", "unpause": "unfreeze"}
#: Commands whose exit code is a program's: there, ours must be told apart from it. Others fail with 1.
OF_A_PROGRAM = ("run", "exec", "start", "attach", "chroot")


class Parser(argparse.ArgumentParser):
    """Says what is wrong as all of us do."""

    def error(self, message: str) -> NoReturn:
        raise InvalidOption(message, cure=f"{self.prog} --help")


def main(words: Sequence[str]) -> int:
    """Do what the words say; returns the exit code."""
    name = ALIASES.get(words[0], words[0]) if words else "--help"
    try:
        code = _do(name, words[1:])
        sys.stdout.flush()
        return code
    except SandboxError as error:
        code = complain(error)
        return code if name in OF_A_PROGRAM else 1
    except BrokenPipeError:
        # Whoever read us went away. Python flushes once more at its end, and must not fail again. signal(3), SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except OSError as error:
        note(str(error))
        return OURS
    except KeyboardInterrupt:
        return 128 + 2


def _do(name: str, words: Sequence[str]) -> int:
    if name in ("-h", "--help", "help"):
        print(overview())
    elif name in ("-v", "--version", "version"):
        from .. import __version__

        print(f"sandbox {__version__}")
    elif name not in COMMANDS:
        raise InvalidOption(f"there is no command {name!r}", cure="sandbox --help")
    else:
        chosen = COMMANDS[name]
        made = parser(name, chosen)
        # A list that may be empty is taken for empty at the first option before it, unless both are read apart. argparse
        apart = any(settings.get("nargs") == "*" for _, settings in chosen.arguments)
        return chosen.do((made.parse_intermixed_args if apart else made.parse_args)(words))
    return 0


def parser(name: str, chosen: Command) -> Parser:
    """The parser of one command."""
    made = Parser(prog=f"sandbox {name}", description=chosen.help, allow_abbrev=False)
    for names, settings in chosen.arguments:
        made.add_argument(*names, **settings)
    if chosen.options:
        from ..options import BY_NAME, add_arguments

        add_arguments(made, chosen.options(set(BY_NAME)))
    return made


def overview() -> str:
    """What there is."""
    lines = [(__doc__ or "").split("\n\nExit codes")[0]]
    for module in (running, keeping, networking, telling, linking):
        lines.append(f"\n{(module.__doc__ or '').partition(':')[0]} (sandbox COMMAND --help tells more):")
        own = {name: chosen for name, chosen in COMMANDS.items() if chosen.do.__module__ == module.__name__}
        lines += [f"    {name:10} {chosen.help}" for name, chosen in own.items()]
    return "\n".join(lines)
