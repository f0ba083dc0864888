"""The noun: what a container does when Python asks it to, and what it says when it can't."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox import Container
from sandbox.errors import AlreadyExists, InvalidOption, KernelRefused, NotFound, WrongState
from sandbox.spec import Mount
from tests.conftest import REPOSITORY
from tests.shell import until

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]


@pytest.fixture
def box() -> Iterator[Container]:
    """A container that runs, and would go on for a while."""
    made = Container.create("box", command=["sleep", "100"])
    made.start()
    yield made
    if made.on_shelf:
        made.destroy(force=True)


def text(container: Container) -> bytes:
    return b"".join(data for _, _, data in container.logs())


# --- a life ---------------------------------------------------------------------------------------------------------


def test_a_container_lives_from_create_to_destroy(home: Path) -> None:
    box = Container.create(
        "life", image="busybox", command=["sh", "-c", "echo up; exec sleep 100"], memory="64m", hostname="h"
    )
    assert (box.state, box.info().state, box.spec.hostname) == ("STOPPED", "STOPPED", "h")
    trace = box.start()
    assert "PivotRoot()" in [entry.step for entry in trace]
    assert box.exec("hostname").stdout == b"h\n"
    until(lambda: text(box) == b"up\n", "it should have written")
    info = box.info()
    assert (info.name, info.state, info.image) == ("life", "RUNNING", "busybox")
    assert info.pid
    assert info.begun
    assert abs(time.time() - info.begun) < 30
    assert {each.name for each in sandbox.containers()} == {"life"}
    box.freeze()
    assert (box.state, box.info().state) == ("FROZEN", "FROZEN")
    box.unfreeze()
    assert box.state == "RUNNING"
    ended = box.stop(0)
    assert (ended.exit_code, ended.reason, box.state) == (137, "stopped", "STOPPED")
    assert box.info().exit_code == 137
    assert box.wait().exit_code == 137
    box.destroy()
    assert not (home / "containers" / "life").exists()
    assert sandbox.containers() == []
    assert sandbox.ledger() == []


def test_what_it_wrote_is_there_after_stop_and_start(box: Container) -> None:
    box.exec("mkdir /d; echo kept > /d/f; rm /etc/hostname; ln -s f /d/l; chmod 4711 /d/f")
    box.stop(0)
    box.start()
    assert box.exec("cat /d/l; ls -l /d/f; test -e /etc/hostname; echo $?").text.splitlines()[0] == "kept"
    assert "-rws--x--x" in box.exec("ls -l /d/f").text


def test_stop_asks_first_and_the_program_decides_how_it_ends() -> None:
    box = Container.create(command="trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    box.start()
    until(lambda: text(box) == b"ready\n", "it should be ready")
    begun = time.monotonic()
    assert box.stop(60).exit_code == 7
    assert time.monotonic() - begun < 30
    assert text(box) == b"ready\nbye\n"
    box.destroy()


def test_a_signal_that_nobody_could_notice_is_not_waited_for(box: Container) -> None:
    begun = time.monotonic()
    assert box.stop(60).exit_code == 137  # sleep has no handler, and is PID 1
    assert time.monotonic() - begun < 20


def test_one_that_ends_by_itself_while_it_is_being_stopped_has_ended_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a passing one: it is not on the shelf, and when it has ended nothing of it is there any more."""
    passing, _ = sandbox.launch("busybox", "sleep 100")

    def too_late(entry: dict[str, Any]) -> int:
        os.kill(entry["pid"], signal.SIGKILL)
        until(lambda: passing.entry is None, "it should have ended")
        return signal.SIGTERM

    monkeypatch.setattr(Container, "_halt_signal", staticmethod(too_late))
    ended = passing.stop(20)
    assert ended is not None
    assert ended.exit_code == 137


def test_a_frozen_container_is_stopped_and_killed_all_the_same(box: Container) -> None:
    for end in (lambda: box.stop(0.2), box.kill):
        box.freeze()
        begun = time.monotonic()
        assert end().exit_code == 137
        assert time.monotonic() - begun < 20
        box.start()


def test_exec_runs_beside_it_with_options_of_its_own(box: Container) -> None:
    result = box.exec(["sh", "-c", "id -u; pwd; echo $A; cat"], user="7:7", workdir="/tmp", env={"A": "b"}, stdin=b"in")
    assert result.stdout == b"7\n/tmp\nb\nin"
    assert box.exec("exit 9").exit_code == 9
    assert box.exec("kill -TERM $$").exit_code == 143
    assert box.exec("sleep 100", timeout=0.2).reason == "stopped: its timeout of 0.2 s was over"
    with pytest.raises(KernelRefused, match="no program"):
        box.exec(["no-such"])
    with pytest.raises(InvalidOption, match="memory"):
        box.exec("true", memory="64m")
    assert box.state == "RUNNING"


def test_many_ask_at_once_and_each_gets_its_own_answer(box: Container) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = box.exec(f"sleep 0.05; echo {number}").text.strip()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number) for number in range(8)}


def test_of_many_that_create_a_name_at_once_exactly_one_wins() -> None:
    outcomes: list[str] = []

    def create() -> None:
        try:
            Container.create("wanted")
            outcomes.append("made")
        except AlreadyExists:
            outcomes.append("taken")

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", *["taken"] * 7]
    Container.get("wanted").destroy()


def test_it_outlives_the_process_that_started_it() -> None:
    script = "import sandbox; print(sandbox.launch('busybox', 'sleep 0.5; echo late; exit 8', name='later')[0].state)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, text=True, check=True)
    assert done.stdout == "RUNNING\n"
    later = Container.get("later")
    assert b"".join(piece[2] for piece in later.follow() if piece) == b"late\n"
    assert later.wait().exit_code == 8


def test_follow_ends_with_the_container_and_misses_nothing() -> None:
    box, _ = sandbox.launch("busybox", "for i in $(seq 5); do seq 1000; sleep 0.02; done")
    whole = b"".join(piece[2] for piece in box.follow() if piece)
    assert whole.split() == [str(n).encode() for n in range(1, 1001)] * 5


def test_follow_goes_on_over_the_place_where_the_log_is_cut(home: Path) -> None:
    box, _ = sandbox.launch(
        "busybox", "for i in $(seq 40); do seq $((i * 10000)) $((i * 10000 + 9999)); sleep 0.02; done; seq 300000"
    )
    whole = b"".join(piece[2] for piece in box.follow() if piece)
    assert whole.endswith(b"\n299999\n300000\n")
    assert not list((home / "cache").glob("*.log*"))  # both halves went to the record
    assert text(box).endswith(b"\n299999\n300000\n")


# --- wrong states ---------------------------------------------------------------------------------------------------


def test_what_can_not_be_done_is_said_in_a_sentence(box: Container) -> None:
    with pytest.raises(WrongState, match="running already"):
        box.start()
    with pytest.raises(WrongState, match="is running"):
        box.destroy()
    with pytest.raises(AlreadyExists, match="box"):
        Container.create("box")
    box.kill()
    for late in (lambda: box.exec("true"), box.stop, box.freeze, box.unfreeze, box.attach, lambda: box.signal(signal.SIGHUP)):
        with pytest.raises(WrongState, match="not running"):
            late()


def test_a_container_that_is_not_there_is_not_found() -> None:
    ghost = Container("ghost")
    for ask in (lambda: Container.get("ghost"), ghost.start, lambda: ghost.exec("true"), ghost.info, ghost.stop, ghost.wait,
                ghost.logs, lambda: ghost.spec):  # fmt: skip
        with pytest.raises(NotFound, match="ghost"):
            ask()
    assert ghost.state == "STOPPED"
    with pytest.raises(InvalidOption):
        Container("../etc")


# --- volumes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder of the host that anybody may write to, with a file that only its owner may read."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "secret").write_text("ours")
    (folder / "secret").chmod(0o600)
    return folder


def test_a_volume_is_read_only_and_shows_our_files_as_roots(shared: Path) -> None:
    result = sandbox.run("busybox", "cat /v/secret; stat -c ' %u' /v/secret; touch /v/new", volume=f"{shared}:/v")
    assert result.stdout == b"ours 0\n"
    assert b"Read-only" in result.stderr
    assert os.listdir(shared) == ["secret"]


def test_what_is_written_to_a_volume_is_never_host_roots(shared: Path) -> None:
    script = "touch /v/new; chmod 4755 /v/new; ls -n /v/new"
    rw = Mount("/v", "bind", str(shared), ("rbind", "rw"))  # as other doors than --volume may ask
    by_hand = replace(sandbox.spec_for("busybox", script.replace("new", "other")), mounts=(rw,))
    for result in (sandbox.run("busybox", script, volume=f"{shared}:/v:rw"), sandbox.run(by_hand)):
        assert result.exit_code == 0, result.stderr
    for name in ("new", "other"):
        owner = (shared / name).stat().st_uid
        if os.geteuid():
            assert owner == os.geteuid()
        else:
            assert owner >= 65536


@pytest.mark.needs_root
@pytest.mark.parametrize("image", ["busybox", "host"])
def test_who_may_mount_can_not_write_to_a_read_only_volume_as_host_root(shared: Path, image: str) -> None:
    shared.chmod(0o755)
    script = "for v in /v /usr; do mount -o remount,rw,bind $v; touch $v/canary-of-a-test; done"
    result = sandbox.run(image, script, volume=f"{shared}:/v", cap_add=["SYS_ADMIN"], seccomp="unconfined")
    assert b"/v/canary-of-a-test': Permission denied" in result.stderr or b"/v/canary-of-a-test: Permission" in result.stderr
    assert os.listdir(shared) == ["secret"]
    assert not os.path.exists("/usr/canary-of-a-test")
