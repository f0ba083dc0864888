"""The ledger: for every container, what was about to be made and must be undone. Written before the act, on tmpfs.

One file a container, lines of JSON: first what is intended (with the steps to undo), then, before the child may go on, who
it is. A launcher that starts reads it: what still runs is adopted, the rest is undone. A torn last line was not acted on.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..errors import SandboxError, WrongState
from ..linux import files
from ..step import Step

Entry = dict[str, Any]
#: What the child that is born ahead of time is called here. It is no container, so it is not one of `entries`.
SPARE = ".spare"

#: What `ps` calls a child until it becomes its program; its name is then that of the cradle.
UNBORN = "sandbox-cradle"


def refuse_half_made(entry: Entry | None) -> None:
    """Raises WrongState: it is made step by step, and its program has not begun. Whoever steps is asked for all of it."""
    if entry and entry.get("stepped") and not entry.get("running"):
        raise WrongState(
            f"the container {entry['name']!r} is not whole yet",
            condition="it is being made step by step", cure="make the rest of its steps first, Exec is the last",
        )  # fmt: skip


class Ledger:
    """The folder `path`, on tmpfs."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path, mode=0o700, exist_ok=True)

    def intend(self, name: str, entry: Entry, steps: list[Step]) -> list[dict[str, Any]]:
        """Note what is about to be done; returns the steps to undo.

        Raises FileExistsError while the name is in use, and SandboxError: there is no room.
        """
        undoable = [step.to_json() for step in steps if step.leaves_something]
        fd = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write(fd, {**entry, "name": name, "undo": undoable})
        finally:
            os.close(fd)
        return undoable

    def add(self, name: str, more: Entry) -> None:
        """Note what is known by now."""
        fd = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            self._write(fd, more)
        finally:
            os.close(fd)

    def _write(self, fd: int, line: Entry) -> None:
        """Raises SandboxError: it is not noted, or just the beginning of it."""
        text = json.dumps(line).encode() + b"\n"
        try:
            whole = os.write(fd, text) == len(text)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            whole = False
        if not whole:
            raise SandboxError(
                f"no space left on {self.path}", condition="what is about to be done can't be noted, so it is not done",
                cure="make room on this tmpfs: see df(1)",
            )  # fmt: skip

    def close(self, name: str) -> None:
        """All is undone."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{name}")

    def set_aside(self, name: str) -> None:
        """Keep an entry that can't be read out of the way, but for people to see."""
        os.replace(f"{self.path}/{name}", f"{self.path}/.bad-{name}")

    def entries(self) -> Iterator[Entry]:
        """Every container that holds something, with all that is noted of it."""
        for name in sorted(os.listdir(self.path)):
            if name[0] != "." and (entry := self.entry(name)):
                yield entry

    def entry(self, name: str) -> Entry | None:
        """What is noted of one container."""
        try:
            text = files.read(f"{self.path}/{name}")
        except FileNotFoundError:
            return None
        entry: Entry = {"name": name, "undo": []}
        for line in text.splitlines():
            try:
                entry |= json.loads(line)
            except ValueError:
                break
        return entry


def undo(steps: list[dict[str, Any]]) -> None:
    """Undo the steps, last first. Each may have been done wholly, partly or not at all."""
    for data in reversed(steps):
        Step.from_json(data).undo()


def is_present(entry: Entry) -> bool:
    """Whether the container's PID 1 is there, running or waiting to be reaped: same number, same start, same boot."""
    if not entry.get("pid") or entry.get("boot") != files.boot_id():
        return False
    try:
        return bool(files.start_time(entry["pid"]) == entry["start_time"])
    except OSError:
        return False


def directories(entry: Entry) -> tuple[tuple[str, str], ...]:
    """The cgroups of a running container: (controller, directory)."""
    return tuple((controller, path) for controller, path in entry["cgroups"])


def has_begun(entry: Entry) -> bool:
    """Whether the container's program runs; under an init of ours, PID 1 keeps the name of the unborn. Raises OSError."""
    return bool(entry.get("running")) or files.name(entry["pid"]) != UNBORN


def is_alive(entry: Entry) -> bool:
    """Whether the container's PID 1 runs."""
    try:
        return is_present(entry) and not files.is_zombie(entry["pid"])
    except OSError:
        return False
