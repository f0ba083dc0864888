"""Host: what this machine allows, and where it does not, why and how to change that. Found by trying or by reading the kernel.

`report()` tries everything once, in a process of its own (`host_trials`), in about a tenth of a second. What a start needs
to know each time has a cheap way of its own: `mapping_mode`, `subid_ranges`, `tmpfs_user_xattr`, `can_idmap`.
"""

import errno
import functools
import json
import os
import platform
import pwd
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Literal

from .errors import NotPossibleHere, SandboxError
from .host_causes import FORBIDDING, UNFILTERED, cause, in_the_way, outer, sysctl, text
from .immutable import immutable
from .linux import constants as c
from .linux import files
from .primitives.cgroups.hierarchy import UNIFIED, Place, read_layout
from .primitives.users import CONTAINER_IDS, read_maps

MappingMode = Literal["range", "newuidmap", "single"]


@immutable
class Finding:
    """One thing that is possible here, or not. `detail` is what was tried or read, `cure` how to make it possible."""

    key: str
    possible: bool
    detail: str = ""
    cure: str = ""


@immutable
class Report:
    """All findings about this machine, for this user."""

    findings: tuple[Finding, ...]

    def __getitem__(self, key: str) -> Finding:
        """The finding of that key; KeyError where there is none."""
        for finding in self.findings:
            if finding.key == key:
                return finding
        raise KeyError(key)

    def __contains__(self, key: str) -> bool:
        return any(finding.key == key for finding in self.findings)

    def can(self, key: str) -> bool:
        """Whether it is possible; also False for what this machine does not even have (a cgroup controller, say)."""
        return key in self and self[key].possible

    def why_not(self, key: str) -> str:
        """Condition and cure in one sentence, or "" where it is possible."""
        if self.can(key):
            return ""
        if key not in self:
            return f"this machine has no {key}"
        return self[key].detail + (f" → {self[key].cure}" if self[key].cure else "")

    def __str__(self) -> str:
        """A table: + or -, key, what was found, and below it the cure."""
        width = max(len(finding.key) for finding in self.findings)
        lines = []
        for finding in self.findings:
            lines.append(f"{'+' if finding.possible else '-'} {finding.key:{width}}  {finding.detail}".rstrip())
            if finding.cure:
                lines.append(f"  {'':{width}}  → {finding.cure}")
        return "\n".join(lines)

    def to_json(self) -> list[dict[str, Any]]:
        """The findings as JSON types."""
        return [asdict(finding) for finding in self.findings]


_reports: dict[tuple[str, int, str], Report] = {}


def report(home: str = "/var/lib", *, fresh: bool = False) -> Report:
    """What this machine allows this user. Tried once in each process (again with `fresh`). Raises SandboxError.

    `home` is the folder whose file system is tried for idmapped mounts: where the images lie.
    """
    known = (files.boot_id(), os.geteuid(), home)
    if fresh or known not in _reports:
        groups = {f"cgroup.{place.controller}": place for place in read_layout().places}
        ids = dict(zip(("uid", "gid"), subid_ranges() or (), strict=False))
        raw = _ask({
            "home": home,
            "groups": {key: place.own for key, place in groups.items() if place.own},
            "ranges": {kind: (own.start, len(own)) for kind, own in ids.items() if program(f"new{kind}map")},
        })  # fmt: skip
        _reports[known] = Report((*_read(raw), *_tried(raw, groups)))
    return _reports[known]


def _ask(question: dict[str, Any]) -> Any:
    """The answer of `host_trials`, asked in a process of its own."""
    import subprocess  # only here: it takes 8 ms, and a start of a container never comes here

    code = "import sys; sys.path.append(sys.argv[1]); from sandbox.host_trials import main; main(sys.argv[2])"
    words = [sys.executable, "-I", "-S", "-c", code, os.path.dirname(os.path.dirname(__file__)), json.dumps(question)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", start_new_session=True, timeout=30)
    if done.returncode:
        raise SandboxError(f"the trials ended with {done.returncode}", condition=done.stderr.decode(errors="replace")[-500:])
    return json.loads(done.stdout)


def _tried(raw: dict[str, tuple[int, str]], groups: dict[str, Place]) -> Iterator[Finding]:
    """The outcomes of the trials as findings, each failure with its cause."""
    without_users = raw["namespace.user"][0]
    for key, (number, seen) in raw.items():
        if key in groups:
            continue
        if not number:
            yield Finding(key, True, seen or "tried")
            continue
        # What fails just like the user namespace that it would be done in, fails because of it.
        why = cause("namespace.user" if number == without_users else key, number)
        yield Finding(key, False, f"{seen}: {_name(number)}; {why.condition}", why.cure)
    for key, place in groups.items():
        number, seen = raw.get(key, (0, ""))
        if place.problem or number:
            yield Finding(key, False, place.problem or f"{seen}: {_name(number)}", place.cure)
        else:
            yield Finding(key, True, f"v{place.version}, {place.own}")
    number, knobs = raw.get(f"cgroup.{UNIFIED}", (errno.ENOENT, ""))
    unified = groups.get(f"cgroup.{UNIFIED}", Place(UNIFIED, 0, "", "", "no cgroup2 is mounted", "mount -t cgroup2 …"))
    for knob, since in (("cgroup.freeze", "5.2"), ("cgroup.kill", "5.14")):
        if not number and knob in knobs.split():
            yield Finding(knob, True, "in every v2 group of ours")
        else:
            yield Finding(knob, False, unified.problem or f"{knob} came with Linux {since}", unified.cure)


def _name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


# --- what is only read ----------------------------------------------------------------------------------------------


def _read(raw: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    release, machine = platform.release(), platform.machine()
    numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in release.split(".")[:2])
    yield Finding("kernel", numbers >= (5, 12), release, "" if numbers >= (5, 12) else "use Linux 5.12 or newer")
    known = machine in c.SYS_PIVOT_ROOT
    yield Finding("architecture", known, machine, "" if known else f"use one of {', '.join(c.SYS_PIVOT_ROOT)}")
    yield Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()} ({sys.executable})")
    yield Finding("outer container", True, ", ".join(outer()) or "none found")
    yield Finding("wsl", True, "WSL" if "microsoft" in release.lower() else "no")
    for name, bad, cure in FORBIDDING:
        value = sysctl(name)
        # A value that forbids in general may still allow this program: the trial has the last word.
        stands = value == bad and raw["namespace.user"][0] != 0
        yield Finding(name, not stands, "not there" if value is None else f"= {value}", cure if stands else "")
    own = files.status()
    gained = own.get("NoNewPrivs") != "1"
    cure = "" if gained else "newuidmap can't work in this process tree: start without no_new_privs"
    yield Finding("no_new_privs", gained, f"NoNewPrivs: {own.get('NoNewPrivs', '?')} in /proc/self/status", cure)
    stands = own.get("Seccomp") == "2" and raw["namespace.user"][0] != 0
    seen = f"Seccomp: {own.get('Seccomp', '?')} in /proc/self/status"
    yield Finding("outer seccomp", not stands, seen, UNFILTERED if stands else "")
    yield Finding("apparmor", True, text("/proc/self/attr/apparmor/current") or "not active")
    enforcing = text("/sys/fs/selinux/enforce")
    yield Finding("selinux", True, {"1": "enforcing", "0": "permissive"}.get(enforcing, "not active"))
    for kind in ("uid", "gid"):
        if f"new{kind}map" not in raw:
            yield _unasked_helper(kind)
    ids = subid_ranges()
    ranges = ", ".join(f"{kind}s {r.start} … {r.stop - 1}" for kind, r in zip(("uid", "gid"), ids or (), strict=False))
    cure = "" if ids else f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_user()}"
    yield Finding("subuid", ids is not None, ranges or f"/etc/subuid and /etc/subgid have no range for {_user()}", cure)
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    there = "is not ours to open" if os.path.exists("/dev/kvm") else "is not there"
    yield Finding("kvm", kvm, "/dev/kvm can be opened" if kvm else f"/dev/kvm {there}")
    for name, package in (("criu", "criu"), ("nft", "nftables"), ("ip", "iproute2")):
        path = program(name)
        yield Finding(f"program.{name}", bool(path), path or "not on PATH", "" if path else f"apt install {package}")


def _unasked_helper(kind: str) -> Finding:
    """newuidmap or newgidmap as far as it can be judged without a range to ask it for."""
    name = f"new{kind}map"
    path = program(name)
    if path is None:
        return Finding(name, False, "not on PATH", "apt install uidmap")
    if not privileged(path, kind):
        return Finding(name, False, f"{path} is neither set-uid root nor has file capabilities", f"chmod u+s {path}")
    return Finding(name, True, f"{path} (not tried: no range of ids to ask for)")


def program(name: str) -> str | None:
    """Where a program lies: on PATH, or in the system folders that an ordinary user's PATH lacks."""
    folders = (*os.get_exec_path(), "/usr/sbin", "/sbin")
    return next((path for folder in folders if os.access(path := f"{folder}/{name}", os.X_OK)), None)


def privileged(path: str, kind: str) -> bool:
    """Whether newuidmap (newgidmap) at `path` gets CAP_SETUID (CAP_SETGID): set-uid root, or by file capabilities."""
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return False
    found = os.stat(path)
    if found.st_uid == 0 and found.st_mode & 0o4000:
        return True
    try:  # struct vfs_cap_data: the second word is what is permitted, bits 0 to 31. linux/capability.h
        granted = int.from_bytes(os.getxattr(path, "security.capability")[4:8], "little")
    except OSError:
        return False
    return bool(granted >> c.CAPABILITIES.index(f"CAP_SET{kind.upper()}") & 1)


# --- what every start asks ------------------------------------------------------------------------------------------


@functools.cache
def tmpfs_user_xattr() -> bool:
    """Whether tmpfs keeps user.* attributes (Linux 6.6), which overlay's upper layer needs. Tried on a memfd: 20 µs."""
    try:
        fd = os.memfd_create("trial")
    except OSError:
        return False
    try:
        os.setxattr(fd, "user.trial", b"1")
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


_idmappable: dict[int, bool] = {}


def can_idmap(path: str) -> bool:
    """Whether the file system of the folder `path` can be seen through an id map. Tried once for each file system."""
    if os.geteuid() != 0:
        return False  # it needs CAP_SYS_ADMIN over the file system
    device = os.stat(path).st_dev
    if device not in _idmappable:
        _idmappable[device] = _ask({"idmap": os.path.abspath(path)})[0] == 0
    return _idmappable[device]


def mapping_mode() -> MappingMode:
    """How a container of ours gets its ids: read anew each time, in about 0.1 ms.

    "range": root claims 65,536 ids for each container. "newuidmap": the user's range of /etc/subuid. "single": only root of
    the container exists, as the user. Raises NotPossibleHere where there are no user namespaces at all.
    """
    if (obstacle := in_the_way()) and not report().can("namespace.user"):
        raise NotPossibleHere("no user namespace can be made here", condition=obstacle.condition, cure=obstacle.cure)
    own = files.status()
    capable = int(own["CapEff"], 16)
    setting = all(capable >> c.CAPABILITIES.index(name) & 1 for name in ("CAP_SETUID", "CAP_SETGID"))
    if setting and all(_covers(rows, CONTAINER_IDS) for rows in read_maps().values()):
        return "range"
    helpers = all((path := program(f"new{kind}map")) and privileged(path, kind) for kind in ("uid", "gid"))
    return "newuidmap" if helpers and own.get("NoNewPrivs") == "0" and subid_ranges() else "single"


def _covers(rows: Iterable[tuple[int, ...]], ids: range) -> bool:
    """Whether one row of a map (id inside, id outside, how many) holds all of `ids`."""
    return any(inside <= ids.start and ids.stop <= inside + size for inside, _, size in rows)


def subid_ranges(user: str | None = None) -> tuple[range, range] | None:
    """The subordinate uids and gids of a user (name or number; None: ours), or None without them. subuid(5), subgid(5).

    Of several ranges, the largest.
    """
    names = _names(_user() if user is None else user)
    found = []
    for path in ("/etc/subuid", "/etc/subgid"):
        rows = (line.split(":") for line in text(path).splitlines())
        ranges = [range(int(row[1]), int(row[1]) + int(row[2])) for row in rows if len(row) == 3 and row[0] in names]
        found.append(max(ranges, key=len, default=range(0)))
    return (found[0], found[1]) if all(found) else None


def _user() -> str:
    """Our own name, or our number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _names(user: str) -> set[str]:
    """Both ways in which subuid(5) may name a user."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        return {user}
    return {entry.pw_name, str(entry.pw_uid)}
