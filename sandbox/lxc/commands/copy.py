"""lxc-copy(1)."""

import argparse
import os
import shlex
import sys

from ... import terminal
from ...container import Container
from ...errors import InvalidOption, NotPossibleHere
from ...home import at
from ...store import Home
from .. import copying
from . import SOURCE, Terminal

PURPOSE = "clone a container"
USAGE = """
--name=NAME [-P lxcpath] -N newname [-p newpath] [-B backingstorage] [-s] [-K] [-M] -- hook options
--name=NAME [-P lxcpath] [-N newname] [-p newpath] -e [-d] [-D] [-K] [-M] [-m {bind,overlay}=/src:/dest] -- hook options
--name=NAME [-P lxcpath] -N newname -R"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """-N, -p, -R, -s, -a, -F, -d, -e, -m, -B, -t, -L, -D, -K and -M."""
    parser.add_argument("-N", "--newname", metavar="NEWNAME", default="", help="NEWNAME for the copy")
    parser.add_argument("-R", "--rename", action="store_true", help="rename container")
    copying_options(parser)
    parser.add_argument("-p", "--newpath", metavar="NEWPATH", default="", help="NEWPATH for the container to be stored")
    parser.add_argument("-a", "--allowrunning", action="store_true", help="allow a copy even if the container is running")
    parser.add_argument("-e", "--ephemeral", action="store_true", help="start ephemeral container")
    parser.add_argument("-F", "--foreground", dest="foreground", action="store_true", default=False,
                        help="start with current tty attached to /dev/console")  # fmt: skip
    parser.add_argument("-d", "--daemon", dest="foreground", action="store_false", default=False,
                        help="daemonize the container (default)")  # fmt: skip
    parser.add_argument("-m", "--mount", metavar="MOUNT", action="append", default=[],
                        help="directory to mount into container:\nbind=/src-path or bind=/src-path:/dst-path")  # fmt: skip
    parser.add_argument("-t", "--tmpfs", action="store_true", help="place ephemeral container on a tmpfs")
    parser.add_argument("-D", "--keepdata", action="store_true", help="pass together with -e start a persistent snapshot")


def copying_options(parser: argparse.ArgumentParser) -> None:
    """-s, -B, -L, -K and -M, which lxc-clone had, too."""
    parser.add_argument("-s", "--snapshot", action="store_true", help="create snapshot instead of clone: an overlay over it")
    parser.add_argument("-B", "--backingstorage", metavar="TYPE", default="", help="dir or overlay: backing of the copy")
    parser.add_argument("-L", "--fssize", metavar="SIZE", help="size of the new block device (there is none here)")
    parser.add_argument("-K", "--keepname", action="store_true", help="keep the hostname of the original container")
    parser.add_argument("-M", "--keepmac", action="store_true", help="keep the MAC address of the original container")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Copy it, rename it, or start a copy that goes with its end."""
    if not asked.newname and not asked.ephemeral:
        raise InvalidOption("You must provide a NEWNAME for the clone", cure="lxc-copy -n NAME -N NEWNAME")
    if asked.rename:
        copying.rename(asked.home, asked.name, asked.newname)
    elif asked.ephemeral:
        return _ephemeral(asked, io)
    else:
        if asked.mount or asked.tmpfs or asked.keepdata:
            raise InvalidOption("-m, -t and -D are for a container that is started at once", cure="use them together with -e")
        do_copy(asked, asked.newname, running=asked.allowrunning, arguments=asked.words)
    return 0


def do_copy(asked: argparse.Namespace, new: str, *, backing: str = "", running: bool = False,
            arguments: list[str] | None = None, lines: list[tuple[str, str]] | None = None) -> Home:  # fmt: skip
    """Make the copy that the options ask for; returns where it is."""
    to = at(asked.newpath) if asked.newpath else asked.home
    backing = backing or asked.backingstorage.replace("overlayfs", "overlay") or ("overlay" if asked.snapshot else "")
    copying.copy(
        asked.home, asked.name, new, to, backing=backing, keep_name=asked.keepname, keep_mac=asked.keepmac,
        running=running, arguments=arguments or [], lines=lines or [],
    )  # fmt: skip
    return to


def _ephemeral(asked: argparse.Namespace, io: Terminal) -> int:
    """Start an overlay clone, which is destroyed when it stops, unless its data are to be kept (-D)."""
    if asked.foreground and io.notebook:
        raise NotPossibleHere("a cell is no terminal", cure="leave -F out, and then %lxc_console")
    if asked.tmpfs and asked.keepdata:
        raise InvalidOption("-t and -D exclude each other", condition="what is in memory can't be kept")
    new = asked.newname or f"{asked.name}_{os.urandom(3).hex()}"
    lines = [("lxc.mount.entry", _mount_entry(mount)) for mount in asked.mount]
    if not asked.keepdata:
        where = at(asked.newpath) if asked.newpath else asked.home
        lines += [("lxc.ephemeral", "1"), ("lxc.hook.post-stop", _destruction(where, new))]
    to = do_copy(asked, new, backing="tmpfs" if asked.tmpfs else "overlay", running=True, lines=lines)
    if not asked.quiet:
        print(f"Created {new} as clone of {asked.name}")
    started = Container(new, to)
    if asked.foreground and not asked.words:
        job = started.start_job()
        terminal.carry(job, stdin=True)
        return job.result().exit_code
    started.start()
    if not asked.words:
        return 0
    job = started.spawn(asked.words, tty=io.interactive)
    terminal.carry(job, stdin=True)
    started.stop()
    return job.result().exit_code


def _destruction(home: Home, name: str) -> str:
    """The hook that destroys a container which has stopped: whoever stops it, and however."""
    env = {"SANDBOX_HOME": home.path, "PYTHONPATH": SOURCE}
    words = ["env", *(f"{key}={value}" for key, value in env.items()), sys.executable, "-m", "sandbox", "lxc-destroy",
             *(["-P", home.lxcpath] if home.lxcpath else []), "-q", "-n", name, "--"]  # fmt: skip
    return shlex.join(words)


def _mount_entry(text: str) -> str:
    """bind=/SOURCE[:/DESTINATION][:OPTIONS] as a line of fstab(5). Raises InvalidOption."""
    kind, _, rest = text.partition("=")
    parts = rest.split(":")
    if kind == "overlay":
        raise NotPossibleHere("an overlay can't be mounted into a container", cure="bind=/SOURCE:/DESTINATION:ro shows it")
    if kind != "bind" or not parts[0].startswith("/") or len(parts) > 3:
        raise InvalidOption(f"-m {text} is no mount", cure="write bind=/SOURCE, or bind=/SOURCE:/DESTINATION:ro")
    source = parts[0]
    destination = next((part for part in parts[1:] if part.startswith("/")), source)
    options = next((part for part in parts[1:] if not part.startswith("/")), "rw")
    create = "create=dir" if os.path.isdir(source) else "create=file"
    return f"{source} {destination.lstrip('/')} none bind,optional,{options},{create} 0 0"
