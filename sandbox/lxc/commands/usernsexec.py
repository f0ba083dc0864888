"""lxc-usernsexec(1)."""

import argparse
import os
import re

from ... import host, unsharing
from ...errors import InvalidOption, NotFound
from . import Terminal

PURPOSE = "runs a task as root in a new user namespace"
USAGE = "[-h] [-m <uid-maps>] [-s] -- [command [arg ..]]"
COMMON = False

_MAP = re.compile(r"([ugb]):(\d+):(\d+):(\d+)")


def arguments(parser: argparse.ArgumentParser) -> None:
    """-m and -s, and one that is ours: --plan."""
    maps = "uid maps to use: [u|g|b]:ns_id:host_id:range\nu, g or b: map user ids, group ids, or both\n"
    maps += "default: the ranges that /etc/subuid and /etc/subgid grant you"
    parser.add_argument("-m", dest="maps", action="append", default=[], metavar="MAP", help=maps)
    parser.add_argument("-s", dest="self", action="store_true", help="map self, too")
    parser.add_argument("--plan", action="store_true", help="print the plan, and run nothing")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Run it; returns its exit code."""
    rows = _given(asked.maps) if asked.maps else _granted()
    if asked.self:
        for kind, own in (("u", os.geteuid()), ("g", os.getegid())):
            rows[kind].append((_free(rows[kind]), own, 1))
    for kind, word in (("u", "user"), ("g", "group")):
        if _free(rows[kind]) == 0:
            raise InvalidOption(f"{word} 0 is not mapped", cure=f"it is who runs the command: -m {kind}:0:100000:65536")
    made = unsharing.plan(
        ("user", "mount"), asked.words or ["/bin/sh"], uid=tuple(rows["u"]), gid=tuple(rows["g"]), user=0
    )  # fmt: skip
    if asked.plan:
        print(made)
        return 0
    return unsharing.carry_out(made, alone=not io.notebook)


Rows = dict[str, list[tuple[int, int, int]]]


def _given(maps: list[str]) -> Rows:
    rows: Rows = {"u": [], "g": []}
    for text in maps:
        if not (found := _MAP.fullmatch(text)):
            raise InvalidOption(f"{text!r} is no map", cure="-m b:0:100000:65536")
        for kind in "ug" if found[1] == "b" else found[1]:
            rows[kind].append((int(found[2]), int(found[3]), int(found[4])))
    return rows


def _granted() -> Rows:
    if (ranges := host.subid_ranges()) is None:
        raise NotFound("Failed to find subuid or subgid allocation", condition="/etc/subuid or /etc/subgid grants you nothing",
                       cure="-m b:0:100000:65536, or see subuid(5)")  # fmt: skip
    return {kind: [(0, ids.start, len(ids))] for kind, ids in zip("ug", ranges, strict=True)}


def _free(rows: list[tuple[int, int, int]]) -> int:
    """The first id inside that is not mapped."""
    free = 0
    while row := next((row for row in rows if row[0] <= free < row[0] + row[2]), None):
        free = row[0] + row[2]
    return free
