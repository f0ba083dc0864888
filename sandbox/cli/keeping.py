"""Commands on containers that there are: stop, kill, rm, freeze, unfreeze, wait."""

import argparse

from ..errors import InvalidOption
from .words import NAMES, arg, command, each, flag


@command(
    "end containers: ask first, kill them after a while",
    arg("-t", "--time", type=float, default=10.0, metavar="SECONDS", help="how long to wait (default 10)"), NAMES,
)  # fmt: skip
def do_stop(args: argparse.Namespace) -> int:
    return each(args.names, lambda found: found.stop(args.time))


@command(
    "send a signal to containers",
    arg("-s", "--signal", default="KILL", metavar="SIGNAL", help="KILL (default), TERM, 15 …"), NAMES,
)  # fmt: skip
def do_kill(args: argparse.Namespace) -> int:
    import signal

    word = args.signal.upper().removeprefix("SIG")
    known = {member.name.removeprefix("SIG"): int(member) for member in signal.Signals}
    number = int(word) if word.isdecimal() else known.get(word, 0)
    if number not in signal.valid_signals():
        raise InvalidOption(f"{args.signal!r} is no signal", cure="kill -l lists them")
    return each(args.names, lambda found: found.kill() if number == signal.SIGKILL else found.signal(number))


@command("remove containers, with all that they wrote", flag("-f", "--force", help="end it first, if it runs"), NAMES)
def do_rm(args: argparse.Namespace) -> int:
    return each(args.names, lambda found: found.destroy(force=args.force))


@command("let no process of a container go on (also: pause)", NAMES)
def do_freeze(args: argparse.Namespace) -> int:
    return each(args.names, lambda found: found.freeze())


@command("let a frozen container go on (also: unpause)", NAMES)
def do_unfreeze(args: argparse.Namespace) -> int:
    return each(args.names, lambda found: found.unfreeze())


@command(
    "turn the limits of containers, while they run and for their next start", NAMES,
    options=lambda all: {"memory", "swap", "cpus", "cpu_weight", "cpuset", "pids"},
)  # fmt: skip
def do_update(args: argparse.Namespace) -> int:
    from .. import options

    limits = options.given(args)
    return each(args.names, lambda found: found.update(**limits))


@command("wait until containers end, and print their exit codes", NAMES)
def do_wait(args: argparse.Namespace) -> int:
    from ..container import Container

    for name in args.names:
        print(Container(name).wait().exit_code, flush=True)
    return 0
