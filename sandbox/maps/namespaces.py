"""The map of namespaces: who is in which, who shares one with whom, whose they are, and how they are nested. namespaces(7)."""

import functools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from string import ascii_uppercase

from ..columns import columns, tree
from ..errors import NotFound, NotPossibleHere, plain
from ..home import home as open_home
from ..immutable import immutable
from ..launcher.ledger import UNBORN
from ..linux import files
from ..listing import running
from ..primitives import capabilities
from ..primitives.namespaces_kin import NESTED, Kin, kin
from . import details, processes
from .processes import NAMES, Shape

HOST, OWN = "host", "own"


@immutable
class Row:
    """Processes that are in the same namespaces; `ids` are these, in the order of NAMES, 0 where it is of no matter.

    `what` is host, container, process (asked for by its pid), other, waiting (a child of ours that was born ahead of time), or
    kept (a namespace without a process).
    """

    name: str
    what: str
    pids: tuple[int, ...]
    ids: Shape


@immutable
class NamespaceMap:
    """Who is in which namespace. `rows` begin with the host; `kin` is known of each namespace by its number.

    `kept` says what else holds a namespace; `unread` are the processes that may not be looked at. `names` and `asked` are the
    containers and processes that it was asked for, if not for all.
    """

    #: Of more rows than these, those that are alike are told as one, if they are at least so many.
    MANY, ALIKE = 40, 6

    rows: tuple[Row, ...]
    kin: dict[int, Kin]
    kept: dict[int, tuple[str, ...]]
    unread: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    asked: tuple[int, ...] = ()

    def again(self) -> "NamespaceMap":
        """The same map, as it is now. What was asked for and has ended is left out."""
        there = {entry["name"] for entry in running(open_home())}
        names = tuple(name for name in self.names if name in there)
        asked = tuple(pid for pid in self.asked if os.path.exists(f"/proc/{pid}"))
        return namespaces(*names, pid=asked) if names or asked or not (self.names or self.asked) else self

    @functools.cached_property
    def marks(self) -> dict[int, str]:
        """Of each namespace "host", "own" (one row has it to itself), or a letter: who shares the same with the same, has the
        same letter."""
        companies: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            for id in filter(None, row.ids):
                companies.setdefault(id, []).append(number)
        letters: dict[tuple[int, ...], str] = {}
        marks = {}
        for id, company in companies.items():
            if id in self.rows[0].ids:
                marks[id] = HOST
            elif len(company) == 1:
                marks[id] = OWN
            else:
                marks[id] = letters.setdefault(tuple(company), _letter(len(letters)))
        return marks

    def members(self, id: int) -> tuple[Row, ...]:
        """The rows that are in a namespace."""
        return tuple(row for row in self.rows if id in row.ids)

    def about(self, id: int) -> dict[str, tuple[str, ...]]:
        """All that is known of one namespace, read now: by heading. Raises NotFound."""
        if id not in self.kin:
            raise NotFound(f"there is no namespace {id} on this map", cure="look again: it may have ended")
        named = {row.ids[NAMES.index("user")]: row.name for row in reversed(self.rows)}
        members = [(row.name, row.pids) for row in self.members(id)]
        return details.about(self.kin[id], members, self.kept.get(id, ()), named)

    def folded(self) -> list[tuple[Row, int]]:
        """The rows, each with how many it stands for: of very many, those that share in the same way are one."""
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            found.setdefault(self.pattern(row), []).append(row)
        told = []
        for row in self.rows:
            alike = found[self.pattern(row)]
            if len(self.rows) <= self.MANY or len(alike) < self.ALIKE:
                told.append((row, 1))
            elif row is alike[0]:
                told.append((row, len(alike)))
        return told

    def pattern(self, row: Row) -> tuple[str, ...]:
        """How a row shares: what it is, and the mark of each of its namespaces."""
        return (row.what, *(self.marks.get(id, "") for id in row.ids))

    def __str__(self) -> str:
        head = ("NAME", "PID", "PROCESSES", *NAMES)
        return "\n".join([
            columns([head, *(self._cells(row, count) for row, count in self.folded())]), *self._legend(), "",
            *(line for kind in NESTED if kind in NAMES for line in (*self.nesting(kind), "")),
            "see it yourself: lsns; ls -l /proc/PID/ns",
        ])  # fmt: skip

    def _cells(self, row: Row, count: int) -> tuple[str, ...]:
        name = row.name + (f" and {count - 1} like it" if count > 1 else "")
        cells = []
        for id in row.ids:
            mark = self.marks.get(id, "")
            told = "= host" if mark == HOST and row.what != HOST else str(id or "")
            cells.append(told if mark in (HOST, OWN, "") else f"{told} {mark}")
        return (name, str(row.pids[0]) if row.pids else "", str(len(row.pids)), *cells)

    def _legend(self) -> Iterable[str]:
        yield ""
        yield "= host: shared with the host. A number alone: nobody else on this map has that namespace."
        for mark in sorted({mark for mark in self.marks.values() if mark not in (HOST, OWN)}):
            shared = [id for id, other in self.marks.items() if other == mark and id in self.kin]
            names = ", ".join(row.name for row in self.members(shared[0])[: self.MANY])
            yield plain(f"{mark}: {names} share {', '.join(sorted(self.kin[id].kind for id in shared))}")
        for id, places in self.kept.items():
            if not any(id in row.ids for row in self.rows if row.pids):
                yield plain(f"{self.kin[id].kind} {id} has no process; it is {'; '.join(places)}")
        if told := self.unseen:
            yield told

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """The kinds of namespaces, in the order of `Row.ids`, and what each is for."""
        return [(name, details.KINDS[name][0]) for name in NAMES]

    @property
    def unseen(self) -> str:
        """What could not be looked at, in a sentence; "" if all could."""
        if not self.unread:
            return ""
        which = f"process {self.unread[0]}" if len(self.unread) == 1 else f"{len(self.unread)} processes"
        return f"{which} may not be read (another user's, or with more rights than we): what nobody else is in is missing here"

    def nesting(self, kind: str) -> list[str]:
        """How the user or pid namespaces lie in one another, as a tree."""
        found = {known.id: known for known in self.kin.values() if known.kind == kind}
        children: dict[int, list[int]] = {}
        for known in found.values():
            children.setdefault(known.parent if known.parent in found else 0, []).append(known.id)
        shown = {parent: ids[: self.MANY] for parent, ids in children.items()}
        owned = Counter((known.owner, known.kind) for known in self.kin.values())
        lines = [f"{kind} namespaces, one in another:"]
        for stem, id in tree(shown, 0, "  "):
            names = ", ".join(row.name for row in self.members(id)[:3]) or "no process that we see"
            told = f"{stem}{id}  {names}"
            if kind == "user":
                kinds = ", ".join(f"{owned[id, other]} {other}" for other in NAMES if owned[id, other])
                told += f"; owns {kinds}" if kinds else "; owns nothing else"
            lines.append(plain(told) + _more(len(children.get(id, ())) - self.MANY))
        return lines


def _more(hidden: int) -> str:
    return f" ({hidden} more in it than are shown)" if hidden > 0 else ""


def _letter(number: int) -> str:
    return ascii_uppercase[number] if number < 26 else f"{_letter(number // 26 - 1)}{_letter(number % 26)}"


def namespaces(*names: str, pid: int | Sequence[int] | None = None) -> NamespaceMap:
    """The map of all namespaces; or only of the host, of these containers, and of the processes with these numbers.

    Raises:
        NotFound: no such container runs, or there is no such process.
        NotPossibleHere: the process is another user's, who alone may see its namespaces. ptrace(2)
    """
    asked = (pid,) if isinstance(pid, int) else tuple(pid or ())
    found = processes.scan()
    host = _host(found)
    ours = {entry["name"]: entry["pid"] for entry in running(open_home())}
    for name in names:
        if name not in ours:
            raise NotFound(f"no container called {name!r} runs", cure="sandbox ps lists those that do")
    rows = [Row("host", HOST, tuple(found.shapes.get(host, ())), host)]
    rows += [_process(number) for number in asked]
    rows += _containers(found, host, {name: ours[name] for name in names or (() if asked else ours)})
    every = not names and not asked
    if every:
        taken = {row.ids for row in rows}
        named = {row.ids[NAMES.index("pid")]: row.name for row in rows if row.what == "container"}
        rows += [_other(pids, ids, named) for ids, pids in found.shapes.items() if ids not in taken]
    known: dict[int, Kin] = {}
    for row in rows:
        _learn(known, row.pids, row.ids)
    kept = _kept(known, every)
    taken_up = {id for row in rows for id in row.ids}
    rows += [_lone(known[id]) for id in known if every and id not in taken_up]
    return NamespaceMap(tuple(_companions(rows)), known, kept, found.unread, names, asked)


def _host(found: processes.Scan) -> Shape:
    """The namespaces of the first process; for an ordinary user, who may not see these, our own."""
    with suppress(OSError):
        return processes.shape(1)
    return processes.shape("self")


def _process(pid: int) -> Row:
    try:
        return Row(f"{processes.called(pid)} (pid {pid})", "process", (pid,), processes.shape(pid))
    except PermissionError:
        raise NotPossibleHere(
            f"the namespaces of process {pid} may not be seen", condition=_why_unseen(pid),
            cure="ask as who may trace it: see ptrace(2), access mode checking",
        ) from None  # fmt: skip
    except OSError:
        raise NotFound(f"there is no process {pid}", cure="ps -e lists them") from None


def _why_unseen(pid: int) -> str:
    """What somebody else's process has that we have not."""
    with suppress(OSError):
        theirs, ours = capabilities.read(pid)["CapPrm"], capabilities.read()["CapPrm"]
        uid = files.status(pid)["Uid"].split()[0]
        if uid != files.status()["Uid"].split()[0]:
            return f"it is user {uid}'s"
        return f"it has more rights than we: {', '.join(sorted(set(theirs) - set(ours)))}"
    return "nothing of it may be read"


def _containers(found: processes.Scan, host: Shape, ours: dict[str, int]) -> Iterable[Row]:
    by_pid = {pid: (shape, pids) for shape, pids in found.shapes.items() for pid in pids if pid in set(ours.values())}
    for name, pid in ours.items():
        if pid in by_pid:  # it has not ended meanwhile
            shape, pids = by_pid[pid]
            yield Row(name, "container", (pid, *(each for each in pids if each != pid)) if shape != host else (pid,), shape)


def _other(pids: list[int], ids: Shape, named: dict[int, str]) -> Row:
    first = pids[0]
    with suppress(OSError):
        if files.name(first) == UNBORN and len(pids) == 1:
            return Row("the next container", "waiting", tuple(pids), ids)
    inside = named.get(ids[NAMES.index("pid")])
    name = processes.called(first)
    return Row(f"{inside}: {name}" if inside else f"{name} ({first})", "other", tuple(pids), ids)


def _learn(known: dict[int, Kin], pids: tuple[int, ...], ids: Shape) -> None:
    """Find out about namespaces that are not known yet, by way of a process that is in them."""
    for kind, id in zip(NAMES, ids, strict=True):
        with suppress(OSError):  # it has ended
            if id not in known and pids:
                known.update((each.id, each) for each in kin(kind, f"/proc/{pids[0]}/ns/{kind}", known))
        if id:
            known.setdefault(id, Kin(kind, id, 0, 0, None))


def _kept(known: dict[int, Kin], every: bool) -> dict[int, tuple[str, ...]]:
    """What else keeps namespaces alive, and with `every` also those that nobody is in."""
    kept: dict[int, tuple[str, ...]] = {}
    for kind, id, where in processes.kept():
        if id not in known and every:
            known[id] = Kin(kind, id, 0, 0, None)
        if id in known:
            kept[id] = (*kept.get(id, ()), where)
    return kept


def _lone(known: Kin) -> Row:
    return Row(f"{known.kind} without a process", "kept", (), tuple(known.id if kind == known.kind else 0 for kind in NAMES))


def _companions(rows: list[Row]) -> Iterable[Row]:
    """The rows in their order, but who shares a namespace with another, beside the host's, right behind this one."""
    host, left = set(rows[0].ids), dict(enumerate(rows))
    where: dict[int, list[int]] = {}
    for number, row in left.items():
        for id in set(row.ids) - host - {0}:
            where.setdefault(id, []).append(number)
    for number, row in enumerate(rows):
        for other in sorted({number, *(other for id in set(row.ids) - host for other in where.get(id, ()))}):
            if other in left:
                yield left.pop(other)
