"""lxc-start(1)."""

import argparse
import os

from ... import lxc_config, terminal
from ...container import Container, launch
from ...errors import InvalidOption, LauncherLost, NotFound, NotPossibleHere, WrongState
from ...job import Job
from ...spec import Spec
from ...starting import spawn
from ...store import Home
from . import SOURCE, Terminal, complain

PURPOSE = """start COMMAND in specified container NAME

Without -d and -F: in the foreground when a person typed it at a terminal, otherwise (in a script, say) as a daemon."""
USAGE = "--name=NAME -- COMMAND"

#: The namespaces that --share-… names, as lxc.namespace.share has them.
SHARED = ("net", "ipc", "uts", "pid")


def arguments(parser: argparse.ArgumentParser) -> None:
    """-d, -F, -p, -c, -L, -C, and those of `configuration`."""
    parser.add_argument(
        "-d", "--daemon", dest="foreground", action="store_false", default=None, help="Daemonize the container"
    )
    parser.add_argument("-F", "--foreground", dest="foreground", action="store_true", default=None,
                        help="Start with the current tty attached to /dev/console")  # fmt: skip
    parser.add_argument("-p", "--pidfile", metavar="FILE", help="Create a file with the process id")
    configuration(parser)
    parser.add_argument("-c", "--console", metavar="FILE", help="'none': without a terminal as console")
    parser.add_argument("-L", "--console-log", metavar="FILE", help="Log container console output to FILE")
    parser.add_argument("-C", "--close-all-fds", action="store_true", help="If any fds are inherited, close them (always so)")


def configuration(parser: argparse.ArgumentParser) -> None:
    """-f, -s and --share-…, which lxc-execute has, too."""
    parser.add_argument("-f", "--rcfile", metavar="FILE", help="Load configuration file FILE")
    parser.add_argument("-s", "--define", metavar="KEY=VAL", action="append", default=[],
                        help="Assign VAL to configuration variable KEY")  # fmt: skip
    for kind in SHARED:
        what = "Share a namespace with another container" if kind == "net" else "(only the network can be shared)"
        parser.add_argument(f"--share-{kind}", metavar="NAME", help=what)


def configured(asked: argparse.Namespace, home: Home, name: str) -> lxc_config.Config:
    """The container's configuration, or that of -f, and after it what -s and --share-… say. Raises InvalidOption, NotFound."""
    folder = home.folder(name)
    if not asked.rcfile and not os.path.exists(f"{folder}/config"):
        raise NotFound("No container config specified", cure="lxc-create makes a container, lxc-ls lists them")
    config = lxc_config.Config.read(asked.rcfile or f"{folder}/config")
    shared = [f"lxc.namespace.share.{kind}={value}" for kind in SHARED if (value := vars(asked)[f"share_{kind}"])]
    console = [f"lxc.console.path={asked.console}"] if getattr(asked, "console", None) else []
    for line in (*shared, *console, *asked.define):
        key, equals, value = line.partition("=")
        if not equals:
            raise InvalidOption(f"-s {line}: there is no '='", cure="write KEY=VALUE")
        config.append(key.strip(), value.strip())
    return config


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Start it: 0 for a daemon that runs; in the foreground how its init ended."""
    found = Container(asked.name, asked.home)
    if found.entry is not None:
        complain(asked, "Container is already running")
        return 0  # so says LXC, and scripts rely on it
    if not found.on_shelf and not asked.rcfile:
        raise NotFound("No container config specified", cure="lxc-create makes a container, lxc-ls lists them")
    changed = asked.rcfile or asked.define or asked.words or asked.console or any(vars(asked)[f"share_{k}"] for k in SHARED)
    spec = None
    if changed or os.path.exists(f"{asked.home.folder(asked.name)}/config"):
        config = configured(asked, asked.home, asked.name)
        spec = _spec(asked, config) if changed else None
        for note in lxc_config.notes(config):
            complain(asked, note, "WARN")
    if asked.console_log:
        _copy_console(asked)
    if in_foreground(asked, io):
        return _foreground(found, spec, asked, io)
    try:
        begin(found, spec)
    except WrongState:
        if found.entry is None:
            raise
        complain(asked, "Container is already running")  # somebody else was faster
        return 0
    except LauncherLost:
        if found.state != "RUNNING":  # else it had begun before
            raise
    if asked.pidfile and (entry := found.entry):
        _write_pid(asked.pidfile, entry["pid"])
    return 0


def begin(found: Container, spec: Spec | None) -> None:
    """Start a daemon. Without a folder of its own, by a Spec alone, nothing of it is kept."""
    if spec and not found.on_shelf:
        launch(spec)
    else:
        found.start(spec)


def begin_job(found: Container, spec: Spec | None, io: Terminal) -> Job:
    """Start one that we are the console of, or the streams."""
    if spec and not found.on_shelf:
        return spawn(spec, interactive=not io.notebook)
    return found.start_job(spec)


def _spec(asked: argparse.Namespace, config: lxc_config.Config) -> Spec:
    from dataclasses import replace

    spec = lxc_config.spec(config, asked.name, asked.home.folder(asked.name))
    return replace(spec, process=replace(spec.process, args=tuple(asked.words))) if asked.words else spec


def in_foreground(asked: argparse.Namespace, io: Terminal) -> bool:
    """Whether a person is to see it: as told, or because that person typed it. A shell makes such a command the leader of a
    process group of its own, which it does with no command of a script. setpgid(2)
    """
    if asked.foreground is not None:
        return bool(asked.foreground)
    return io.interactive and os.getpgrp() == os.getpid()


def _foreground(found: Container, spec: Spec | None, asked: argparse.Namespace, io: Terminal) -> int:
    if io.notebook:
        raise NotPossibleHere("a cell is no terminal", cure="-d, and then %lxc_console")
    job = begin_job(found, spec, io)
    while asked.pidfile and not (job.pid or job.done):
        for _, data in job.poll(0.2):
            terminal.write(1, data)
    if asked.pidfile and job.pid:
        _write_pid(asked.pidfile, job.pid)
    terminal.carry(job, stdin=True)
    return job.result().exit_code


def _write_pid(path: str, pid: int) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{pid}\n")


def _copy_console(asked: argparse.Namespace) -> None:
    """Have what the console shows written to a file, too, from now until it ends, by a process that outlives this one."""
    import subprocess
    import sys

    command = [sys.executable, "-c", _COPY, asked.home.containers, asked.name]
    with open(asked.console_log, "ab") as file:
        env = {**os.environ, "PYTHONPATH": SOURCE}
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, start_new_session=True, env=env)


_COPY = """
import sys, time
from sandbox import home, container
found, begun = container.Container(sys.argv[2], home.at(sys.argv[1])), time.time()
while found.entry is None and time.time() - begun < 10:
    time.sleep(0.05)
for piece in found.follow():
    if piece and piece[0] >= begun - 1:
        sys.stdout.buffer.write(piece[2])
        sys.stdout.buffer.flush()
"""
