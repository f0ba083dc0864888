"""LXC's commands, in LXC 5's own words: one table of them for all doors. The shell (`sandbox lxc-info`, a link named
`lxc-info`) and the magics (`%lxc_info`) call `main`; nowhere else is an option of theirs read.

A command is a module:

    PURPOSE = "show what is known of a container"    for --help, after the command's name
    USAGE = "--name=NAME"                            LXC's usage line, without the command's name
    NAMED = False          no container has to be named ("optional": it may be). Left out: it must, by -n or as the first word
    HOME = False           needs no home, and no container has to be named (lxc-unshare). Left out: it needs one
    COMMON = False         nor has it LXC's common options (lxc-config). Left out: it has them
    def arguments(parser): parser.add_argument("-i", "--ips", action="store_true", help="…")
    def run(asked, io):    does it; returns the exit code
    def more_help(asked):  text that is added to --help. May be left out

`asked` has the command's own options, and: `name`, `words` (all other words), `home` (where containers are: -P), `quiet`,
`rcfile`, `logfile`, `logpriority`, `command` ("lxc-info"). Modules are loaded when they are called: a shell waits for each.
"""

import importlib
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from ...errors import InvalidOption, NotFound, SandboxError
from ...immutable import immutable
from .parser import Parser

if TYPE_CHECKING:
    from ...job import Job

#: The folder that this package is imported from, for Pythons that are started.
SOURCE = os.path.abspath(f"{__path__[0]}/../../..")
#: Each command, and the module that does it.
COMMANDS = {
    "lxc-attach": "attach",
    "lxc-autostart": "autostart",
    "lxc-cgroup": "cgroup",
    "lxc-checkconfig": "checkconfig",
    "lxc-checkpoint": "checkpoint",
    "lxc-clone": "clone",
    "lxc-config": "config",
    "lxc-console": "console",
    "lxc-copy": "copy",
    "lxc-create": "create",
    "lxc-destroy": "destroy",
    "lxc-device": "device",
    "lxc-execute": "execute",
    "lxc-freeze": "freeze",
    "lxc-info": "info",
    "lxc-ls": "ls",
    "lxc-monitor": "monitor",
    "lxc-snapshot": "snapshot",
    "lxc-start": "start",
    "lxc-stop": "stop",
    "lxc-top": "top",
    "lxc-unfreeze": "unfreeze",
    "lxc-unshare": "unshare",
    "lxc-update-config": "update_config",
    "lxc-usernsexec": "usernsexec",
    "lxc-wait": "wait",
}


@immutable
class Terminal:
    """The place where a command runs: whether a person types there, and whether it is a notebook's cell.

    A cell has its own way to `show` what a job writes, or to open a terminal for one that has one; then the job may go on.
    """

    interactive: bool
    notebook: bool = False
    show: "Callable[[Job], None] | None" = None


def main(name: str, argv: Sequence[str], io: Terminal | None = None) -> int:
    """Do what the words of a command say; returns its exit code. Errors are told on stderr, in LXC's way."""
    asked = Namespace(command=name, name=None, quiet=False, logfile=None)
    try:
        asked = parse(name, argv)
        if asked.answer:
            print(asked.answer)
            return 0
        code: int = module(name).run(asked, io or Terminal(os.isatty(0) and os.isatty(1)))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read us went away. Python flushes once more at its end, and must not fail again. signal(3), SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except (SandboxError, OSError) as error:
        complain(asked, error)
        return 1
    except KeyboardInterrupt:
        return 128 + 2


def parse(name: str, argv: Sequence[str], last: str = "") -> Namespace:
    """The words of a command as they were meant; `answer` is the text that --help, --usage or --version ask for, or "".

    `last` is the container that is meant where none is named: a notebook knows the one that was last spoken of.

    Raises:
        InvalidOption: they can't be understood, or no container is named.
    """
    chosen = module(name)
    parser = Parser(name, chosen.USAGE, chosen.PURPOSE, common=getattr(chosen, "COMMON", True))
    chosen.arguments(parser)
    asked = parser.read(argv)
    asked.command = name
    if asked.answer and hasattr(chosen, "more_help"):
        asked.answer += chosen.more_help(asked)
    if asked.answer or not parser.common or not getattr(chosen, "HOME", True):
        return asked
    named = getattr(chosen, "NAMED", True)
    if asked.name is None and named and asked.words:
        asked.name = asked.words.pop(0)
    if not asked.name and named is True:
        if not last or asked.name is not None:  # `-n "$NAME"`, of a script whose NAME is empty, means nobody
            raise InvalidOption("No container name specified", cure=f"{name} -n NAME")
        asked.name = last
    from ... import home

    asked.home = home.at(asked.lxcpath) if asked.lxcpath else home.home()
    return asked


def module(name: str) -> ModuleType:
    """The module of a command. Raises NotFound."""
    if name not in COMMANDS:
        raise NotFound(f"there is no command {name!r}", cure="`sandbox --help` lists them")
    return importlib.import_module(f".{COMMANDS[name]}", __name__)


def complain(asked: Namespace, error: Exception | str, level: str = "ERROR") -> None:
    """Say what went wrong, on stderr (unless -q), and in the file that -o names. For commands that go on after it, too."""
    text = str(error)
    if isinstance(error, SandboxError):
        why = "; ".join(part for part in (error.condition, error.cure) if part)
        text = error.message + (f" ({why})" if why else "")
    elif isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{os.fsdecode(error.filename)!r}: {error.strerror}"
    if not asked.quiet:
        name = f"{asked.name if asked.name.isprintable() else repr(asked.name)}: " if asked.name else ""
        print(f"{asked.command}: {name}{text}", file=sys.stderr)
    if asked.logfile:
        now = time.strftime("%Y%m%d%H%M%S.000", time.gmtime())
        with open(asked.logfile, "a") as log:
            log.write(f"{asked.command} {asked.name or ''} {now} {level:8} {text}\n")
