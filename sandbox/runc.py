"""runc beside ours: one `runc run` on this machine, recorded by strace(1), as a track of the timeline.

Nothing of it is kept: the bundle is made for the one run, from the program that our image busybox is made of. What runc
mounts on the host for a moment, it mounts in a mount namespace of its own.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from . import disk
from .errors import NotPossibleHere
from .home import home as open_home
from .images import busybox
from .step import Lane
from .timelines import OTHER_TOPIC, Bar, Signal, Tick, Track

PROGRAMS = ("runc", "strace", "unshare")
#: What each system call is about, in the words of `timelines.TOPICS`. These are recorded, and no others.
CALLS = {
    "clone": "namespaces", "clone3": "namespaces", "unshare": "namespaces", "setns": "namespaces", "sethostname": "namespaces",
    "mount": "files", "umount2": "files", "pivot_root": "files", "open_tree": "files", "move_mount": "files",
    "mount_setattr": "files", "mkdirat": "files", "prctl": "rights", "capset": "rights", "seccomp": "rights",
    "setuid": OTHER_TOPIC, "setgid": OTHER_TOPIC, "setgroups": OTHER_TOPIC, "chdir": OTHER_TOPIC, "execve": OTHER_TOPIC,
    "execveat": OTHER_TOPIC,
}  # fmt: skip
#: Seconds after which it is given up.
PATIENCE = 30

_LINE = re.compile(r"(\d+) +(\d+)\.(\d{6}) (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\w+(?: E\w+)?).*?(?: <(\d+\.\d+)>)?")
_BEGUN, _GOES_ON = " <unfinished ...>", re.compile(r"<\.\.\. \w+ resumed>(.*)")


@dataclass(frozen=True)
class Seen:
    """One system call of one process (or thread), as strace saw it."""

    pid: int
    call: Tick

    @property
    def thread(self) -> bool:
        """Whether it made a thread: no process, but a helper of the Go language's runtime."""
        return self.call.name in ("clone", "clone3") and "CLONE_THREAD" in self.call.arguments

    @property
    def topic(self) -> str:
        if self.thread:
            return OTHER_TOPIC
        return "cgroups" if "/sys/fs/cgroup/" in self.call.arguments else CALLS[self.call.name]


def record_runc(command: Sequence[str] = ("true",)) -> Track:
    """Run a command by `runc run`, as `runc spec` would have it, and see its system calls. Root only; takes about 0.2 s.

    Raises:
        NotPossibleHere: runc or strace is not installed, we are not root, or it does not work on this machine.
    """
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        raise NotPossibleHere(
            "runc can't be recorded here",
            condition=f"not installed: {', '.join(missing)}",
            cure="apt install runc strace",
        )
    if os.geteuid():
        raise NotPossibleHere(
            "runc can't be recorded here", condition="we are not root, and its bundle is one for root", cure="run this as root"
        )
    home = open_home()
    folder = tempfile.mkdtemp(prefix="runc-", dir=home.cache)
    try:
        os.mkdir(f"{folder}/rootfs")
        busybox.fill(f"{folder}/rootfs", busybox.find())
        _run("runc", "spec", at=folder)
        with open(f"{folder}/config.json") as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=list(command))
        with open(f"{folder}/config.json", "w") as file:
            json.dump(config, file)
        runc = ("runc", "--root", f"{folder}/state", "run", os.path.basename(folder))
        own = ("unshare", "--mount", "--propagation", "private")
        begun = time.monotonic()
        _run(*own, *runc, at=folder)
        alone = time.monotonic() - begun
        strace = ("strace", "-f", "-ttt", "-T", "--seccomp-bpf", "-o", "recorded", "-e", f"trace={','.join(CALLS)}")
        _run(*own, *strace, *runc, at=folder)
        with open(f"{folder}/recorded", errors="replace") as file:
            track = parse(file.read())
    finally:
        disk.remove_tree(folder)
    note = f"recorded by strace, which slows it; without, the whole runc run took {alone * 1000:.0f} ms"
    return replace(track, note=note)


def _run(*command: str, at: str) -> None:
    """Run a program to its end. Raises NotPossibleHere with what it said when it fails."""
    try:
        subprocess.run(command, cwd=at, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE, text=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or f"exit code {error.returncode}").splitlines()[-1]
        raise NotPossibleHere("runc can't be recorded here", condition=said, cure=f"try it: {' '.join(command)}") from None
    except subprocess.TimeoutExpired:
        raise NotPossibleHere(
            "runc can't be recorded here", condition=f"it still runs after {PATIENCE} s", cure="look at what it does: ps -ef"
        ) from None


def parse(text: str) -> Track:
    """The track in what `strace -f -ttt -T` wrote: the process that becomes the program is inside, all others are outside.

    Raises NotPossibleHere when no program was started in it.
    """
    seen = sorted(_calls(text), key=lambda each: each.call.at)
    became = [each for each in seen if each.call.name == "execve" and not each.call.result.startswith("-")]
    if not became:
        raise NotPossibleHere("the recording shows no program", condition="strace saw no execve", cure="try it by hand")
    zero, last = seen[0].call.at, became[-1]
    bars = []
    end = last.call.at + last.call.took
    for (pid, topic), group in groupby(
        sorted((each for each in seen if each.call.at < last.call.at), key=lambda each: (each.pid, each.call.at)),
        key=lambda each: (each.pid, each.topic),
    ):
        bars.append(_bar("inside" if pid == last.pid else "outside", pid, topic, list(group), zero))
    bars.append(
        _bar("inside", last.pid, OTHER_TOPIC, [last], zero)._replace(kind="exec", took=(end - last.call.at), name="execve")
    )
    births = [
        Signal("birth", "outside", each.call.at + each.call.took - zero, first - zero)
        for each in seen
        if each.call.result == str(last.pid) and (first := min(other.call.at for other in seen if other.pid == last.pid))
    ]
    bars.sort(key=lambda bar: bar.at)
    return Track("runc", tuple(bars), signals=tuple(births), measured="strace", outside="runc itself")


def _calls(text: str) -> Iterator[Seen]:
    """Every call. One that another process's call interrupted is in two lines."""
    begun: dict[str, tuple[float, str]] = {}
    for pid, seconds, fraction, rest in _LINE.findall(text):
        at = float(int(seconds[-6:]) * 1_000_000 + int(fraction))
        if rest.endswith(_BEGUN):
            begun[pid] = (at, rest.removesuffix(_BEGUN))
            continue
        if going_on := _GOES_ON.fullmatch(rest):
            at, head = begun.pop(pid, (at, ""))
            rest = head + going_on[1]
        if call := _CALL.fullmatch(rest):
            name, arguments, result, took = call.groups()
            if name in CALLS:
                yield Seen(int(pid), Tick(name, arguments, result, at, float(took or 0) * 1_000_000))


def _bar(lane: Lane, pid: int, topic: str, group: list[Seen], zero: float) -> Bar:
    """Calls of one process that follow one another and are about the same thing: what our steps are, more or less."""
    calls = tuple(each.call._replace(at=each.call.at - zero) for each in group)
    names = Counter("thread" if each.thread else each.call.name for each in group)
    name = ", ".join(f"{count} {name}" if count > 1 else name for name, count in names.items())
    at, man = calls[0].at, f"{calls[0].name}(2)"
    took = max(call.at + call.took for call in calls) - at
    return Bar(lane, name, f"{name}, by process {pid}", at, took, topic, calls=calls, man=man)
