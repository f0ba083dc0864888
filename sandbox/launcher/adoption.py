"""What another launcher left: what runs is adopted, the outcome of what ended is noted, the rest is undone."""

import fcntl
import os
from typing import Any

from ..linux import constants as c
from ..linux import files
from . import records
from .launcher import Launcher
from .ledger import SPARE, is_present, undo
from .runs import Run

#: Seconds that a foreground container waits for its client to come back after a launcher was killed.
REUNION = 3.0
#: Seconds in which the keeper's word on an exit must have come.
WORD = 0.2


def adopt_all(launcher: Launcher, held: dict[str, dict[str, int]], exits: dict[int, int]) -> None:
    """Go through the ledger. `held` and `exits` are what the keeper has: descriptors by container, statuses by pid."""
    spare = launcher.ledger.entry(SPARE)  # it ended with its launcher; a container that reboots may bring the next one
    for entry in [*([spare] if spare else []), *launcher.ledger.entries()]:
        try:
            adopt(launcher, entry, held.get(entry["name"], {}), exits.get(entry.get("pid", -1)))
        except (KeyError, TypeError, ValueError):
            # Torn, or of another version: it must not keep the others from being adopted, now and at every start.
            launcher.ledger.set_aside(entry["name"])


def adopt(launcher: Launcher, entry: dict[str, Any], held: dict[str, int], ended: int | None) -> None:
    """Take over one container; `ended` is its wait(2) status, if it has ended."""
    if ended is None and (not entry.get("pid") or entry["boot"] != launcher.stamp["boot"]):
        clear(launcher, entry)
        return
    run = Run.adopt(entry, held)
    on_its_way = entry["keeper"] == launcher.stamp["keeper"]
    launcher.runs[run.name] = launcher.by_pid[run.world.pid] = run
    for fd in run.spools:
        launcher.watch_output(run, fd)
    launcher.pump_terminals(run)
    if ended is not None:
        launcher.on_exit(run.world.pid, ended)
        return
    stranger = False
    try:
        present = is_present(entry)
        if present:
            run.world.pidfd = os.pidfd_open(run.world.pid)
            stranger = files.parent(run.world.pid) != os.getppid()
    except (FileNotFoundError, ProcessLookupError):
        present = False
    if not present:
        # It was reaped: by this keeper just now, whose word is then on its way; or by another, and nobody knows more.
        launcher.later(WORD if on_its_way else 0, lambda: launcher.on_exit(run.world.pid, None))
        return
    run.reclaim()
    launcher.hold(run)
    if stranger:
        launcher.watch(run.world.pidfd, lambda: on_stranger(launcher, run))
    if run.foreground:
        launcher.later(REUNION, lambda: kill_if_alone(launcher, run))


def clear(launcher: Launcher, entry: dict[str, Any]) -> None:
    """Undo what was made for a container that never ran, or ran before the machine was started anew."""
    undo(entry["undo"])
    if entry.get("pid") and "in" not in entry:
        unknown = {"event": "exited", "exit_code": -1, "reason": "the machine was started anew"}
        records.keep(launcher.home, entry, unknown | entry)
    launcher.ledger.close(entry["name"])


def kill_if_alone(launcher: Launcher, run: Run) -> None:
    if not run.waiting:
        launcher.kill(run, "its client went away")


def on_stranger(launcher: Launcher, run: Run, patience: int = 60) -> None:
    """A container whose keeper was killed ended: its parent was the host's init."""
    launcher.forget(run.world.pidfd)
    status = exit_of_stranger(run.world.pidfd)
    if status is None:
        status = files.exit_of_zombie(run.world.pid, run.request["start_time"])
    if status is None and patience:  # then the kernel tells after the parent has reaped it
        launcher.later(0.05, lambda: on_stranger(launcher, run, patience - 1))
    else:
        launcher.on_exit(run.world.pid, status)


def exit_of_stranger(pidfd: int) -> int | None:
    """How a process that is not our child ended, where the kernel still tells (Linux 6.15). ioctl_pidfd(2)."""
    buffer = bytearray(64)
    buffer[0] = c.PIDFD_INFO_EXIT
    try:
        fcntl.ioctl(pidfd, c.PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    mask = int.from_bytes(buffer[:8], "little")
    return int.from_bytes(buffer[60:64], "little", signed=True) if mask & c.PIDFD_INFO_EXIT else None
