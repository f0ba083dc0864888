"""What every key means: one table of all keys of lxc.container.conf(5), and what is read by it.

A row changes the Spec that is being built, or says why it has no effect here. A key without a row is unknown: it stays in its
file, and `notes` names it.
"""

import os
import re
from functools import cache

from ..errors import InvalidOption, placed
from ..spec import Process, Spec
from . import hooks, limits, mounts, net, process, rootfs, start, walls
from .draft import Autostart, Draft, Row
from .file import LXCS_OWN, Config, Line


def _include(draft: Draft, value: str, which: str) -> None:
    """Its lines stand in its place already, if there is such a file."""
    if value.startswith(LXCS_OWN) and not value.endswith("/") and not os.path.exists(value):
        draft.note("LXC is not installed here; what its own files say is the default")


#: N is a number, * all that follows. The most exact row counts.
TABLE: dict[str, Row] = {
    "lxc.include": _include,
    **process.ROWS,
    **walls.ROWS,
    **limits.ROWS,
    **rootfs.ROWS,
    **mounts.ROWS,
    **net.ROWS,
    **hooks.ROWS,
    **start.ROWS,
}

#: What LXC 1 and 2 called them, and LXC 5 refuses. lxc-update-config(1)
LEGACY = {
    "lxc.utsname": "lxc.uts.name", "lxc.rootfs": "lxc.rootfs.path", "lxc.tty": "lxc.tty.max", "lxc.pts": "lxc.pty.max",
    "lxc.devttydir": "lxc.tty.dir", "lxc.console": "lxc.console.path", "lxc.mount": "lxc.mount.fstab",
    "lxc.id_map": "lxc.idmap", "lxc.seccomp": "lxc.seccomp.profile", "lxc.aa_profile": "lxc.apparmor.profile",
    "lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete", "lxc.se_context": "lxc.selinux.context",
    "lxc.haltsignal": "lxc.signal.halt", "lxc.rebootsignal": "lxc.signal.reboot", "lxc.stopsignal": "lxc.signal.stop",
    "lxc.syslog": "lxc.log.syslog", "lxc.loglevel": "lxc.log.level", "lxc.logfile": "lxc.log.file",
    "lxc.init_cmd": "lxc.init.cmd", "lxc.init_uid": "lxc.init.uid", "lxc.init_gid": "lxc.init.gid",
    "lxc.limit": "lxc.prlimit", "lxc.network": "lxc.net",
    "lxc.rootfs.backend": "it in lxc.rootfs.path, as in dir:FOLDER", "lxc.pivotdir": "nothing", "lxc.kmsg": "nothing",
}  # fmt: skip

_UNKNOWN = "LXC 5 has no such key; the line is kept"
_PASSED_OVER = "this does not begin with lxc.; it is kept, and LXC passes over it as well"


@cache
def _row(key: str) -> tuple[Row | None, str]:
    """The row for a key, and what stands in it for N or *."""
    if key in TABLE:
        return TABLE[key], ""
    if found := re.fullmatch(r"lxc\.net\.([0-9]+)\.(.+)", key):
        return TABLE.get(f"lxc.net.N.{found[2]}"), found[1]
    for pattern, row in TABLE.items():
        if pattern.endswith(".*") and key.startswith(pattern[:-1]) and key != pattern[:-1]:
            return row, key[len(pattern) - 1 :]
    return None, ""


def _legacy(key: str) -> str:
    """What a key of LXC 1 or 2 is called now, or ""."""
    for old in ("lxc.network", "lxc.limit"):
        if key.startswith(f"{old}."):
            rest = re.sub(r"(ipv[46])$", r"\1.address", key.removeprefix(old).replace("_gateway", ".gateway"))
            return LEGACY[old] + (rest if old == "lxc.limit" or re.match(r"\.[0-9]", rest) else f".0{rest}")
    return LEGACY.get(key, "")


def fill(config: Config, name: str = "", folder: str = "") -> Draft:
    """All that the lines say, and what is to be said of them. Raises InvalidOption: it says which line."""
    folder = folder or os.path.dirname(os.path.abspath(config.path))
    draft = Draft(name or os.path.basename(folder), folder, config.path)
    if not config.mentions("lxc.mount.auto"):
        mounts.auto(draft, mounts.DEFAULT, "")
    if not (config.mentions("lxc.cap.drop") or config.mentions("lxc.cap.keep")):
        draft.dropped += walls.DROPPED
    # The root comes first: by it, the places of mounts are understood.
    for line in sorted(config.effective(), key=lambda line: line.key != "lxc.rootfs.path"):
        _apply(draft, line)
    for line in config.lines:
        if not line.key:
            draft.notes.append((line, _PASSED_OVER))
    if net.shares_host(draft):
        draft.shared.add("network")
    return draft


def _apply(draft: Draft, line: Line) -> None:
    draft.line = line
    row, which = _row(line.key)
    with placed(f"{line.where}: {line.key}"):
        if row is not None:
            row(draft, line.value, which)
        elif new := _legacy(line.key):
            raise InvalidOption("LXC 1 and 2 had this key", cure=f"write {new}; lxc-update-config -c FILE does it for all")
        else:
            draft.note(_UNKNOWN)


def read(folder: str, name: str, path: str = "") -> Spec:
    """What the configuration in a container's folder asks for, or that in the file `path` (lxc-start -f).

    Raises:
        NotFound: there is none.
        InvalidOption: as `spec`.
    """
    return spec(Config.read(path or f"{folder}/config"), name, folder)


def spec(config: Config, name: str, folder: str) -> Spec:
    """What a configuration asks for; `folder` is the container's.

    Raises:
        InvalidOption: a value makes no sense, or asks for what can't be here; it says which line.
    """
    draft = fill(config, name, folder)
    with placed(config.path):
        walls.check_ids(draft)
        root = rootfs.root_of(draft)
    resources, asked = limits.resources_of(draft)
    masked, readonly = mounts.sealed(draft)
    return Spec(
        name=name,
        hostname=draft.hostname or name,
        process=Process(
            args=draft.args,
            env=tuple(f"{key}={value}" for key, value in draft.env.items()),
            cwd=draft.cwd,
            user=f"{draft.uid}:{draft.gid}",
            terminal=draft.console != "none",
            capabilities=walls.capabilities_of(draft),
            no_new_privileges=draft.no_new_privileges,
            rlimits=tuple((key, soft, hard) for key, (soft, hard) in draft.rlimits.items()),
        ),
        root=root,
        mounts=(*mounts.automatic(draft), *draft.mounts),
        namespaces=walls.namespaces_of(draft),
        uid_mappings=tuple(draft.ids["u"]),
        gid_mappings=tuple(draft.ids["g"]),
        resources=resources,
        masked_paths=masked,
        readonly_paths=readonly,
        seccomp=draft.seccomp,
        networks=net.networks_of(draft),
        join_network=draft.join_network,
        system=True,
        terminals=draft.terminals,
        hooks=hooks.hooks_of(draft),
        sysctls=tuple(draft.sysctls.items()),
        stop_signal=draft.stop_signal,
        reboot_signal=draft.reboot_signal,
        annotations=(("explicit", ",".join(asked)),) if asked else (),
    )


def notes(config: Config) -> list[str]:
    """What has no effect here, or another one than in LXC: one sentence for each reason, with the first line that has it.

    Raises InvalidOption as `spec` does.
    """
    place = {line: number for number, line in enumerate(config.lines)}
    found: dict[tuple[str, str], list[Line]] = {}
    for line, why in sorted(fill(config).notes, key=lambda note: place[note[0]]):
        alone = line.key or line.value if why in (_UNKNOWN, _PASSED_OVER) else ""
        found.setdefault((why, alone), []).append(line)
    told = []
    for (why, _), lines in found.items():
        more = f" (and {len(lines) - 1} more line{'s' if len(lines) > 2 else ''})" if len(lines) > 1 else ""
        told.append(f"{lines[0].where}: {lines[0].key or lines[0].value}{more}: {why}")
    return told


def autostart(config: Config) -> Autostart:
    """Whether lxc-autostart starts it, when, and in which groups it is. Raises InvalidOption as `spec` does."""
    return fill(config).autostart


def ephemeral(config: Config) -> bool:
    """Whether it is destroyed when it has stopped."""
    return fill(config).ephemeral


def execute(config: Config) -> tuple[str, ...]:
    """What lxc-execute runs when it is not told: lxc.execute.cmd; () if there is none."""
    return fill(config).execute


_HEAD = f"""\
# The container's configuration, in LXC's format: see lxc.container.conf(5). Where it says nothing, capabilities and mounts are
# as in LXC's common.conf; memory ends at {(limits.DEFAULTS.memory or 0) >> 20} MiB, and processes at {limits.DEFAULTS.pids}:
#   lxc.cgroup2.memory.max = max
#   lxc.cgroup2.pids.max = max

"""


def default(name: str, rootfs: str, *, network: str = "", base: Config | None = None, lines: tuple[str, ...] = ()) -> Config:
    """The configuration of a new container, whose root is the folder `rootfs`: after `base` (lxc-create -f) what a template
    adds, and what there is not yet: a cable to `network`, one of ours or a bridge of the host ("" for none).
    """
    text = base.text() if base else _HEAD
    joined = "\n".join([text.removesuffix("\n"), *lines, ""]) if lines else text
    config = Config(joined, os.path.join(os.path.dirname(rootfs), "config"))
    config.set("lxc.uts.name", name)
    if not config.get("lxc.rootfs.path"):
        config.set("lxc.rootfs.path", f"dir:{rootfs}")
    if network and not any(key.startswith("lxc.net.") for key, _ in config.items()):
        card = {"type": "veth", "link": network, "flags": "up", "name": "eth0", "hwaddr": net.TEMPLATE}
        for key, value in card.items():
            config.append(f"lxc.net.0.{key}", value)
    for key, value in config.items():
        if key.endswith(".hwaddr") and "x" in value.lower():
            config.set(key, net.new_hwaddr(value))
    return config
