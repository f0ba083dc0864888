"""A run by itself, where no container is needed to see what it does."""

import os
import socket
from pathlib import Path

import pytest

from sandbox import logs
from sandbox.launcher.runs import Run


@pytest.mark.parametrize("attached", [False, True])
def test_the_last_words_at_a_console_go_to_the_log_unless_somebody_has_it(tmp_path: Path, attached: bool) -> None:
    run = Run("box", {"log": str(tmp_path / "log"), "terminal": True}, [])
    master, slave = os.openpty()
    os.set_blocking(master, False)
    run.terminals = [(master, slave)]
    with socket.socket() as client:
        run.attached = {0: client} if attached else {}
        os.write(slave, b"last\n")
        run.drain()
    run.close()
    assert [piece[2] for piece in logs.read(str(tmp_path / "log"))] == ([] if attached else [b"last\r\n"])
