"""Commands that tell: ps, info, logs, images, namespaces, doctor, ledger."""

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..columns import columns
from ..errors import NotPossibleHere, plain
from .words import JSON, NAME, OURS, arg, command, flag

if TYPE_CHECKING:
    from ..container import Container
    from ..listing import Info

Piece = tuple[float, str, bytes]


@command(
    "list containers",
    flag("-a", "--all", help="those that do not run, too: on the shelf, and the last 20 that ended"),
    flag("-q", "--quiet", help="names only"),
    arg("--format", choices=("table", "json"), default="table", help="json: one object a line"), JSON,
)  # fmt: skip
def do_ps(args: argparse.Namespace) -> int:
    from ..listing import containers, finished

    shown = containers(args.all)
    there = {info.name for info in shown}
    shown += [info for info in finished() if info.name not in there] if args.all else []
    if args.quiet or args.json or args.format == "json":
        for info in shown:
            print(info.name if args.quiet else json.dumps(asdict(info)))
    else:
        print(columns([("NAME", "STATE", "IMAGE", "PID", "CPU", "MEMORY", "STATUS"), *map(_row, shown)]))
    return 0


def _row(info: "Info") -> tuple[str, ...]:
    cpu = "" if info.cpu_use is None else f"{info.cpu_use:.2f}s"
    memory = "" if info.memory_use is None else f"{info.memory_use / (1 << 20):.1f}M"
    status = f"exited ({info.exit_code}) {info.reason}"
    if info.pid:
        status = f"up {_age(info.begun or time.time())}"
    elif info.exit_code is None:
        status = "created"
    return info.name, info.state, info.image, str(info.pid or ""), cpu, memory, status


def _age(begun: float) -> str:
    seconds = int(time.time() - begun)
    size, unit = next(((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m")) if seconds >= 2 * size), (1, "s"))
    return f"{seconds // size}{unit}"


@command("show all that is known of one container", JSON, NAME)
def do_info(args: argparse.Namespace) -> int:
    from ..container import Container

    known = asdict(Container(args.name).info())
    if args.json:
        print(json.dumps(known))
    else:
        print(columns([(f"{key}:", str(value)) for key, value in known.items() if value not in (None, "", ())]))
    return 0


# --- logs -----------------------------------------------------------------------------------------------------------


@command(
    "show what a container wrote, bytes as they are; of finished ones too",
    flag("-f", "--follow", help="go on until it ends"),
    arg("-n", "--tail", type=int, metavar="N", help="only the last N lines"),
    flag("-t", "--timestamps", help="when each line was begun"), NAME,
)  # fmt: skip
def do_logs(args: argparse.Namespace) -> int:
    from ..container import Container

    found = Container(args.name)
    pieces: Iterable[Piece | None] = found.follow() if args.follow else found.logs()
    if args.timestamps or args.tail is not None:
        pieces = _tail(_lines(pieces), args.tail)
    for piece in pieces:
        if piece:
            _pass_on(piece, args.timestamps)
    return 0


def follow_log(found: "Container", since: float) -> int:
    """Show what a container writes from this time on, until it ends; returns its exit code."""
    for piece in found.follow():
        if piece and piece[0] >= since:
            _pass_on(piece)
    code = found.wait().exit_code
    return code if code >= 0 else OURS


def _pass_on(piece: Piece, timestamp: bool = False) -> None:
    at, stream, data = piece
    if timestamp:
        data = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1e6):06}Z ".encode() + data
    out = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
    out.write(data)
    out.flush()


def _lines(pieces: Iterable[Piece | None]) -> Iterator[Piece | None]:
    """Whole lines, with the time of their beginning; the Nones of `follow` stay."""
    begun: dict[str, tuple[float, bytes]] = {}
    for piece in pieces:
        if piece is None:
            yield None
            continue
        at, stream, data = piece
        first, rest = begun.pop(stream, (at, b""))
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield first, stream, line + b"\n"
            first = at
        if rest:
            begun[stream] = first, rest
    for stream, (at, rest) in begun.items():
        yield at, stream, rest


def _tail(lines: Iterable[Piece | None], count: int | None) -> Iterator[Piece]:
    """The last `count` of the lines that are there, then what follows."""
    last: deque[Piece] | None = deque(maxlen=None if count is None or count < 0 else count)
    for line in lines:
        if last is not None and line is None:
            yield from last
            last = None
        elif line is not None and last is not None:
            last.append(line)
        elif line is not None:
            yield line
    yield from last or ()


# --- the machine ----------------------------------------------------------------------------------------------------


@command("list the images", JSON)
def do_images(args: argparse.Namespace) -> int:
    from .. import images
    from ..home import home

    for name in images.names():
        try:
            image = images.get(name, home())
            card, layers = image.card, image.layers
        except NotPossibleHere as error:
            card, layers = f"not here: {error}", ()
        print(json.dumps({"name": name, "card": card, "layers": layers}) if args.json else f"{name:10} {plain(card)}")
    return 0


@command(
    "tell who is in which namespaces, and who shares one: of all, or of these containers and processes",
    arg("--pid", type=int, action="append", metavar="N", help="a process, of whomever; repeatable"),
    arg("--about", type=int, metavar="ID", help="all about one namespace, by its number"),
    arg("names", nargs="*", metavar="NAME", help="a container"),
)  # fmt: skip
def do_namespaces(args: argparse.Namespace) -> int:
    from ..maps.namespaces import namespaces

    found = namespaces(*args.names, pid=args.pid)
    if args.about is None:
        print(found)
        return 0
    for heading, lines in found.about(args.about).items():
        print(heading, *(f"    {line}" for line in lines), sep="\n")
    return 0


@command("tell what this machine allows, and where not, why", JSON)
def do_doctor(args: argparse.Namespace) -> int:
    if args.json:
        from .. import host

        print(json.dumps([asdict(finding) for finding in host.report().findings]))
    else:
        from ..lxc import checkconfig

        print(checkconfig.report(color=os.isatty(1)))
    return 0


@command("list every kernel object that is held for a container", JSON)
def do_ledger(args: argparse.Namespace) -> int:
    from ..listing import ledger
    from ..step import Step

    entries = ledger()
    if args.json:
        print(json.dumps(entries))
        return 0
    for entry in entries:
        print(f"{entry['name']}: pid {entry.get('pid', 'none yet')}, to be undone at its end:")
        for step in reversed(entry["undo"]):
            print(f"    {plain(str(Step.from_json(step)))}")
    if not entries:
        print("nothing is held")
    return 0
