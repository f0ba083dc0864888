"""What the launcher's answers promise about what came before."""

import os
import signal
import threading

import pytest

import sandbox
from sandbox.launcher import client
from sandbox.linux import files
from tests.launcher.conftest import Shelf, until

pytestmark = pytest.mark.needs_userns


@pytest.mark.parametrize("word", ["hello", "settle"])
def test_an_answer_comes_after_all_that_had_ended_is_put_away(shelf: Shelf, word: str) -> None:
    """The kernel shows that a container has ended before the keeper has said so; who asks then is told what comes of it."""
    box, _ = sandbox.launch("busybox", shelf.script("exec sleep 3600"), name=shelf.name())
    pid, keeper = box.running()["pid"], shelf.keeper
    answered = threading.Event()

    def ask() -> None:
        client.ask(shelf.home, {"do": word})
        answered.set()

    asking = threading.Thread(target=ask)
    os.kill(keeper, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: files.is_zombie(pid), "it should have ended")
        asking.start()
        assert not answered.wait(0.2)
        assert os.path.exists(f"{shelf.home.ledger}/{box.name}")
    finally:
        os.kill(keeper, signal.SIGCONT)
    asking.join()
    assert not os.path.exists(f"{shelf.home.ledger}/{box.name}")
    assert box.wait().exit_code == 137


def test_who_follows_hears_the_last_words_of_a_container_however_late_its_launcher_takes_them(shelf: Shelf) -> None:
    script = "trap 'echo last; exit' TERM; echo ready; while :; do sleep 0.01; done"
    box, _ = sandbox.launch("busybox", shelf.script(script), name=shelf.name())
    launcher, heard = shelf.launcher, list[bytes]()
    following = threading.Thread(target=lambda: heard.extend(piece[2] for piece in box.follow() if piece), daemon=True)
    following.start()
    until(lambda: heard, "it should be ready")
    pid = box.running()["pid"]
    os.kill(launcher, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGTERM)
        until(lambda: box.entry is None, "it should have ended")
        following.join(0.2)
    finally:
        os.kill(launcher, signal.SIGCONT)
    following.join()
    assert heard == [b"ready\n", b"last\n"]
