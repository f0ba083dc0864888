"""lxc-destroy: a container taken off the shelf, unless others stand on it. lxc-destroy(1)."""

import os
from contextlib import suppress

from .. import dependents, networks
from ..container import Container
from ..errors import NotFound, SandboxError, WrongState
from ..home import at
from ..store import Home
from . import copying


def destroy(home: Home, name: str, *, force: bool = False, snapshots: bool = False) -> None:
    """Destroy a container; with `snapshots`, its snapshots and the clones that stand on it, too; with `force` though it runs.

    Raises:
        NotFound.
        WrongState: it runs; or it has clones or snapshots.
    """
    folder = home.folder(name)
    found = Container(name, home)
    if not home.has(name) and found.entry is None:  # a folder without a config is none of ours: -P names any
        raise NotFound("Container is not defined", cure="lxc-ls lists those that there are")
    if snapshots:
        for path, clone in dependents.clones(folder):
            destroy(at(path), clone, force=force, snapshots=True)
    if not os.path.isdir(folder):  # it lives only as long as it runs
        _end(found, force)
        return
    with home.lock(name):  # nobody starts it meanwhile
        dependents.refuse(folder, snapshots=snapshots)
        _end(found, force)
        bases = dependents.bases(folder)
        copying.run_hooks(folder, name, "destroy")
        home.remove(name)
    networks.release(home, name)
    for base in bases:
        with suppress(SandboxError):  # the base went, or the disk is full: a note of one that is gone is passed over
            copying.note(base, (home.containers, name), gone=True)


def _end(found: Container, force: bool) -> None:
    if found.entry is None:
        return
    if not force:
        raise WrongState(f"{found.name} is running", cure="lxc-stop it first, or use -f")
    with suppress(WrongState):  # it ended by itself just now
        found.kill()
