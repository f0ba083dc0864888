"""lxc-device(1)."""

import argparse
import contextlib
import os
import stat

from ...container import Container
from ...errors import InvalidOption, NotFound, NotPossibleHere, SandboxError, WrongState
from ...linux.netlink import Netlink, Setting
from . import Terminal

PURPOSE = "attach or detach DEV to or from container"
USAGE = "--name=NAME -- add|del DEV [NAME]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Move a network device into a container that runs, or back. Of nodes in /dev it says why not."""
    found = Container(asked.name, asked.home)
    if found.entry is None:
        raise WrongState(f"Container {asked.name} is not running", cure=f"lxc-start -n {asked.name}")
    if len(asked.words) not in (2, 3) or asked.words[0] not in ("add", "del"):
        raise InvalidOption("Please use add or del", cure=f"lxc-device -n {asked.name} add eth1")
    action, device, *name = asked.words
    failure = f"Failed to {action} {device} {'to' if action == 'add' else 'from'} {asked.name}"
    with contextlib.ExitStack() as opened:
        process = opened.enter_context(found.process())
        spaces = []
        for path, folder in (("/proc/self/ns/net", None), ("ns/net", process)):
            spaces.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder))
            opened.callback(os.close, spaces[-1])
        here, there = spaces if action == "add" else reversed(spaces)
        if os.path.samestat(os.fstat(here), os.fstat(there)):
            raise NotPossibleHere(failure, condition="it shares the host's network: all devices are its own already")
        links = opened.enter_context(Netlink.of(here))
        if (link := links.link(device)) is None:
            raise _no_link(failure, device)
        try:
            links.set_link(link.index, Setting(name[0] if name else device, netns_fd=there))
        except OSError as error:
            raise SandboxError(failure, condition=str(error.strerror), cure="ip link shows names and kinds") from None
    return 0


def _no_link(failure: str, device: str) -> SandboxError:
    """It is a node in /dev, or nothing."""
    try:
        mode = os.stat(device).st_mode
    except OSError:
        mode = 0
    if not stat.S_ISCHR(mode) and not stat.S_ISBLK(mode):
        return NotFound(failure, condition="there is neither a network device nor a node of that name", cure="ip link")
    why = "no node that is made in the container's /dev can be opened: root inside is nobody outside, and it is mounted nodev"
    entry = f"lxc.mount.entry = {device} {device.lstrip('/')} none bind,create=file"
    return NotPossibleHere(failure, condition=why, cure=f"in its config: {entry}; its mode says who may open it")
