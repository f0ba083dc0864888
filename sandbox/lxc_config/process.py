"""What runs in the container: its init with its environment, its name, its terminals, and the signals that it listens to."""

import os
import re

from ..errors import InvalidOption
from . import values
from .draft import Draft, Row, granted, kept

_LAST_ID = (1 << 32) - 2  # the one above is -1: "no change", for setresuid(2)


def hostname(draft: Draft, value: str, which: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value):
        raise InvalidOption(f"{value!r} is no host name", cure="use letters, digits, '-' and '.', at most 64. hostname(7)")
    draft.hostname = value


def init(draft: Draft, value: str, which: str) -> None:
    draft.args = values.command(value)


def execute(draft: Draft, value: str, which: str) -> None:
    draft.execute = values.command(value)


def cwd(draft: Draft, value: str, which: str) -> None:
    draft.cwd = values.path(value)


def uid(draft: Draft, value: str, which: str) -> None:
    draft.uid = values.whole(value, 0, _LAST_ID)


def gid(draft: Draft, value: str, which: str) -> None:
    draft.gid = values.whole(value, 0, _LAST_ID)


def environment(draft: Draft, value: str, which: str) -> None:
    """NAME=value; a bare NAME is taken from the caller's environment, where it is there."""
    name, given, content = value.partition("=")
    if not name:
        raise InvalidOption(f"{value!r} has no name", cure="write NAME=value")
    if given:
        draft.env[name] = content
    elif name in os.environ:
        draft.env[name] = os.environ[name]
    else:
        draft.note(f"there is no {name} in the environment that it should be taken from")


def halt(draft: Draft, value: str, which: str) -> None:
    draft.stop_signal = values.signal_number(value)


def reboot(draft: Draft, value: str, which: str) -> None:
    draft.reboot_signal = values.signal_number(value)


def terminals(draft: Draft, value: str, which: str) -> None:
    draft.terminals = values.whole(value, 0, 1000)


def console(draft: Draft, value: str, which: str) -> None:
    draft.console = value
    if value != "none":
        draft.note("the console is a terminal of the container's own: lxc-console -t 0 takes it")


def architecture(draft: Draft, value: str, which: str) -> None:
    here = os.uname().machine
    if value not in {"x86_64": ("x86_64", "amd64", "linux64"), "aarch64": ("aarch64", "arm64", "linux64")}.get(here, (here,)):
        draft.note(f"programs see the machine as it is: {here}; the filter of system calls knows no others")


_ON_THE_SHELF = "what the console shows is kept beside the configuration, up to a size, in any case"
_LOG = "errors are told where the command runs, and in the file that its -o names"

ROWS: dict[str, Row] = {
    "lxc.uts.name": hostname,
    "lxc.arch": architecture,
    "lxc.init.cmd": init,
    "lxc.init.cwd": cwd,
    "lxc.init.uid": uid,
    "lxc.init.gid": gid,
    "lxc.init.groups": kept("init has no supplementary groups"),
    "lxc.execute.cmd": execute,
    "lxc.environment": environment,
    "lxc.signal.halt": halt,
    "lxc.signal.reboot": reboot,
    "lxc.signal.stop": kept("what does not end by itself is ended by SIGKILL, which nothing can ignore", ("9", "SIGKILL")),
    "lxc.sched.core": kept("the core scheduler is left as it is", ("0",)),
    "lxc.proc.*": kept("no file of /proc/PID is written for the container's init"),
    "lxc.tty.max": terminals,
    "lxc.tty.dir": kept("terminals lie in /dev itself", ("lxc",)),
    "lxc.pty.max": granted,  # pseudo terminals are always the container's own; LXC does not heed the number either
    "lxc.console.path": console,
    "lxc.console.logfile": kept(_ON_THE_SHELF),
    "lxc.console.size": kept(_ON_THE_SHELF),
    "lxc.console.rotate": kept(_ON_THE_SHELF),
    "lxc.console.buffer.size": kept(_ON_THE_SHELF),
    "lxc.monitor.unshare": granted,  # nothing of a container is ever mounted in the host's mount namespace
    "lxc.monitor.signal.pdeath": kept("a container outlives the processes that watch it", ("0",)),
    "lxc.log.file": kept(_LOG),
    "lxc.log.level": kept(_LOG),
    "lxc.log.syslog": kept(_LOG),
}
