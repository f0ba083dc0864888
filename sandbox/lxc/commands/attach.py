"""lxc-attach(1)."""

import argparse
import os
import re
from collections.abc import Collection
from typing import Any

from ...container import Container
from ...errors import InvalidOption, NotPossibleHere
from ...linux import syscalls
from . import Terminal, streams

PURPOSE = "executes the specified COMMAND in the container NAME; without one, the shell of its user"
USAGE = "--name=NAME [-- COMMAND]"

#: The words of -s, and the names that these namespaces have in /proc/PID/ns.
NAMESPACES = {
    "MOUNT": "mnt", "PID": "pid", "UTSNAME": "uts", "IPC": "ipc", "USER": "user", "NETWORK": "net", "CGROUP": "cgroup",
}  # fmt: skip
PRIVILEGES = ("CAP", "CGROUP", "LSM")


def arguments(parser: argparse.ArgumentParser) -> None:
    """-e, -a, -s, -R, --clear-env, --keep-env, -L, -v, --keep-var, -f, -u, -g and -c."""
    add = parser.add_argument
    add("-e", "--elevated-privileges", metavar="PRIVILEGES", nargs="?", const="|".join(PRIVILEGES),
        help="Use all privileges of whoever calls this, in the\ncontainer's namespaces. CAP, CGROUP and LSM come together.\n"
        "WARNING: This may leak privileges into the container.")  # fmt: skip
    add("-a", "--arch", metavar="ARCH", help="Use ARCH for program (only the machine's own)")
    add("-s", "--namespaces", metavar="FLAGS", help="Attach to just these namespaces of the container, a list with |\nof "
        f"{', '.join(NAMESPACES)}. Implies -e.")  # fmt: skip
    add("-R", "--remount-sys-proc", action="store_true", help="With -s and without MOUNT: mount /sys and /proc anew")
    add("--clear-env", action="store_true", help="Clear all environment variables before attaching")
    add("--keep-env", action="store_true", help="Keep all current environment variables (the default)")
    add("-L", "--pty-log", metavar="FILE", help="Log pty output to FILE")
    add("-v", "--set-var", metavar="VAR=VALUE", action="append", default=[], help="Set an additional variable")
    add("--keep-var", metavar="VAR", action="append", default=[], help="Keep an additional variable, with --clear-env")
    add("-f", "--rcfile", metavar="FILE", help="Load configuration file FILE")
    add("-u", "--uid", metavar="UID", type=int, help="Execute COMMAND with UID inside the container")
    add("-g", "--gid", metavar="GID", type=int, help="Execute COMMAND with GID inside the container")
    add("-c", "--context", metavar="CONTEXT", help="SELinux Context to transition into (there is none here)")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Run it, with a terminal of its own if this is one; returns its exit code."""
    found = Container(asked.name, asked.home)
    in_place = bool(asked.namespaces or asked.elevated_privileges)
    if io.notebook and in_place and not asked.words:
        raise NotPossibleHere("a cell is no terminal", cure="give a command")
    user, group = asked.uid or 0, asked.gid if asked.gid is not None else asked.uid or 0
    with found.process() as process:
        command = asked.words or [_shell(process, user)]
        if in_place:
            return _enter(asked, io, process, command)
    as_whom: dict[str, Any] = {"user": f"{user}:{group}"} if asked.uid is not None or asked.gid is not None else {}
    tty = io.interactive or (io.notebook and not asked.words)
    job = found.spawn(command, tty=tty, interactive=not io.notebook, env=environment(asked), **as_whom)
    return streams.follow(job, asked, io)


def environment(asked: argparse.Namespace) -> list[str]:
    """The variables that it gets on top of the container's own. Raises InvalidOption."""
    for setting in asked.set_var:
        if "=" not in setting:
            raise InvalidOption(f"-v {setting}: there is no '='", cure="write VAR=VALUE")
    kept = asked.keep_var if asked.clear_env else list(os.environ)
    # A name that is none for a shell (bash puts whole functions there) is nothing for others.
    ours = [
        f"{name}={os.environ[name]}" for name in kept if name in os.environ and re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    ]
    return [*ours, "container=lxc", *asked.set_var]


def _shell(process: int, user: int) -> str:
    """The shell of that user, by the container's own /etc/passwd, which is hostile. passwd(5)"""
    try:
        root = os.open("root", os.O_PATH | os.O_CLOEXEC, dir_fd=process)
        try:
            file = syscalls.openat2(root, "etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(root)
        with open(file, "rb") as passwd:
            lines = passwd.read(1 << 20).decode("utf-8", "replace").splitlines()
    except OSError:
        return "/bin/sh"
    fields = (line.split(":") for line in lines)
    return next((words[6] for words in fields if len(words) == 7 and words[2] == str(user) and words[6]), "/bin/sh")


def _enter(asked: argparse.Namespace, io: Terminal, process: int, command: list[str]) -> int:
    """With our own privileges, in some namespaces: that is nsenter(1). With -R, in a mount namespace of its own beside."""
    import subprocess

    kinds = _words(asked.namespaces or "|".join(NAMESPACES), NAMESPACES)
    _words(asked.elevated_privileges or PRIVILEGES[0], PRIVILEGES)
    if asked.remount_sys_proc and "MOUNT" not in kinds:
        script = 'mount -t proc proc /proc && mount -t sysfs sysfs /sys && exec "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command]
    whom = [f"--setuid={asked.uid or 0}", f"--setgid={asked.uid or 0 if asked.gid is None else asked.gid}"]
    # By our descriptor: its number may be another process's by now. And it stays ours: it leads to the host's /proc.
    place = f"/proc/{os.getpid()}/fd/{process}/ns"
    spaces = [f"--{NAMESPACES[kind].replace('mnt', 'mount')}={place}/{NAMESPACES[kind]}" for kind in kinds]
    words = ["nsenter", *spaces, *whom, "--", *command]
    env = dict(setting.split("=", 1) for setting in environment(asked))
    null, pipe, same = (subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT) if io.notebook else (None, None, None)
    try:
        done = subprocess.run(words, env=env, stdin=null, stdout=pipe, stderr=same, check=False)
    except FileNotFoundError:
        raise NotPossibleHere("there is no nsenter", cure="apt-get install util-linux") from None
    print((done.stdout or b"").decode("utf-8", "replace"), end="")
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _words(text: str, known: Collection[str]) -> list[str]:
    """The words of a list with | between them. Raises InvalidOption."""
    words = text.upper().split("|")
    for word in words:
        if word not in known:
            raise InvalidOption(f"{word!r} is unknown", cure=f"a list with | of {', '.join(known)}")
    return words
