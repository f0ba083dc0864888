"""lxc-destroy: a container taken off the shelf, unless others stand on it. lxc-destroy(1)."""

import os

from .. import dependents
from ..container import Container
from ..errors import NotFound, WrongState
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
    if not os.path.isdir(folder) and found.entry is None:
        raise NotFound("Container is not defined", cure="lxc-ls lists those that there are")
    if snapshots:
        for path, clone in dependents.clones(folder):
            destroy(at(path), clone, force=force)
    refuse_dependents(folder, name, snapshots)
    if found.entry is not None:
        if not force:
            raise WrongState(f"{name} is running", cure="lxc-stop it first, or use -f")
        found.kill()
    if not os.path.isdir(folder):
        return  # it was ephemeral
    with home.lock(name):
        copying.refuse_running(home, name)
        refuse_dependents(folder, name, snapshots)
        bases = dependents.bases(folder)
        if os.path.exists(f"{folder}/config"):
            copying.run_hooks(folder, name, "destroy")
        home.remove(name)
    for base in bases:
        copying.note(base, (home.containers, name), gone=True)


def refuse_dependents(folder: str, name: str, snapshots: bool = False) -> None:
    """Raises WrongState while a container has clones, or (without `snapshots`) snapshots."""
    if clones := dependents.clones(folder):
        names = ", ".join(clone for _, clone in clones)
        raise WrongState(f"Destroying {name} failed: {name} has clones", condition=f"{names} stand on its files",
                         cure="destroy them first, or all together with -s")  # fmt: skip
    if dependents.has_snapshots(folder) and not snapshots:
        raise WrongState(f"Destroying {name} failed: {name} has snapshots", cure="destroy them with it by -s")
