"""What is true of a process right now, read from the outside, and what became different between two looks.

Everything comes from the kernel's own files about it: proc(5), cgroups(7). The process is not asked, and does not notice.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from .errors import plain
from .linux import files
from .primitives import capabilities, namespaces, network

#: What is true, by what it is about. Of a set the words are compared and told together; of a tuple the lines, each for itself;
#: of a dict the lines, too, and what a line is about is its value: so it is seen that one line took the place of another.
Fact = str | frozenset[str] | tuple[str, ...] | dict[str, str]
Facts = dict[str, Fact]

#: The limits that are shown of a control group, as v1 and v2 call their files.
LIMITS = ("memory.max", "memory.limit_in_bytes", "memory.swap.max", "memory.memsw.limit_in_bytes", "pids.max", "cpu.max",
          "cpu.cfs_quota_us", "cpu.weight", "cpu.shares", "cpuset.cpus")  # fmt: skip
#: Of a longer list, so many are told.
TOLD = 32


class Change(NamedTuple):
    """One difference: what it is about, and its value before and after; "" where there was none, or is none any more."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.what}: {self.after}"
        return f"~ {self.what}: {self.before} → {self.after}" if self.after else f"- {self.what}: {self.before}"


def observe(pid: int, directories: tuple[tuple[str, str], ...] = ()) -> Facts:
    """All that can be read of a process and of the control groups in `directories`. What may not be read is left out.

    Of a process that ends meanwhile there are no facts: of what it had, some would be there still, and some no longer.
    """
    facts: Facts = {}
    for read in (_namespaces, _identity, _confinement, _mounts, _places, _network):
        with suppress(OSError):  # it ended just now, or is another user's
            facts.update(read(pid))
    try:
        ended = files.is_ending(pid)
    except OSError:
        ended = True
    return {"process": f"pid {pid}", **({} if ended else facts), **dict(_groups(pid, directories))}


def difference(before: Facts, after: Facts) -> list[Change]:
    """What became different, in the order of the facts."""
    changes = []
    for what in {**before, **after}:
        old, new = before.get(what, ""), after.get(what, "")
        if old == new:
            continue
        if isinstance(old, str) and isinstance(new, str):
            changes.append(Change(what, old, new))
            continue
        gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
        if isinstance(old, dict) and isinstance(new, dict):
            now = {new[line]: line for line in come}
            moved = {line: now[old[line]] for line in gone if old[line] in now}
            changes += [Change(what, _without_the_same(line, later), later) for line, later in moved.items()]
            gone, come = [line for line in gone if line not in moved], [line for line in come if line not in moved.values()]
        lines = isinstance(old or new, (tuple, dict))
        changes += [Change(what, text, "") for text in (gone if lines else _told(gone))]
        changes += [Change(what, "", text) for text in (come if lines else _told(come))]
    return changes


def _without_the_same(before: str, after: str) -> str:
    """Of what has moved only where it was: "place  what" is told twice only if the what is different, too."""
    place, _, what = before.partition("  ")
    return place if after.partition("  ")[2] == what else before


def _told(words: list[str]) -> list[str]:
    """Words as one text, or none."""
    rest = f" … {len(words)} in all" if len(words) > TOLD else ""
    return [", ".join(sorted(words)[:TOLD]) + rest] if words else []


def _namespaces(pid: int) -> Iterator[tuple[str, str]]:
    own = namespaces.read()
    for kind, name in namespaces.read(pid).items():
        yield f"{kind} namespace", name + (" (the host's)" if own.get(kind) == name else "")
    with suppress(OSError):
        yield "hostname", hostname(pid, own)


def hostname(pid: int, own: dict[str, str]) -> str:
    """The name of its host. The file for it shows the reader's own: so somebody has to go there. uts_namespaces(7)."""
    if os.readlink(f"/proc/{pid}/ns/uts") == own["uts"]:
        return os.uname().nodename
    import subprocess

    enter = shutil.which("nsenter")
    if enter is None:
        return ""
    user = ["--user", "--preserve-credentials"] if os.readlink(f"/proc/{pid}/ns/user") != own["user"] else []
    words = [enter, f"--target={pid}", *user, "--uts", "cat", "/proc/sys/kernel/hostname"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True)
    return plain(done.stdout.strip())


def _identity(pid: int) -> Iterator[tuple[str, Fact]]:
    status = files.status(pid)
    for kind in ("uid", "gid"):
        rows = [line.split() for line in files.read(f"/proc/{pid}/{kind}_map").splitlines()]
        yield f"{kind}_map", ", ".join(f"{inside}→{outside} ({size} ids)" for inside, outside, size in rows) or "(empty)"
    yield "user and group, as the host sees them", f"{status['Uid'].split()[1]}:{status['Gid'].split()[1]}"
    yield "supplementary groups", status["Groups"]
    yield "program", plain(status["Name"])
    yield "session", str(files.session(pid))
    yield "umask", status.get("Umask", "")
    for key, how in (("SigIgn", "ignored"), ("SigCgt", "caught"), ("SigBlk", "blocked")):
        yield f"signals {how} (mask)", status[key].lstrip("0") or "0"


def _confinement(pid: int) -> Iterator[tuple[str, Fact]]:
    status = files.status(pid)
    for kind, names in capabilities.read(pid).items():
        yield f"capabilities, {kind}", frozenset(names)
    modes = ("off", "strict", "filter")
    count = status.get("Seccomp_filters", "")
    yield "seccomp", modes[int(status["Seccomp"])] + (f", {count} loaded" if count not in ("", "0") else "")
    yield "no_new_privs", status["NoNewPrivs"]


def _mounts(pid: int) -> Iterator[tuple[str, Fact]]:
    shown, shared = dict[str, tuple[str, str]](), 0
    for mount in files.mountinfo(pid):  # of several at one place, the last is seen
        shared += any(word.startswith("shared:") for word in mount.propagation)
        part = f"[{mount.root}]" if mount.root != "/" else ""
        what = f"{mount.fstype} {mount.source}{part}"
        # The number stays with a mount wherever it goes; a number that is free is given again, so it is not enough.
        shown[mount.mount_point] = f"{what} {','.join(mount.options)}", f"{mount.line.partition(' ')[0]} {what}"
    yield "mounts that others see (shared)", str(shared)
    yield "mount", {plain(f"{point}  {what}"): which for point, (what, which) in shown.items()}


def _places(pid: int) -> Iterator[tuple[str, Fact]]:
    status = os.stat(f"/proc/{pid}/root")
    yield "root directory", f"inode {status.st_ino} of device {os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    yield "root directory holds", frozenset(plain(name) for name in os.listdir(f"/proc/{pid}/root"))
    yield "working directory", plain(os.readlink(f"/proc/{pid}/cwd"))


def _network(pid: int) -> Iterator[tuple[str, Fact]]:
    yield "links", frozenset(map(plain, network.read(pid)))
    yield "addresses", frozenset(network.addresses(pid, loopback=True))


def _groups(pid: int, directories: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, Fact]]:
    with suppress(OSError):
        rows = (line.split(":", 2) for line in files.read(f"/proc/{pid}/cgroup").splitlines())
        for _, names, path in rows:
            yield f"control group ({names or 'v2'})", plain(path)
    for directory in dict.fromkeys(path for _, path in directories):
        for name in LIMITS:
            with suppress(OSError):
                yield f"{directory}/{name}", files.read(f"{directory}/{name}").strip()


def held(pid: int) -> Fact:
    """The files, folders and mounts that a process has open, by name; not its pipes and sockets."""
    found = []
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(plain(os.readlink(f"/proc/{pid}/fd/{number}")))
    return tuple(sorted(name for name in found if name.startswith("/")))


def made(undo: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """The control groups that these steps of a ledger's entry have made, by controller."""
    steps = (data["directories"] for data in undo if data["step"] == "MakeCgroups")
    return tuple((controller, path) for rows in steps for controller, path in rows if os.path.isdir(path))
