"""Commands that run something: run, exec, create, start, attach."""

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption, plain
from .words import NAME, NAMES, OURS, arg, command, each, flag, get, note

if TYPE_CHECKING:
    from ..job import Job

IMAGE = arg("image", metavar="IMAGE", help="`sandbox images` lists them")
# REMAINDER: from the first word after IMAGE on, all is the program's, options too.
COMMAND = arg("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what runs, with its arguments")
INTERACTIVE = flag("-i", "--interactive", help="hand on what we read on standard input")
DETACH_KEYS = arg("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", help="what to type to leave it running")
TRACE = flag("--trace", help="at the end, print the steps with their times")
CALLS = flag("--calls", help="the same, with each system call")


@command(
    "run a command in a new container",
    INTERACTIVE, DETACH_KEYS, TRACE, CALLS,
    flag("--rm", help="remove its files when it ends: as it is anyway, without --keep"),
    flag("--plan", help="print the plan, and run nothing"),
    flag("--json", help="the plan as JSON"),
    arg("--without", action="append", default=[], metavar="STEP", help="leave out a step, and see what breaks"),
    IMAGE, COMMAND,
    options=lambda all: all,
)  # fmt: skip
def do_run(args: argparse.Namespace) -> int:
    from .. import starting
    from ..container import launch

    options = _given(args)
    if args.rm and options.get("keep"):
        raise InvalidOption("--rm and --keep contradict each other", cure="leave out one")
    if args.plan:
        made = starting.plan(starting.spec_for(args.image, _words(args), **options), without=args.without)
        print(json.dumps(made.to_json(), indent=2) if args.json else made)
        return 0
    options |= {"without": args.without, "calls": args.calls}
    if options.pop("detach", False):
        begun, _ = launch(args.image, _words(args), **options)
        print(begun.name)
        return 0
    _check_terminal(args)
    return _follow(starting.spawn(args.image, _words(args), interactive=args.interactive, **options), args)


@command(
    "run another command in a running container",
    INTERACTIVE, DETACH_KEYS, TRACE, CALLS, NAME, COMMAND,
    options=lambda all: {"env", "workdir", "user", "timeout", "tty", "interpreter"},
)  # fmt: skip
def do_exec(args: argparse.Namespace) -> int:
    options = _given(args)
    del options["name"]  # the container's; `exec` gives no new one
    if not args.command:
        raise InvalidOption("there is no command to run", cure=f"sandbox exec -it {args.name} /bin/sh")
    found = get(args.name)
    _check_terminal(args)
    return _follow(found.spawn(_words(args) or (), interactive=args.interactive, calls=args.calls, **options), args)


@command("make a container, and start it later", IMAGE, COMMAND, options=lambda all: all - {"detach", "keep"})
def do_create(args: argparse.Namespace) -> int:
    from ..container import Container

    print(Container.create(image=args.image, command=_words(args), **_given(args)).name)
    return 0


@command(
    "start containers that were created, or that have ended",
    flag("-a", "--attach", help="show its output, or be its terminal, until it ends"), DETACH_KEYS, NAMES,
)  # fmt: skip
def do_start(args: argparse.Namespace) -> int:
    if not args.attach:
        return each(args.names, lambda found: found.start())
    if len(args.names) > 1:
        raise InvalidOption("-a takes one container", cure="start the others without it")
    from .telling import follow_log

    found, now = get(args.names[0]), time.time()
    found.start()
    if found.spec.process.terminal:
        return _follow(found.attach(), args, ours=False)
    return follow_log(found, now)


@command("be the terminal of a running container", DETACH_KEYS, NAME)
def do_attach(args: argparse.Namespace) -> int:
    return _follow(get(args.name).attach(), args, ours=False)


@command(
    "run a command in a container's root, and nothing more of a container: a chroot. It must not run",
    flag("--plan", help="print the plan, and run nothing"), TRACE,
    arg("name", metavar="NAME", help="the container, or the path of its rootfs"), COMMAND,
)  # fmt: skip
def do_chroot(args: argparse.Namespace) -> int:
    from ..lxc import chroot

    found, words, terminal = chroot.find(args.name), args.command or ["/bin/sh"], os.isatty(0) and os.isatty(1)
    if args.plan:
        print(chroot.compiled(found, words, terminal))
        return 0
    job = chroot.spawn(found, words, terminal=terminal)
    return _follow(job, argparse.Namespace(**vars(args), interactive=True, detach_keys="", calls=False))


def _given(args: argparse.Namespace) -> dict[str, Any]:
    from .. import options

    return options.given(args)


def _words(args: argparse.Namespace) -> list[str] | str | None:
    """The command: none is the image's own; for an interpreter, one word is the text of the script."""
    if len(args.command) == 1 and "interpreter" in args:
        return str(args.command[0])
    return args.command or None


def _check_terminal(args: argparse.Namespace) -> None:
    if "tty" in args and args.interactive and not os.isatty(0):
        raise InvalidOption("-it: our standard input is no terminal", cure="leave out -t")


def _follow(job: "Job", args: argparse.Namespace, ours: bool = True) -> int:
    """Be its streams and its terminal until it ends; returns its exit code."""
    from .. import terminal

    keys = terminal.detach_keys(args.detach_keys)
    if not terminal.carry(job, stdin=not ours or args.interactive, keys=keys, ours=ours):
        note("it goes on" if "command" in args and "image" not in args else f"to come back: sandbox attach {job.name}")
        return 0
    if ours and (args.trace or args.calls):
        print(plain(str(job.trace)), file=sys.stderr)
    result = job.result()
    for text in (*result.warnings, result.reason):
        if text:
            note(text)
    return result.exit_code if result.exit_code >= 0 else OURS
