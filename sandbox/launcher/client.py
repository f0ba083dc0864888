"""The way to the launcher, for whoever uses the library. It is started when it is first needed."""

import contextlib
import errno
import os
import socket
import sys
import time
from typing import Any

from ..errors import InvalidOption, LauncherLost, from_json
from ..store import Home
from . import protocol

#: The folder that is there where systemd is PID 1. sd_booted(3).
SYSTEMD = "/run/systemd/system"
#: What may be asked again when the launcher was killed before it answered: asking twice does no more than asking once.
REPEATABLE = ("hello", "settle", "wait", "freeze", "unfreeze", "stop", "update")
#: Seconds in which a launcher must have come up.
PATIENCE = 30.0

_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Isolated, without site-packages: neither PYTHONPATH nor a file beside the notebook can get in, and it starts in 40 ms. It
# forks at once, so that it is nobody's child: else it would stay a zombie of the notebook when it ends.
_KEEPER = (
    "import os, sys; os.fork() and os._exit(0); sys.path.insert(0, sys.argv[1]); "
    "from sandbox.launcher.keeper import main; main(sys.argv[2], sys.argv[3])"
)


def connect(home: Home) -> socket.socket:
    """A connection to the launcher of this shelf, which is started if there is none.

    Raises:
        LauncherLost: it does not come up; the message says what it last printed.
    """
    end = time.monotonic() + PATIENCE
    start_at, pause = 0.0, 2.0
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(f"{home.runtime}/socket")
            protocol.enlarge(sock)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
        now = time.monotonic()
        if now > end:
            raise LauncherLost("the launcher did not start", condition=_last_words(home), cure="see `sandbox doctor`")
        if now > start_at:
            _start_keeper(home)
            # One that was just ending may have been in its way. Or this machine is slow: then many would hinder each other.
            start_at, pause = now + pause, 2 * pause
        time.sleep(0.002)


def _start_keeper(home: Home) -> None:
    import subprocess

    words = [sys.executable, "-I", "-S", "-c", _KEEPER, _PACKAGE_FOLDER, home.runtime, home.path]
    kept = {name: os.environ[name] for name in ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS") if name in os.environ}
    env = {"SANDBOX_HOME": home.path, "PATH": os.defpath, "LANG": "C.UTF-8", **kept}
    with open(f"{home.runtime}/launcher.log", "ab") as log:
        for scope in (_scope(), []):
            # A session of its own: Interrupt in a notebook goes to the kernel's process group, and must not end containers.
            with contextlib.suppress(FileNotFoundError):
                made = [*scope, *words]
                done = subprocess.run(made, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=env)
                if done.returncode == 0:
                    return


def _scope() -> list[str]:
    """Where systemd runs the machine: a control group of the keeper's own, handed over to it. systemd-run(1).

    Otherwise it would stay in the group of the login session, where v2 lets nobody set limits, and end with it.
    """
    if not os.path.isdir(SYSTEMD):
        return []
    whose = [] if os.geteuid() == 0 else ["--user"]
    return ["systemd-run", *whose, "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"]


def _last_words(home: Home) -> str:
    try:
        with open(f"{home.runtime}/launcher.log", encoding="utf-8", errors="replace") as log:
            return log.read()[-400:].strip()
    except OSError:
        return ""


def ask(home: Home, message: dict[str, Any], fds: tuple[int, ...] = ()) -> tuple[dict[str, Any], list[int]]:
    """One question and its answer. A refusal comes back as the error it is."""
    for _ in range(3 if message["do"] in REPEATABLE else 0):
        with contextlib.suppress(LauncherLost), tell(home, message, fds) as sock:
            return answer(sock)
    with tell(home, message, fds) as sock:
        return answer(sock)


def tell(home: Home, message: dict[str, Any], fds: tuple[int, ...] | list[int] = ()) -> socket.socket:
    """Send one message over a new connection, which is returned. If a launcher dies before it has it, the next one gets it.

    Raises:
        InvalidOption: it is larger than a packet can be.
    """
    while True:
        sock = connect(home)
        try:
            protocol.send(sock, message, fds)
            return sock
        except OSError as error:
            sock.close()
            if error.errno == errno.EMSGSIZE:
                raise InvalidOption(
                    "what is asked for is too long", condition="it does not fit into one packet of a socket",
                    cure="pass long scripts and environments in a file: --volume",
                ) from None  # fmt: skip
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise


def end(home: Home) -> None:
    """Let launcher and keeper of this shelf end now, if there are any. Raises WrongState while a container runs."""
    if os.path.exists(f"{home.runtime}/socket"):
        ask(home, {"do": "end"})


def answer(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next answer on a connection. Raises what the launcher refused, and LauncherLost when it is gone."""
    message, fds = protocol.receive(sock)
    if message is None:
        raise LauncherLost("the launcher was killed in the middle of a request", cure="do it again: a new one is started")
    if message["event"] in ("refused", "failed"):
        raise from_json(message["error"])
    return message, fds
