"""Mounts: the kernel's own file systems (lxc.mount.auto), and others by lines of fstab(5) (lxc.mount.entry, lxc.mount.fstab).

/proc and /sys are always there; lxc.mount.auto says how much of them may be written to. The control groups that a container
sees are always its own, cgroup-full or not: the host's are shown to nobody.
"""

import os
import re

from .. import disk
from ..errors import InvalidOption, placed
from ..spec import MASKED_PATHS, READONLY_PATHS, Mount
from . import values
from .draft import Draft, Row, kept

#: What holds without the key: the line of LXC's common.conf.
DEFAULT = "cgroup:mixed proc:mixed sys:mixed"

_MODES = {"proc": ("mixed", "rw"), "sys": ("mixed", "ro", "rw"), "cgroup": ("mixed", "ro", "rw"),
          "cgroup-full": ("mixed", "ro", "rw")}  # fmt: skip

#: proc:mixed. /proc/sys but for net, which is the container's own; under a user namespace the rest is host root's anyway.
_MIXED = (*(f"/proc/sys/{part}" for part in ("abi", "crypto", "debug", "dev", "fs", "kernel", "sunrpc", "user", "vm")),
          "/proc/sysrq-trigger")  # fmt: skip

_KERNELS = ("proc", "sysfs", "tmpfs", "mqueue", "devpts")
#: What is there anyway: a second one at the same place would be refused (EBUSY).
_STANDARD = {"/proc": "proc", "/sys": "sysfs", "/dev/mqueue": "mqueue", "/dev/pts": "devpts"}
#: Words of mount(8) that ask for what is so, or that mean nothing for these file systems.
_IDLE = {"defaults", "rw", "suid", "dev", "exec", "async", "auto", "noauto", "nofail", "relatime", "noatime", "nodiratime",
         "optional", "create=dir", "create=file", "private", "rprivate"}  # fmt: skip
_BIND = {"ro", "nosuid", "nodev", "noexec"}


def auto(draft: Draft, value: str, which: str) -> None:
    for word in value.split():
        kind, _, mode = word.removesuffix(":force").partition(":")
        if mode not in ("", *_MODES.get(kind, ())) or kind not in _MODES:
            raise InvalidOption(f"{word!r} can't be mounted", cure="write proc:mixed, sys:ro, cgroup:mixed:force or the like")
        if kind == "cgroup-full":
            draft.note("only the container's own groups are shown")
        draft.auto[kind.removesuffix("-full")] = mode or "mixed"


def automatic(draft: Draft) -> list[Mount]:
    """The mounts that lxc.mount.auto stands for."""
    found = []
    if draft.auto.get("sys") == "rw" and "network" not in draft.shared:
        found.append(Mount("/sys", "sysfs", options=("nosuid", "nodev", "noexec")))
    if "cgroup" in draft.auto and "cgroup" not in draft.shared:
        found.append(Mount("/sys/fs/cgroup", "cgroup", options=("ro",) if draft.auto["cgroup"] == "ro" else ()))
    return found


def sealed(draft: Draft) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths that are masked, and those that are read-only. Without a user namespace, as much as in any container."""
    if draft.auto.get("proc") == "rw":
        return (), ()
    return (MASKED_PATHS, READONLY_PATHS) if "user" in draft.shared else ((), _MIXED)


def entry(draft: Draft, value: str, which: str) -> None:
    """One line of fstab(5): what, where (relative to the root), type, options. Two numbers may follow, for nothing."""
    fields = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field) for field in value.split()]
    if not 3 <= len(fields) <= 6:
        raise InvalidOption(f"{value!r} is no line of fstab(5)", cure="write: /on/the/host in/the/container none bind,ro 0 0")
    source, target, kind = fields[:3]
    words = fields[3].split(",") if len(fields) > 3 else []
    destination = _destination(draft, target)
    if not destination:
        draft.note(f"{target} does not lie in the root file system: LXC leaves it out as well")
    elif "bind" in words or "rbind" in words:
        _bind(draft, source, destination, words)
    elif _STANDARD.get(destination) == kind:
        return
    elif kind in _KERNELS:
        draft.mounts.append(Mount(destination, kind, options=tuple(word for word in words if word not in _IDLE)))
    elif "optional" in words:
        draft.note(f"{kind} can't be mounted in a container; the line says that it is optional")
    else:
        raise InvalidOption(
            f"{kind} can't be mounted in a container", cure=f"mount it on the host and bind it; or: {', '.join(_KERNELS)}"
        )


def _destination(draft: Draft, target: str) -> str:
    """The place below the new root; "" for one that is somewhere else."""
    if target.startswith("/"):
        roots = (f"{draft.folder}/rootfs", draft.root.removeprefix("dir:"))
        root = next((root for root in roots if root and f"{target}/".startswith(f"{root}/")), "")
        if not root:
            return ""
        target = target[len(root) :]
    path = values.path(f"/{target}")
    if path == "/":
        raise InvalidOption("nothing can be mounted over the root")
    return path


def _bind(draft: Draft, source: str, destination: str, words: list[str]) -> None:
    """A folder or file of the host. It may be written to, unless the line says "ro": that is how LXC reads it."""
    optional = "optional" in words
    real = os.path.realpath(source)
    if "relative" in words or not source.startswith("/"):
        problem = f"{source!r} is no absolute path on the host"
    elif f"{real}/".startswith(("/proc/", "/sys/")):
        problem = f"{source} is the host's kernel, and shown to no container"
    elif optional and not os.path.exists(real):
        return
    else:
        problem = ""
    if problem and not optional:
        raise InvalidOption(problem, cure="give a file or folder of the host, or make the line optional")
    if problem:
        draft.note(problem)
        return
    options = ["rbind", "ro" if "ro" in words else "rw"]
    for word in words:
        if word == "idmap=container":
            options.append("idmap")
        elif word in _BIND - {"ro"}:
            options.append(word)
        elif word not in {*_IDLE, "bind", "rbind", "ro"}:
            draft.note(f"{destination} is mounted without {word!r}")
    draft.mounts.append(Mount(destination, "bind", real, tuple(options)))


def fstab(draft: Draft, value: str, which: str) -> None:
    """A file of such lines."""
    path = os.path.join(draft.folder, value)
    try:
        lines = disk.read_text(path).splitlines()
    except OSError as error:
        raise InvalidOption(f"{path} can't be read", condition=error.strerror or "") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and text[0] != "#":
            with placed(f"{path}:{number}"):
                entry(draft, text, which)


def dev(draft: Draft, value: str, which: str) -> None:
    if not values.flag(value):
        draft.note("/dev is always a new one: the image's own could hold any device")


ROWS: dict[str, Row] = {
    "lxc.mount.auto": auto,
    "lxc.mount.entry": entry,
    "lxc.mount.fstab": fstab,
    "lxc.autodev": dev,
    "lxc.autodev.tmpfs.size": kept("/dev has a size of its own"),
}
