"""lxc-unshare(1)."""

import argparse
import os
import pwd

from ... import unsharing
from ...errors import InvalidOption, NotFound
from ...spec import NamespaceName
from . import Terminal

PURPOSE = "run a COMMAND in a new set of NAMESPACES"
USAGE = "-s NAMESPACES COMMAND"
HOME = False

#: LXC's words, and those of the kernel that it takes, too.
KINDS: dict[str, NamespaceName] = {
    "MOUNT": "mount", "PID": "pid", "UTSNAME": "uts", "IPC": "ipc", "USER": "user", "NETWORK": "network", "CGROUP": "cgroup",
    "MNT": "mount", "UTS": "uts", "NET": "network",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """All of them, and one that is ours: --plan."""
    shown = "ORed list of flags to unshare:\nMOUNT, PID, UTSNAME, IPC, USER, NETWORK"
    parser.add_argument("-s", "--namespaces", metavar="FLAGS", help=shown)
    parser.add_argument("-u", "--user", metavar="USERID", help="new id to be set if -s USER is specified")
    parser.add_argument("-H", "--hostname", help="Set the hostname in the container")
    what = "Interface name to be moved into container (presumably with NETWORK unsharing set)"
    parser.add_argument("-i", "--ifname", action="append", default=[], help=what)
    parser.add_argument("-d", "--daemon", action="store_true", help="Daemonize (do not wait for container to exit)")
    what = "Remount default fs inside container (/proc /dev/shm /dev/mqueue)"
    parser.add_argument("-M", "--remount", action="store_true", help=what)
    parser.add_argument("--plan", action="store_true", help="print the plan, and run nothing")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Run it; returns its exit code."""
    if not asked.words:
        raise InvalidOption("A command to execute in the new namespace is required", cure="lxc-unshare -s UTSNAME -- sh")
    if not asked.namespaces:
        raise InvalidOption("A namespace to execute command is required", cure="lxc-unshare -s 'NETWORK|IPC' -- COMMAND")
    kinds = _kinds(asked.namespaces)
    for option, given, word in (("-i <interfacename>", asked.ifname, "NETWORK"), ("-H <hostname>", asked.hostname, "UTSNAME"),
                                ("-M", asked.remount, "MOUNT")):  # fmt: skip
        if given and KINDS[word] not in kinds:
            raise InvalidOption(f"{option} needs -s {word} option")
    user, maps = None if asked.user is None else _uid(asked.user), {}
    if user is not None and "user" in kinds:
        maps = {"uid": ((user, os.geteuid(), 1),), "gid": ((os.getegid(), os.getegid(), 1),)}
    made = unsharing.plan(
        kinds, asked.words, **maps, user=user, hostname=asked.hostname or "", remount=asked.remount, links=asked.ifname
    )
    if asked.plan:
        print(made)
        return 0
    return unsharing.carry_out(made, wait=not asked.daemon, alone=not io.notebook)


def _kinds(text: str) -> list[NamespaceName]:
    words = [word.strip().upper() for word in text.replace(" ", "|").split("|") if word.strip()]
    for word in words:
        if word not in KINDS:
            raise InvalidOption(f"there is no namespace {word!r}", cure="lxc-unshare --help lists them")
    return list(dict.fromkeys(KINDS[word] for word in words))


def _uid(text: str) -> int:
    """The number of a user of the host, by number or name."""
    try:
        return pwd.getpwuid(int(text)).pw_uid if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise NotFound(f"invalid user {text!r}", condition="/etc/passwd does not know it", cure="getent passwd") from None
