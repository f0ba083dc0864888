"""A real kernel, as Jupyter starts it, and what it sends."""

import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY


@dataclass
class Ran:
    """What one cell sent: (seconds since its start, message) in order, and how it ended ("ok", "error")."""

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    status: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for _, message in self.messages if message["msg_type"] == kind]

    def stream(self, name: str) -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def cards(self) -> list[str]:
        """The text twins of all cards, as they are at the end."""
        shown: dict[Any, str] = {}
        for content in self.of("display_data") + self.of("update_display_data"):
            place = content.get("transient", {}).get("display_id", len(shown))
            shown[place] = content["data"]["text/plain"]
        return list(shown.values())

    @property
    def error(self) -> str:
        """Its error as text, as tools that run notebooks show it; "" if there was none."""
        return "\n".join(line for content in self.of("error") for line in content["traceback"])


class Kernel:
    """A kernel in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.updates: list[str] = []  # the texts of outputs that were changed, by whichever cell or thread
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3", kernel_spec_manager=native_only())
        env = os.environ | {"PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(folder / "ipython")}
        quiet = subprocess.DEVNULL
        self.manager.start_kernel(cwd=str(folder), env=env, stdout=quiet, stderr=quiet)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(
        self,
        code: str,
        timeout: float = 60,
        on_message: Callable[[dict[str, Any]], None] = lambda message: None,
        cell: str = "",
    ) -> Ran:
        """Execute a cell, which has the identity `cell`. Fails when it takes longer than `timeout` seconds."""
        ran, begun = Ran(), time.monotonic()
        identity = self._execute(code, cell)
        while time.monotonic() - begun < timeout:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["msg_type"] == "update_display_data":
                self.updates.append(message["content"]["data"]["text/plain"])
            if message["parent_header"].get("msg_id") != identity:
                continue
            ran.messages.append((time.monotonic() - begun, message))
            on_message(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                ran.status = self._reply(identity)["content"]["status"]
                return ran
        pytest.fail(f"the cell still runs after {timeout} s: {code!r}; so far: {ran}")

    def _execute(self, code: str, cell: str) -> str:
        if not cell:
            return str(self.client.execute(code))
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def value(self, expression: str) -> str:
        """What repr() says of an expression in the kernel."""
        asked = self.client.execute("", user_expressions={"value": expression}, store_history=False)
        found = self._reply(asked)["content"]["user_expressions"]["value"]
        assert found["status"] == "ok", found
        return str(found["data"]["text/plain"])

    def _reply(self, identity: str) -> dict[str, Any]:
        """The answer to one request; those to others are passed over."""
        while True:
            message: dict[str, Any] = self.client.get_shell_msg(timeout=60)
            if message["parent_header"].get("msg_id") == identity:
                return message

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def native_only() -> Any:
    """No kernel but the one of this very Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    return KernelSpecManager(ensure_native_kernel=True, kernel_dirs=[])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension loaded and a shelf of its own, for all tests of a file."""
    pytest.importorskip("ipykernel", reason="needs a kernel: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(folder / "home"))
        patch.setenv("SANDBOX_NETWORK", "none")
        started = Kernel(folder)
        ran = started.run("%load_ext kernel_ext")
        assert ran.status == "ok", ran
        yield started
        left = started.value("__import__('sandbox').ledger()")
        started.close()
        assert left == "[]"
