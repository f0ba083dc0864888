"""lxc-update-config(1)."""

import argparse
import os
import re
import sys

from ... import disk
from ...errors import NotFound
from ...lxc_config.keys import LEGACY
from . import Terminal

PURPOSE = "replaces the keys of LXC 1 and 2 in a configuration file by today's"
USAGE = "-h|--help [-c|--config]\nconfig: the container configuration to update"
COMMON = False

#: What there is no more.
GONE = ("lxc.rootfs.backend", "lxc.pivotdir", "lxc.kmsg")

#: A line with a key, be it commented out.
_LINE = re.compile(r"(\s*#?\s*)(lxc\.[\w.]+)(\s*=\s*)(.*)")
_NETWORK = re.compile(r"lxc\.network\.(?:(\d+)\.)?(.+)")


def arguments(parser: argparse.ArgumentParser) -> None:
    """-c."""
    parser.add_argument("-c", "--config", metavar="FILE", help="path to the configuration file to update")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Write the new file in place of the old one, which is kept as FILE.backup."""
    if not asked.config:
        print(f"{asked.command} {USAGE}", file=sys.stderr)
        return 0
    path = os.path.abspath(asked.config)
    try:
        text = disk.read_text(path)
    except OSError as error:
        raise NotFound(f"{asked.config} can't be read", condition=error.strerror or "") from None
    disk.write_text(f"{path}.backup", text)
    disk.write_text(path, updated(text))
    return 0


def updated(text: str) -> str:
    """The text of a configuration file with today's keys."""
    lines = text.splitlines(keepends=True)
    parsed = [_LINE.fullmatch(line.rstrip("\n")) for line in lines]
    backend = next((found[4].strip() for found in parsed if found and found[2] == "lxc.rootfs.backend"), "dir")
    card, new = -1, []
    for line, found in zip(lines, parsed, strict=True):
        if found is None:
            new.append(line)
            continue
        before, key, equals, value = found.groups()
        card += key == "lxc.network.type"
        if key == "lxc.rootfs":
            key, value = "lxc.rootfs.path", f"{backend}:{value}"
        elif network := _NETWORK.fullmatch(key):
            key = f"lxc.net.{network[1] or max(card, 0)}.{network[2]}{'.address' if network[2] in ('ipv4', 'ipv6') else ''}"
        elif key.startswith("lxc.limit."):
            key = key.replace("limit", "prlimit", 1)
        if key not in GONE:
            new.append(f"{before}{LEGACY.get(key, key)}{equals}{value}\n")
    return "".join(new)
