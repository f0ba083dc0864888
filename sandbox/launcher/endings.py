"""How a process is ended, and how it ended."""

import os
import signal
from typing import Any

from ..linux import files

#: How a pid namespace ends when its init calls reboot(2), as wait(2) tells it.
REBOOT = {int(signal.SIGHUP): "rebooted", int(signal.SIGINT): "halted"}


def outcome(status: int | None) -> dict[str, Any]:
    """A wait(2) status as exit code (128 + signal for a killed process, as shells have it) and reason."""
    if status is None:
        return {"exit_code": -1, "reason": "exit status unknown: it ended while nobody of ours was there to be told"}
    code = os.waitstatus_to_exitcode(status)
    return {"exit_code": code, "reason": ""} if code >= 0 else {"exit_code": 128 - code, "reason": f"signal {-code}"}


def ignores(pid: int, number: int) -> bool:
    """Whether a signal would be lost: PID 1 gets only those that it catches or waits for. pid_namespaces(7)."""
    try:
        status = files.status(pid)
        # busybox's init, and ours, wait for signals; those that are waited for are shown as neither caught nor blocked.
        waits = "sigtimedwait" in files.read(f"/proc/{pid}/wchan")
    except OSError:
        return False
    # systemd blocks them, and reads them from a descriptor. signalfd(2)
    heard = int(status["SigCgt"], 16) | int(status["SigBlk"], 16)
    return not waits and not heard >> (number - 1) & 1
