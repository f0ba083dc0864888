"""Plan: how a container is made. Two lists of steps, compiled from a Spec, that read like the lesson.

    outside   what the launcher does on the host
    inside    what the new process does to itself, until it becomes the program

A plan is plain data. It is made without privileges; it can be printed, compared, sent as JSON, and edited.
"""

import os
from collections.abc import Iterable
from dataclasses import replace

from . import cabling, disk
from .errors import NotFound
from .immutable import immutable
from .lanes import Plan
from .primitives import seccomp
from .primitives.barrier import Go, WaitForGo
from .primitives.capabilities import DropBoundingSet, SetCapabilities
from .primitives.cgroups import SYSTEM, DelegateCgroups, JoinCgroups, MakeCgroups, MountCgroups, OpenCgroups, SetLimits
from .primitives.devices import MakeDev
from .primitives.hooks import RunAfter, RunHook
from .primitives.mounts import (
    AttachTree,
    MakePrivate,
    MakeReadOnly,
    Mask,
    MountFilesystem,
    MountScratch,
    OpenTree,
)
from .primitives.namespaces import Clone, Enter, OpenSysfs, SetHostname, UnshareCgroupNamespace
from .primitives.network import BringUpLoopback
from .primitives.overlay import MountOverlay
from .primitives.process import ChangeDirectory, Exec, GiveStreams, ResetProcess, SetUser
from .primitives.root import AttachRoot, PivotRoot, ReadOnlyRoot
from .primitives.seccomp import InstallSeccomp, SetNoNewPrivileges
from .primitives.sysctl import SetSysctls
from .primitives.terminal import OpenConsole, TakeTerminal
from .primitives.users import BecomeRoot, ClaimIds, MapIds
from .spec import Mount, Process, Spec
from .step import Step


@immutable
class Running:
    """A running container, as another process enters it: its PID 1 with its start time, its first host id, its cgroups."""

    pid: int
    start_time: int
    id_base: int = 0
    cgroups: tuple[tuple[str, str], ...] = ()


@immutable
class Where:
    """The kind of place a plan is made for: whether the launcher is root there, and how ids are mapped."""

    privileged: bool = True
    newuidmap: bool = False  # an ordinary user with a range of its own in /etc/subuid
    group: str = ""  # what the control group is to be called; "" is the container's name
    runtime: str = ""  # our folder on tmpfs
    network_of: tuple[int, ...] = ()  # the process (pid, start time) whose network is shared: Spec.join_network


def compile(spec: Spec, where: Where = Where()) -> Plan:
    """The plan for a new container."""
    return Plan(tuple(outside(spec, where)), tuple(inside(spec, where)))


def outside(spec: Spec, where: Where) -> Iterable[Step]:
    """What the launcher does on the host."""
    mapped = "user" in spec.namespaces
    group = where.group or spec.name
    if mapped and where.privileged and not spec.uid_mappings:
        yield ClaimIds(spec.name)
    yield from cabling.bridges(spec, group)
    yield from limits(spec, group)
    yield Clone(cabling.born_in(spec), where.network_of)  # the child is born in them, does what needs nobody else, and waits
    if mapped:
        yield MapIds(*id_rows(spec), helper=where.newuidmap)
        if where.privileged:
            yield GiveStreams(root_of(spec))
    if mapped and where.privileged and delegated(spec):
        yield DelegateCgroups(group, trees_joined(spec), root_of(spec))  # its init makes groups of its own
    if where.privileged:
        yield from trees(spec, idmap=mapped)
    if where.network_of:
        yield OpenSysfs(where.network_of)
    yield from cabling.cables(spec, group, where.runtime)
    yield OpenCgroups(group, trees_joined(spec))
    for hook in spec.hooks:
        if hook.when in ("stop", "post-stop"):
            yield RunAfter(hook.when, hook.args, hook.env)
    yield from cabling.helped(spec)
    yield Go()  # the one barrier


def inside(spec: Spec, where: Where) -> Iterable[Step]:
    """What the new process does to itself."""
    mapped = "user" in spec.namespaces
    own = set(spec.namespaces)
    many_ids = where.privileged or where.newuidmap
    yield MakePrivate()  # or every mount below would show on the host
    if "uts" in own:
        yield SetHostname(spec.hostname or spec.name)
    if "network" in cabling.born_in(spec):
        yield BringUpLoopback()
    yield DropBoundingSet(spec.process.capabilities)
    yield WaitForGo()  # until here nothing was needed from outside
    yield JoinCgroups()
    if mapped:
        yield BecomeRoot(groups=many_ids)
    yield from cabling.links(spec)
    if "cgroup" in own:
        yield UnshareCgroupNamespace()
    if not where.privileged:
        yield from trees(spec, idmap=False)  # an ordinary user may take them only in here; and now: the scratch hides /tmp
    yield MountScratch(spec.root.size)
    if spec.root.path:
        yield AttachRoot("root")
    else:
        yield MountOverlay(tuple(f"layer{i}" for i in range(len(spec.root.layers))), upper="upper" if spec.root.upper else "")
    yield from cabling.identity(spec)
    yield from furnish(spec, many_ids)
    yield from hooks(spec, "pre-mount", "mount", "autodev")
    yield Mask(spec.masked_paths)
    if spec.sysctls:
        yield SetSysctls(spec.sysctls)
    yield MakeReadOnly(spec.readonly_paths)
    if spec.process.terminal:
        yield OpenConsole(more=spec.terminals)
    yield PivotRoot()
    if spec.root.readonly:
        yield ReadOnlyRoot()
    yield from hooks(spec, "start")
    yield from become(spec, spec.process, many_ids)


def become(spec: Spec, process: Process, many_ids: bool) -> Iterable[Step]:
    """Give up what the program must not have, and become it."""
    filtered = spec.seccomp != "unconfined"
    if filtered and not process.no_new_privileges:
        # Without no_new_privs, only who has CAP_SYS_ADMIN may load a filter: so before the capabilities go.
        yield seccomp_filter(spec, process)
    if process.terminal and not (spec.system and process is spec.process):  # an init leaves it to whoever logs in
        yield TakeTerminal()
    yield SetUser(process.user, groups=many_ids)
    yield SetCapabilities(process.capabilities)
    yield ChangeDirectory(process.cwd)
    yield ResetProcess(limits=process.rlimits)
    if process.no_new_privileges:
        yield SetNoNewPrivileges()
        if filtered:
            yield seccomp_filter(spec, process)  # last: from here on even we may not
    yield Exec(process.args, process.env, init=process.init)


def seccomp_filter(spec: Spec, process: Process) -> Step:
    """The profile, or the policy in a file, compiled for this processor."""
    machine = os.uname().machine
    if not spec.seccomp.startswith("/"):
        return InstallSeccomp(seccomp.compile_profile(spec.seccomp, machine, process.capabilities), spec.seccomp)
    try:
        policy = disk.read_text(spec.seccomp)
    except OSError as error:
        raise NotFound(f"the policy {spec.seccomp} can't be read", condition=error.strerror or "") from None
    return InstallSeccomp(seccomp.compile_policy(policy, spec.seccomp, machine), spec.seccomp)


def trees(spec: Spec, idmap: bool) -> Iterable[Step]:
    """The folders and files of the host that become a part of the new root."""
    if spec.root.path:
        yield OpenTree("root", spec.root.path, ("nodev",), idmap and not spec.root.shifted)
    for i, layer in enumerate(spec.root.layers):
        yield OpenTree(f"layer{i}", layer, ("ro", "nodev"), idmap)
    if spec.root.upper:
        yield OpenTree("upper", spec.root.upper, ("nodev",), idmap)
    for i, mount in enumerate(spec.mounts):
        if mount.type == "bind":
            # Through an id map, what container root writes is host root's on disk: so only where it can't write, and who has
            # CAP_SYS_ADMIN can (mount -o remount,rw); or by the explicit word "idmap".
            sealed = "ro" in mount.options and "CAP_SYS_ADMIN" not in spec.process.capabilities
            seen = idmap and (sealed or "idmap" in mount.options)
            yield OpenTree(f"volume{i}", mount.source, mount.options, seen, recursive=not seen, lenient=idmap and sealed)
    for name, path in host_views(spec):
        yield OpenTree(name, path, ("ro",), recursive=True)


def host_views(spec: Spec) -> Iterable[tuple[str, str]]:
    """With a shared namespace, the file system that shows it can't be mounted anew: the host's own is bound, read-only."""
    if "pid" not in spec.namespaces:
        yield "proc", "/proc"
    if "network" not in spec.namespaces:
        yield "sys", "/sys"


def furnish(spec: Spec, many_ids: bool) -> Iterable[Step]:
    """/dev, /proc, /sys, and what the user asked for."""
    bound = {name for name, _ in host_views(spec)} | ({"sys"} if spec.join_network else set())
    tty_group = ("gid=5",) if many_ids else ()  # group tty; under a one-id map there is no 5
    yield MakeDev(made="user" not in spec.namespaces)
    yield MountFilesystem("devpts", "/dev/pts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *tty_group))
    yield MountFilesystem("tmpfs", "/dev/shm", ("nosuid", "nodev", "noexec", "mode=1777", f"size={spec.root.size}"))
    if "ipc" in spec.namespaces:
        yield MountFilesystem("mqueue", "/dev/mqueue", ("nosuid", "nodev", "noexec"))
    yield AttachTree("proc", "/proc") if "proc" in bound else MountFilesystem("proc", "/proc", ("nosuid", "nodev", "noexec"))
    if "sys" in bound:
        yield AttachTree("sys", "/sys")
    elif not any(mount.destination == "/sys" for mount in spec.mounts):  # one that may be written to takes its place
        yield MountFilesystem("sysfs", "/sys", ("ro", "nosuid", "nodev", "noexec"))
    for i, mount in enumerate(spec.mounts):
        yield attached(f"volume{i}", mount)


def attached(tree: str, mount: Mount) -> Step:
    """One mount that the Spec asks for."""
    if mount.type == "bind":
        return AttachTree(tree, mount.destination)
    if mount.type == "cgroup":
        return MountCgroups(mount.destination, readonly="ro" in mount.options)
    return MountFilesystem(mount.type, mount.destination, mount.options)


def hooks(spec: Spec, *moments: str) -> Iterable[Step]:
    """The hooks that run inside at these moments, in the order of the configuration."""
    for moment in moments:
        for hook in spec.hooks:
            if hook.when == moment:
                yield RunHook(moment, hook.args, hook.env)


def limits(spec: Spec, group: str) -> Iterable[Step]:
    """The group and its limits, before anybody is in it."""
    wanted, explicit = spec.resources, dict(spec.annotations).get("explicit", "")
    yield MakeCgroups(group, trees_joined(spec))
    yield SetLimits(
        group, wanted.memory, wanted.swap, wanted.cpus, wanted.cpu_weight, wanted.cpuset, wanted.pids, wanted.files,
        trees_joined(spec),
        explicit=tuple(name for name in explicit.split(",") if name),
    )  # fmt: skip


def trees_joined(spec: Spec) -> tuple[str, ...]:
    """Controllers that are joined only when needed: to pin to CPUs, to set a file, or because all are shown inside."""
    if delegated(spec):
        return SYSTEM
    asked = {name.partition(".")[0] for name, _ in spec.resources.files} & set(SYSTEM)
    return tuple(sorted(asked | ({"cpuset"} if spec.resources.cpuset is not None else set())))


def delegated(spec: Spec) -> bool:
    """Whether the container's root may make control groups of its own, below ours."""
    return any(mount.type == "cgroup" and "ro" not in mount.options for mount in spec.mounts)


def root_of(spec: Spec) -> int:
    """The host id of the container's root where the Spec says it; -1: that of the range which is claimed."""
    return next((row.host_id for row in spec.uid_mappings if row.container_id == 0), -1)


def id_rows(spec: Spec) -> tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]:
    """The rows of uid_map and gid_map."""
    uid = tuple((m.container_id, m.host_id, m.size) for m in spec.uid_mappings)
    gid = tuple((m.container_id, m.host_id, m.size) for m in spec.gid_mappings)
    return uid, gid


def compile_exec(spec: Spec, process: Process, running: Running, where: Where = Where()) -> Plan:
    """The plan that runs another process in a running container, with the same confinement."""
    many_ids = where.privileged or where.newuidmap
    mapped = "user" in spec.namespaces
    doors = [OpenCgroups("", directories=running.cgroups)] if running.cgroups else []
    join = [JoinCgroups()] if running.cgroups else []
    give = [GiveStreams(running.id_base or root_of(spec))] if mapped and where.privileged else []
    root = [BecomeRoot(groups=many_ids)] if mapped else []
    console = [OpenConsole(bind=False)] if process.terminal else []
    return Plan(
        (Enter(running.pid, running.start_time, spec.namespaces), *doors, *give, Go()),
        (
            DropBoundingSet(process.capabilities),
            WaitForGo(),
            *join,
            *root,
            *console,
            *become(spec, replace(process, init=False), many_ids),
        ),
    )
