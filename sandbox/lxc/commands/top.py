"""lxc-top(1)."""

import argparse
import contextlib
import os
import select
import shutil
import signal
import threading
import time
import tty
from collections.abc import Callable
from typing import NamedTuple

from ...errors import InvalidOption, SandboxError
from ...launcher.ledger import Ledger, directories, is_alive
from ...primitives import cgroups
from ...store import Home
from ..info import size_text
from . import Terminal

PURPOSE = "monitors the state of the active containers"
USAGE = ""
NAMED = False

#: Clock ticks in a second, as LXC's batch output counts CPU time. sysconf(3)
USER_HZ = 100
_CLEAR, _BOLD, _NORMAL = "\033[H\033[J", "\033[7m\033[1m", "\033[0m"
_BATCH = (
    "time_ms,container,cpu_nanos,cpu_sys_userhz,cpu_user_userhz,blkio_bytes,blkio_iops,mem_used_bytes,memsw_used_bytes,"
    "kernel_mem_used_bytes"
)


class Row(NamedTuple):
    """What one container uses: seconds of CPU time, bytes."""

    name: str
    cpu: float = 0.0
    system: float = 0.0
    user: float = 0.0
    read: int = 0
    written: int = 0
    operations: int = 0
    memory: int = 0
    with_swap: int = 0  # memory and swap; 0 where swap is not counted
    kernel: int = 0


#: Each letter to sort by; names upwards, numbers downwards.
SORT: dict[str, Callable[[Row], str | float]] = {
    "n": lambda row: row.name, "c": lambda row: -row.cpu, "b": lambda row: -(row.read + row.written),
    "m": lambda row: -row.memory, "s": lambda row: -row.with_swap, "k": lambda row: -row.kernel,
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """-d, -b, -s and -r."""
    parser.add_argument("-d", "--delay", type=float, help="delay in seconds between refreshes (default: 3.0)")
    parser.add_argument("-b", "--batch", action="store_true", help="output designed to capture to a file")
    letters = "n = Name\nc = CPU use\nb = Block I/O use\nm = Memory use\ns = Memory + Swap use\nk = Kernel memory use"
    parser.add_argument("-s", "--sort", default="n", help=f"sort by [n,c,b,m] (default: n) where\n{letters}")
    parser.add_argument("-r", "--reverse", action="store_true", help="sort in reverse (descending) order")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """A table that is renewed until q or ^C; with -b lines of numbers; in a notebook's cell the table, once."""
    delay = delay_of(asked)
    if io.notebook:
        rows = sample(asked.home, asked.sort, asked.reverse)
        print("\n".join(batch(rows) if asked.batch else table(rows)))
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        if asked.batch:
            _lines(asked.home, delay, asked.sort, asked.reverse)
        elif os.isatty(0):
            _screen(asked.home, delay, asked.sort, asked.reverse)
        else:
            raise SandboxError("stdin is not a tty", cure="lxc-top -b")
    return 0


def delay_of(asked: argparse.Namespace) -> float:
    """The seconds between two looks. Raises InvalidOption."""
    if asked.delay is None:
        return 300.0 if asked.batch else 3.0
    if not 0 < asked.delay <= threading.TIMEOUT_MAX:  # nor is nan, "not a number", a time
        raise InvalidOption(f"a delay of {asked.delay:g} seconds?", cure="lxc-top -d 1")
    return float(asked.delay)


def sample(home: Home, order: str, reverse: bool) -> list[Row]:
    """All containers that run, with what they have used up to now."""
    rows = []
    for entry in Ledger(home.ledger).entries():
        if "in" not in entry and is_alive(entry):
            with contextlib.suppress(OSError):  # it ended just now
                rows.append(_row(entry["name"], cgroups.usage(directories(entry))))
    return sorted(rows, key=SORT.get(order[:1], SORT["n"]), reverse=reverse)


def _row(name: str, used: cgroups.Usage) -> Row:
    memory = used.memory or 0
    return Row(
        name, used.cpu_seconds or 0.0, used.cpu_system or 0.0, used.cpu_user or 0.0, used.io_read or 0, used.io_written or 0,
        used.io_operations or 0, memory, 0 if used.swap is None else memory + used.swap, used.kernel or 0,
    )  # fmt: skip


def batch(rows: list[Row], header: bool = True) -> list[str]:
    """Lines of numbers, separated by commas."""
    now = time.time_ns() // 1_000_000
    lines = [_BATCH] if header else []
    for row in rows:
        ticks = (round(row.system * USER_HZ), round(row.user * USER_HZ))
        numbers = (round(row.cpu * 1e9), *ticks, row.read + row.written, *row[6:])
        lines.append(f"{now},{row.name},{','.join(map(str, numbers))}")
    return lines


def table(rows: list[Row], most: int = 1 << 30) -> list[str]:
    """Two lines of header, a line for each container (`most` of them), and the sum of all."""
    sums = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    total = Row(f"TOTAL {min(len(rows), most)} of {len(rows)}", *sums)
    more = [(title, at) for title, at in (("MemSw", 8), ("KMem", 9)) if total[at]]

    def line(row: Row) -> str:
        moved = f"{_size(row.read + row.written)}({_size(row.read)}/{_size(row.written)})"
        sizes = "".join(f" {_size(row[at]):>10}" for at in (7, *(at for _, at in more)))  # type: ignore[arg-type]
        return f"{row.name:18.18} {row.cpu:12.2f} {row.system:12.2f} {row.user:12.2f} {moved:>36}{sizes}"

    def header(*titles: str) -> str:
        return "{:18} {:>12} {:>12} {:>12} {:>36} {:>10}".format(*titles)

    above = header("Container", "CPU", "CPU", "CPU", "BlkIO", "Mem") + "".join(f" {title:>10}" for title, _ in more)
    below = header("Name", "Used", "Sys", "User", "Total(Read/Write)", "Used") + "".join(f" {'Used':>10}" for _ in more)
    return [above, below, *map(line, rows[:most]), line(total)]


def _size(amount: int) -> str:
    return size_text(amount) if amount > 1 << 10 else f"{amount:3}.00   "


def _lines(home: Home, delay: float, order: str, reverse: bool) -> None:
    header = True
    while True:
        print("\n".join(batch(sample(home, order, reverse), header)), flush=True)
        header = False
        time.sleep(delay)


def _screen(home: Home, delay: float, order: str, reverse: bool) -> None:
    from ...terminal import raw

    signal.signal(signal.SIGQUIT, signal.default_int_handler)
    with raw(0, tty.setcbreak):
        while True:
            height = shutil.get_terminal_size((80, 25)).lines
            above, below, *rest = table(sample(home, order, reverse), height - 3)
            print(f"{_CLEAR}{_BOLD}{above}\n{below}{_NORMAL}", *rest, sep="\n", end="", flush=True)
            key = os.read(0, 1).decode("latin-1") if select.select([0], [], [], delay)[0] else "-"
            if key in ("", "q"):
                print()
                return
            if key == "r" or key == order:
                reverse = not reverse
            elif key in SORT:
                order, reverse = key, False
