"""lxc-info and lxc-ls: what LXC prints of containers, in its layout, from what we know of them. lxc-info(1), lxc-ls(1).

What does not exist is left out, as LXC does. Of a container that has ended, two lines more are told than LXC knows: its exit
code, and the reason.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from ..immutable import immutable
from ..listing import Info

#: What can be asked for by itself: LXC's -s, -p, -i and -S.
PARTS = ("state", "pid", "ips", "stats")


def info_text(info: Info, parts: Collection[str] = (), *, humanize: bool = True) -> str:
    """The lines of lxc-info: all of them, or these `parts`. Without `humanize` (-H) sizes are bytes, CPU time nanoseconds,
    and a single part that is not "stats" comes without its label.
    """
    bare = not humanize and len(parts) == 1
    lines = []
    for part in parts or ("name", *PARTS, "end"):
        for label, value in _LINES[part](info, humanize):
            lines.append(value if bare and part != "stats" else f"{label + ':':15} {value}")
    return "".join(f"{line}\n" for line in lines)


Rows = Iterator[tuple[str, str]]


def _name(info: Info, humanize: bool) -> Rows:
    yield "Name", info.name


def _state(info: Info, humanize: bool) -> Rows:
    yield "State", info.state


def _pid(info: Info, humanize: bool) -> Rows:
    if info.pid is not None:
        yield "PID", str(info.pid)


def _ips(info: Info, humanize: bool) -> Rows:
    yield from (("IP", address) for address in info.ips)


def _stats(info: Info, humanize: bool) -> Rows:
    size = size_text if humanize else str
    if info.cpu_use is not None:
        yield "CPU use", f"{info.cpu_use:.2f} seconds" if humanize else str(round(info.cpu_use * 1e9))
    used = (("BlkIO use", info.blkio_use), ("Memory use", info.memory_use), ("KMem use", info.kmem_use))
    yield from ((label, size(amount)) for label, amount in used if amount is not None)
    if info.link:
        sent, received = info.tx_bytes, info.rx_bytes
        yield "Link", info.link
        moved = ((" TX bytes", sent), (" RX bytes", received), (" Total bytes", (sent or 0) + (received or 0)))
        yield from ((label, size(amount)) for label, amount in moved if amount is not None)


def _end(info: Info, humanize: bool) -> Rows:
    if info.exit_code is not None:
        yield "Exit code", str(info.exit_code)
    if info.reason:
        yield "Reason", info.reason


_LINES: dict[str, Callable[[Info, bool], Rows]] = {
    "name": _name, "state": _state, "pid": _pid, "ips": _ips, "stats": _stats, "end": _end,
}  # fmt: skip


def size_text(amount: int) -> str:
    """A size as LXC writes it: bytes up to 1024, then two digits behind the point; GiB are cut off, the others rounded."""
    for unit, bits, half in (("GiB", 30, 0), ("MiB", 20, 5243), ("KiB", 10, 5)):
        if amount > 1 << bits:
            whole, part = divmod(amount + half, 1 << bits)
            return f"{whole}.{part * 100 >> bits:02} {unit}"
    return f"{amount} bytes"


def names_text(infos: Iterable[Info], *, line: bool = False, width: int = 80) -> str:
    """The names as lxc-ls writes them: side by side, or with `line` (-1) one below the other."""
    names = [info.name for info in infos]
    if not names:
        return ""
    column = max(map(len, names)) + 1
    each = 1 if line else max(width // column, 1)
    rows = (names[start : start + each] for start in range(0, len(names), each))
    return "".join("".join(f"{name:{column}}" for name in row).rstrip() + "\n" for row in rows)


@immutable
class Row:
    """A container in the table of lxc-ls: what is known of it, and what its configuration says."""

    info: Info
    autostart: bool = False
    groups: tuple[str, ...] = ()
    unprivileged: bool = True
    depth: int = 0  # how many containers it is in


def _megabytes(amount: int | None) -> str:
    return "-" if amount is None else f"{amount / (1 << 20):.2f}MB"


def _addresses(row: Row, colon: bool) -> str:
    return ", ".join(ip for ip in row.info.ips if (":" in ip) == colon)


#: Every column that there can be, and what stands in it.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "NAME": lambda row: ("\\".rjust(row.depth) if row.depth else "") + row.info.name,
    "STATE": lambda row: row.info.state,
    "PID": lambda row: str(row.info.pid or ""),
    "RAM": lambda row: _megabytes(row.info.memory_use),
    "SWAP": lambda row: "-",  # not read: it would cost another look at every group
    "AUTOSTART": lambda row: str(int(row.autostart)),
    "GROUPS": lambda row: ", ".join(row.groups),
    "INTERFACE": lambda row: row.info.link,
    "IPV4": lambda row: _addresses(row, False),
    "IPV6": lambda row: _addresses(row, True),
    "UNPRIVILEGED": lambda row: str(row.unprivileged).lower(),
}
FANCY = ("NAME", "STATE", "AUTOSTART", "GROUPS", "IPV4", "IPV6", "UNPRIVILEGED")


def table_text(rows: Iterable[Row], columns: Collection[str] = FANCY) -> str:
    """The table of lxc-ls -f, with these of the COLUMNS; nothing at all if there is no container."""
    cells = [[COLUMNS[column](row) or "-" for column in columns] for row in rows]
    if not cells:
        return ""
    table = [list(columns), *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(" ".join(f"{cell:{size}}" for cell, size in zip(row, widths, strict=True)).rstrip() + "\n" for row in table)
