"""What is kept of a finished run: its outcome and its log."""

from contextlib import suppress
from typing import Any

from ..errors import SandboxError
from ..store import Home

_KEPT = ("name", "exit_code", "reason", "begun", "ended", "usage", "trace", "event", "error")


def keep(home: Home, request: dict[str, Any], message: dict[str, Any]) -> None:
    """Write the record of a container that ended. Its log goes with it, unless the container itself stays on the shelf.

    On a full disk there will be none: its end was told, and the launcher must go on.
    """
    record = {key: message[key] for key in _KEPT if key in message}
    record |= {"name": request["name"], "image": request.get("spec", {}).get("image", ""), "spec": request.get("spec")}
    record |= {"plan": request["plan"]} if "plan" in request else {"trace": []}
    with suppress(OSError, SandboxError):
        home.write_record(record, "" if request.get("keep") else request.get("log", ""))
    home.remove_upper((request.get("spec") or {}).get("root", {}).get("upper") or "")
