"""What one namespace is: who is in it, whose it is, and what it shows to those inside. proc(5), namespaces(7)."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from .. import observing
from ..errors import plain
from ..linux import files
from ..primitives import namespaces, network, users
from ..primitives.namespaces_kin import Kin
from . import processes

#: So many lines are told of each thing.
LINES = 200

#: Where a process has another number, if there are several such places.
_DEEP = ("one level in", "two levels in", "three levels in", "four levels in")

#: What a namespace of each kind is for; and a command that shows one from the outside.
KINDS = {
    "cgroup": ("which control group is called /", "cat /proc/PID/cgroup"),
    "ipc": ("System V shared memory and semaphores, and POSIX message queues", "nsenter -t PID -i ipcs"),
    "mnt": ("which file systems are where", "cat /proc/PID/mountinfo"),
    "net": ("network devices, addresses, routes, ports and rules", "nsenter -t PID -n ip address"),
    "pid": ("the numbers of processes, and who is PID 1", "grep NSpid /proc/PID/status"),
    "time": ("the time since boot", "cat /proc/PID/timens_offsets"),
    "user": ("who is root, and which user is who outside", "cat /proc/PID/uid_map"),
    "uts": ("the name of the host", "nsenter -t PID -u hostname"),
}


def about(
    kin: Kin, members: Sequence[tuple[str, tuple[int, ...]]], kept: tuple[str, ...], users_of: dict[int, str]
) -> dict[str, tuple[str, ...]]:
    """Headings, and the lines below each. `members` are the rows of the map that are in it; `users_of` says who is in a user
    namespace."""
    pids = [pid for _, row in members for pid in row]
    says, command = KINDS[kin.kind]
    told = {f"{kin.kind}:[{kin.id}]": [says], "members": list(_members(members)), "owner": list(_owner(kin, users_of))}
    if kept:
        told["kept alive by"] = list(kept)
    for pid in pids[:1]:
        for heading, lines in _inside(kin.kind, pid):
            with suppress(OSError):  # it ended, or is another user's
                told[heading] = list(lines)
        told["see it yourself"] = [command.replace("PID", str(pid)), f"lsns -t {kin.kind}"]
    return {heading: tuple(map(plain, lines[:LINES])) for heading, lines in told.items()}


def _members(members: Sequence[tuple[str, tuple[int, ...]]]) -> Iterator[str]:
    for name, pids in members:
        yield f"{name}: {len(pids)} {'process' if len(pids) == 1 else 'processes'}"
        for pid in pids[:20]:
            with suppress(OSError):
                here, *inner = processes.levels(pid)
                deep = ("inside",) if len(inner) == 1 else _DEEP
                inside = "".join(f", {number} {level}" for number, level in zip(inner, deep, strict=False))
                yield f"    {files.name(pid)}: pid {here} here{inside}"
    if not members:
        yield "no process that we see"


def _owner(kin: Kin, users_of: dict[int, str]) -> Iterator[str]:
    if kin.kind == "user":
        if kin.uid is not None:
            yield f"made by user {kin.uid}"
        yield f"lies in user namespace {_named(kin.parent, users_of)}" if kin.parent else "the outermost that we see"
        return
    yield f"user namespace {_named(kin.owner, users_of)}" if kin.owner else "not known: it lies outside of what we may see"
    if kin.owner:
        yield "only who has capabilities there may change what this one shows"
    if kin.parent:
        yield f"lies in {kin.kind} namespace {kin.parent}"


def _named(id: int, users_of: dict[int, str]) -> str:
    return f"{id} ({users_of[id]})" if id in users_of else str(id)


def _inside(kind: str, pid: int) -> Iterator[tuple[str, Iterator[str]]]:
    """What it shows: headings, and their lines when they are asked for."""
    if kind == "user":
        yield "uid_map", _map(pid, "uid")
        yield "gid_map", _map(pid, "gid")
    elif kind == "mnt":
        yield "mounts", (f"{mount.mount_point}  {mount.fstype}  {mount.source}  {','.join(mount.options)}"
                         for mount in files.mountinfo(pid))  # fmt: skip
    elif kind == "net":
        yield "links", (f"{name}: {received:,} bytes received, {sent:,} sent"
                        for name, (received, sent) in network.read(pid).items())  # fmt: skip
        yield "addresses", iter(network.addresses(pid, loopback=True))
        yield "routes", iter(network.routes(pid))
    elif kind == "uts":
        yield "hostname", iter((observing.hostname(pid, namespaces.read()),))
    elif kind == "time":
        yield "offsets", iter(files.read(f"/proc/{pid}/timens_offsets").splitlines())
    elif kind == "cgroup":
        yield "control groups, as we see them", iter(files.read(f"/proc/{pid}/cgroup").splitlines())


def _map(pid: int, kind: str) -> Iterator[str]:
    """The rows of an id map, in words. user_namespaces(7)."""
    word = {"uid": "user", "gid": "group"}[kind]
    rows = users.read_maps(pid)[kind]
    for inside, outside, size in rows:
        if size == 0xFFFFFFFF:
            yield f"every {word} is the same inside and here"
        elif size == 1:
            yield f"{word} {inside} inside is {word} {outside} here"
        else:
            yield f"{word}s {inside}-{inside + size - 1} inside are {outside}-{outside + size - 1} here"
    if not rows:
        yield f"no {word} is mapped: everybody inside is nobody"
    for inside, outside, _ in rows:
        if inside == 0 and outside:
            yield f"so root inside is {word} {outside} here, and no more than that"
