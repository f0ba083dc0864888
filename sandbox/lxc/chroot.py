"""A command in a container's root, and nothing more of a container: chroot(8), shown as the plan that it is.

What a container has besides is left out: no /proc, /sys and /dev, no name of its own, the host's IPC; with an overlay, the
root is mounted first. What keeps the host safe stays: the ids are nobody's, as always, no capability leads out of the chroot,
and of what the command starts nothing is left when it ends.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..container import Container
from ..errors import NotFound, WrongState
from ..home import at
from ..job import Job
from ..lanes import Plan
from ..plans import Where, become, id_rows, limits, root_of, trees, trees_joined
from ..primitives.barrier import Go, WaitForGo
from ..primitives.capabilities import DropBoundingSet
from ..primitives.cgroups import JoinCgroups, OpenCgroups
from ..primitives.mounts import MakePrivate, MountFilesystem, MountScratch
from ..primitives.namespaces import Clone
from ..primitives.overlay import MountOverlay
from ..primitives.process import GiveStreams
from ..primitives.root import AttachRoot, Chroot
from ..primitives.terminal import OpenConsole
from ..primitives.users import BecomeRoot, ClaimIds, MapIds
from ..spec import DEFAULT_CAPABILITIES, Spec
from ..starting import How, here, request
from ..step import Step

#: With CAP_SYS_CHROOT one gets out of it again. chroot(2), NOTES
CAPABILITIES = tuple(name for name in DEFAULT_CAPABILITIES if name != "CAP_SYS_CHROOT")


def find(place: str) -> Container:
    """The container that is meant: its name, or the path of its rootfs. Raises NotFound."""
    if "/" not in place:
        return Container.get(place)
    folder, last = os.path.split(os.path.realpath(place))
    if last != "rootfs" or not os.path.exists(f"{folder}/config"):
        raise NotFound(f"{place} is not the rootfs of a container", cure="give the container's name")
    return Container(os.path.basename(folder), at(os.path.dirname(folder)))


def plan(spec: Spec, where: Where) -> Plan:
    """The plan for a chroot into the root of this Spec, of `spec_for`."""
    return Plan(tuple(_outside(spec, where)), tuple(_inside(spec, where)))


def spec_for(container: Container, command: Sequence[str], terminal: bool) -> Spec:
    """What is wanted: of the container only its root, its ids and its limits."""
    spec = container.home.load(container.name)
    process = replace(
        spec.process, args=tuple(command), cwd="/", user="0:0", terminal=terminal, init=False, capabilities=CAPABILITIES,
        no_new_privileges=True,
    )  # fmt: skip
    return Spec(
        name=container.name, image=spec.image, process=process, root=spec.root, namespaces=("user", "mount", "pid", "network"),
        uid_mappings=spec.uid_mappings, gid_mappings=spec.gid_mappings, resources=spec.resources,
    )  # fmt: skip


def compiled(container: Container, command: Sequence[str], terminal: bool = False) -> Plan:
    """The plan, for people to look at; nothing runs."""
    return plan(*here(spec_for(container, command, terminal), container.home))


def spawn(container: Container, command: Sequence[str], *, terminal: bool = False, interactive: bool = True) -> Job:
    """Run a command in a container's root; as long as it does, the container can't be started.

    Raises:
        WrongState: the container runs.
    """
    if container.entry is not None:
        raise WrongState(f"the container {container.name!r} is running", cure=f"lxc-attach -n {container.name} -- COMMAND")
    with container.home.lock(container.name):
        spec = spec_for(container, command, terminal)
        how = How(keep=True, plan=plan(*here(spec, container.home)))
        message = request(spec, how, container.home, foreground=True, log="")
        return Job(container.home, message, spec, interactive=interactive)


def _outside(spec: Spec, where: Where) -> Iterable[Step]:
    group = where.group or spec.name
    if where.privileged and not spec.uid_mappings:
        yield ClaimIds(spec.name)
    yield from limits(spec, group)
    yield Clone(spec.namespaces)
    yield MapIds(*id_rows(spec), helper=where.newuidmap)
    if where.privileged:
        yield GiveStreams(root_of(spec))
        yield from trees(spec, idmap=True)
    yield OpenCgroups(group, trees_joined(spec))
    yield Go()


def _inside(spec: Spec, where: Where) -> Iterable[Step]:
    many_ids = where.privileged or where.newuidmap
    yield MakePrivate()
    yield DropBoundingSet(spec.process.capabilities)
    yield WaitForGo()
    yield JoinCgroups()
    yield BecomeRoot(groups=many_ids)
    if not where.privileged:
        yield from trees(spec, idmap=False)
    if spec.process.terminal:
        # On the host's /dev/pts, in our own mount namespace: nothing of it shows inside, as in every chroot.
        yield MountFilesystem("devpts", "/dev/pts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"))
        yield OpenConsole(bind=False)
    yield MountScratch(spec.root.size)
    if spec.root.path:
        yield AttachRoot("root")
    else:
        yield MountOverlay(tuple(f"layer{i}" for i in range(len(spec.root.layers))), upper="upper" if spec.root.upper else "")
    yield Chroot()
    yield from become(spec, spec.process, many_ids)
