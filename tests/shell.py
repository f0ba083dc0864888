"""`sandbox` as people call it: a process of its own, as this user or as an ordinary one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import REPOSITORY

PATIENCE = 60.0


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return it. The test fails where it does not come about."""
    end = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < end, f"waited {PATIENCE:g} s in vain: {what}"
        time.sleep(0.02)
    return found


@dataclass(frozen=True)
class Shell:
    """How `sandbox` is called: the words before its own, and the environment."""

    home: str
    words: tuple[str, ...] = (sys.executable, "-m", "sandbox")
    source: str = str(REPOSITORY)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": self.source, "SANDBOX_HOME": self.home, "TERM": "xterm", **self.extra}

    def run(self, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Call it, and wait."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        command = [*self.words, *words]
        return subprocess.run(command, capture_output=True, timeout=60, cwd="/", env=self.environment, check=False, **given)

    def text(self, *words: str) -> str:
        """What it prints. It must succeed, and say nothing on standard error."""
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, b""), (words, done)
        return done.stdout.decode().strip()

    def begin(self, *words: str, **settings: Any) -> "subprocess.Popen[bytes]":
        """Call it, and do not wait."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        return subprocess.Popen([*self.words, *words], cwd="/", env=self.environment, **pipes)

    def states(self) -> dict[str, str]:
        """name → state of every container that `ps -a` lists."""
        rows = [json.loads(line) for line in self.text("ps", "-a", "--json").splitlines()]
        return {row["name"]: row["state"] for row in rows}

    def is_empty(self) -> bool:
        """Whether the ledger holds nothing."""
        return self.text("ledger") == "nothing is held"
