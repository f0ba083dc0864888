"""lxc-config(1)."""

import argparse
import os
import sys

from ... import home
from . import Terminal, create

PURPOSE = "queries the configuration of the system"
USAGE = "-l: list all available configuration items\n       lxc-config item: print configuration item"
COMMON = False

#: LXC's items. Volumes of LVM and ZFS are not used here.
ITEMS = (
    "lxc.default_config", "lxc.lxcpath", "lxc.bdev.lvm.vg", "lxc.bdev.lvm.thin_pool", "lxc.bdev.zfs.root", "lxc.cgroup.use",
    "lxc.cgroup.pattern",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """-l."""
    parser.add_argument("-l", dest="list", action="store_true", help="list all supported keys")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Print the names of all items, or the value of one."""
    if asked.list:
        print("\n".join(ITEMS))
    elif not asked.words:
        print(f"Usage: lxc-config {USAGE}", file=sys.stderr)
    elif (item := asked.words[0]) not in ITEMS:
        print(f"Unknown configuration item: {item}", file=sys.stderr)
        return 1
    else:
        print(_value(item) or f"{item} is not set.")
    return 0


def _value(item: str) -> str:
    opened = home.home()
    if item == "lxc.lxcpath":
        return opened.containers
    if item == "lxc.default_config":
        return create.default_config(opened)
    if item == "lxc.cgroup.pattern":  # below the group of whoever starts it; %n is the name
        from ...primitives import cgroups

        return f"{cgroups.ROOM}/{os.path.basename(opened.runtime)}_%n"
    return ""
