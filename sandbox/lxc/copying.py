"""lxc-copy: another container with the same files, whole or as an overlay over them; and a container with another name.

What differs from the original: its name, in the config and in /etc/hostname; the addresses of its network cards, unless they
are to be kept; and paths in its config into the original's folder, whose files go along. lxc-copy(1).
"""

import os
import re
from collections.abc import Sequence

from .. import dependents, disk, disk_copy, lxc_config, networks
from ..errors import AlreadyExists, InvalidOption, NotFound, WrongState
from ..home import at
from ..launcher.ledger import Ledger, is_alive
from ..lxc_config.file import Config, finish_renaming, renamed
from ..lxc_config.net import renew_hwaddrs
from ..primitives import hooks
from ..store import Home
from . import roots

#: What a container's folder holds that a copy has made anew, or has no use for.
_OWN = ("config", "rootfs", "overlay", dependents.CLONES, dependents.BASES, dependents.SNAPSHOTS)


def copy(home: Home, name: str, new: str, to: Home | None = None, *, backing: str = "", keep_name: bool = False,
         keep_mac: bool = False, running: bool = False, arguments: Sequence[str] = (),
         lines: Sequence[tuple[str, str]] = ()) -> None:  # fmt: skip
    """Make the container `new` as a copy of `name`. After an error or an interrupt nothing is left of it.

    Args:
        to: where it shall be, if not in the same folder of containers.
        backing: "dir" (the default), all files copied; "overlay", which has only what it writes, and needs its original; or
            "tmpfs", an overlay that forgets what it writes when it stops.
        running: copy one that runs, as it is at some moment; it may be in the middle of something.
        arguments: for the hooks of type "clone".
        lines: further keys of the config, and their values.

    Raises:
        AlreadyExists, NotFound.
        WrongState: the original runs.
    """
    with home.lock(name):
        if not running:
            refuse_running(home, name)
        make(home.folder(name), name, new, to or home, backing=backing, keep_name=keep_name, keep_mac=keep_mac,
             arguments=arguments, lines=lines)  # fmt: skip


def make(original: str, name: str, new: str, to: Home, *, backing: str = "", keep_name: bool = False, keep_mac: bool = False,
         arguments: Sequence[str] = (), lines: Sequence[tuple[str, str]] = ()) -> None:  # fmt: skip
    """`copy` of the container `name` as it lies in the folder `original`; hold its lock."""
    final = to.folder(new)
    with to.build(new) as folder:
        duplicate(original, name, folder, backing)
        config = Config.read(f"{folder}/config")
        if not keep_mac:
            renew_hwaddrs(config)
        if not keep_name:
            config.set("lxc.uts.name", new)
        for key, value in lines:
            config.append(key, value)
        config.write()
        if not keep_name and config.get("lxc.rootfs.path"):
            roots.set_hostname(lxc_config.read(folder, new).root, new)
        run_hooks(folder, new, "clone", arguments, {"LXC_SRC_NAME": name})
        settle(folder, final)
        for base in dependents.bases(folder):
            note(base, (to.containers, new), held=original)


def duplicate(original: str, name: str, folder: str, backing: str = "") -> None:
    """Fill `folder` with all that the container in `original` has, and a config that speaks of `folder` instead."""
    if not os.path.exists(f"{original}/config"):
        raise NotFound("Container is not defined", condition=f"{original} has no config in LXC's format")
    text = Config.read(f"{original}/config").text()  # what is wrong is told of this file, not of a copy that goes again
    if backing not in ("", "dir", "overlay", "tmpfs"):
        raise InvalidOption(f"{backing}: there is no such backing store here", cure="use dir or overlay")
    disk_copy.copy_entries(original, folder, [part for part in _companions(original, text) if part not in _OWN])
    config = Config(_moved(text, original, folder), f"{folder}/config")
    if config.get("lxc.rootfs.path"):
        root = lxc_config.read(original, name).root
        if backing in ("overlay", "tmpfs"):
            config.set("lxc.rootfs.path", roots.overlay_root(root, folder, memory=backing == "tmpfs"))
            own = (
                [] if root.upper else [os.path.split(original)]
            )  # what an overlay wrote was copied; what it stands on was not
            dependents.write_bases(folder, own + dependents.bases(original))
        else:
            config.set("lxc.rootfs.path", roots.copy_root(root, folder))
    config.write()


def settle(folder: str, final: str) -> None:
    """Let the config of a container that is complete speak of its final folder."""
    path = f"{folder}/config"
    disk.write_text(path, _moved(disk.read_text(path), folder, final))


def _companions(original: str, text: str) -> list[str]:
    """What lies in a container's folder and goes with it: root's password, and what the config names (hooks, fstab …)."""
    named = {"tmp_root_pass", *re.findall(rf"{re.escape(original)}/([^/\s:,\"']+)", text)}
    named |= {value.split("/")[0] for value in re.findall(r"(?m)^\s*lxc\.include\s*=\s*[\"']?([^/\s\"'][^\s\"']*)", text)}
    return [entry for entry in os.listdir(original) if entry in named]


def _moved(text: str, old: str, new: str) -> str:
    """The same text, with the paths below `old` now below `new`."""
    return re.sub(rf"(?<![\w./-]){re.escape(old)}(?=/)", lambda found: new, text)


def refuse_running(home: Home, name: str) -> None:
    """Raises WrongState while the container runs."""
    entry = Ledger(home.ledger).entry(name)
    if entry and is_alive(entry):
        raise WrongState(f"{name} is running", cure=f"lxc-stop -n {name}")


def note(base: dependents.Place, clone: dependents.Place, *, held: str = "", gone: bool = False) -> None:
    """Note a clone at its base, or that it is gone. `held` is the folder of the container whose lock is held already."""
    change = dependents.drop if gone else dependents.add
    if os.path.join(*base) == held:
        change(base, clone)
        return
    if not os.path.isdir(os.path.join(*base)):  # `at` would make the folder
        raise NotFound(f"there is no container {base[1]!r} in {base[0]}")
    with at(base[0]).lock(base[1]):
        change(base, clone)


def run_hooks(folder: str, name: str, when: str, arguments: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
    """Run the hooks of one kind of the container in `folder`, with its root mounted. Raises KernelRefused: one failed."""
    try:
        text = disk.read_text(f"{folder}/config")
    except (OSError, InvalidOption):  # there is none, or no text: then it names no hook, and may be destroyed
        return
    if f"lxc.hook.{when}" not in text:
        return
    spec = lxc_config.read(folder, name)
    for hook in spec.hooks:
        if hook.when == when:
            with roots.mounted(spec.root) as mount:
                told = dict(item.split("=", 1) for item in hook.env) | (env or {})
                told |= {"LXC_HOOK_TYPE": when, "LXC_ROOTFS_MOUNT": mount}
                hooks.run((*hook.args, *arguments), told, when)


def rename(home: Home, name: str, new: str) -> None:
    """Give a container another name. Raises AlreadyExists, NotFound, and WrongState: it runs, or others stand on it."""
    old, final = home.folder(name), home.folder(new)
    with home.lock(name):
        refuse_running(home, name)
        if dependents.clones(old) or dependents.has_snapshots(old):
            raise WrongState(f"Renaming a container with snapshots is not supported: {name} has some")
        if os.path.lexists(final):
            raise AlreadyExists("Container already exists", cure="choose another name")
        bases = dependents.bases(old)
        for base in bases:
            note(base, (home.containers, new))
        config = Config(_moved(Config.read(f"{old}/config").text(), old, final), f"{old}/config")
        config.set("lxc.uts.name", new)
        config.write(renamed(old, new))
        os.rename(old, final)
        finish_renaming(final)  # whoever reads the config first does that, if we are killed here
        disk.sync_folder(home.containers)
        networks.release(home, name)
        for base in bases:
            note(base, (home.containers, name), gone=True)
        if config.get("lxc.rootfs.path"):
            roots.set_hostname(lxc_config.read(final, new).root, new)
