"""lxc-execute(1)."""

import argparse
from dataclasses import replace

from ... import lxc_config
from ...container import Container
from ...errors import InvalidOption
from ...spec import Spec
from ...starting import spec_for
from . import Terminal, start, streams

PURPOSE = """creates a container with the identifier NAME
and execs COMMAND into this container: an init of ours is its first process, COMMAND the second.

Without a configuration, of a container of that name or by -f, it sees this machine's programs, read-only."""
USAGE = "--name=NAME -- COMMAND"


def arguments(parser: argparse.ArgumentParser) -> None:
    """-d, -u, -g, and those of a start's configuration."""
    parser.add_argument("-d", "--daemon", action="store_true", help="Daemonize the container")
    start.configuration(parser)
    parser.add_argument("-u", "--uid", metavar="UID", type=int, help="Execute COMMAND with UID inside the container")
    parser.add_argument("-g", "--gid", metavar="GID", type=int, help="Execute COMMAND with GID inside the container")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Run it; returns its exit code, or 0 for a daemon."""
    found = Container(asked.name, asked.home)
    spec = _spec(asked, found.on_shelf or bool(asked.rcfile))
    spec = replace(spec, process=replace(spec.process, terminal=io.interactive and not asked.daemon))
    if asked.daemon:
        start.begin(found, spec)
        return 0
    return streams.follow(start.begin_job(found, spec, io), asked, io)


def _spec(asked: argparse.Namespace, configured: bool) -> Spec:
    if configured:
        config = start.configured(asked, asked.home, asked.name)
        spec = lxc_config.spec(config, asked.name, asked.home.folder(asked.name))
        command = tuple(asked.words) or lxc_config.execute(config)
    else:
        command = tuple(asked.words)
    if not command:
        raise InvalidOption("missing command to execute", cure="lxc-execute -n NAME -- COMMAND")
    if not configured:
        spec = spec_for("host", list(command), name=asked.name)
    process = replace(spec.process, args=command, init=True)
    if asked.uid is not None or asked.gid is not None:
        process = replace(process, user=f"{asked.uid or 0}:{asked.gid or 0}")
    return replace(spec, process=process, system=False, terminals=0)
