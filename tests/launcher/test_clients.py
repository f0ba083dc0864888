"""Who may talk to the launcher, and what it takes: garbage, floods, slow readers and crowds."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import AlreadyExists, InvalidOption, LauncherLost, NotFound, SandboxError, WrongState
from sandbox.launcher import client, protocol
from sandbox.linux import files
from tests.conftest import NOBODY, REPOSITORY
from tests.launcher.conftest import Shelf, until

pytestmark = pytest.mark.needs_userns


def crowd(act: Callable[[], object], number: int = 32) -> Counter[object]:
    """What came out of it when so many threads act at the same moment: results, or the types of errors."""
    gate, seen = threading.Barrier(number), Counter[object]()

    def one() -> None:
        gate.wait()
        try:
            seen[act()] += 1
        except Exception as error:
            seen[type(error) if isinstance(error, SandboxError) else repr(error)] += 1

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


# --- the start of the launcher --------------------------------------------------------------------------------------


def test_two_processes_that_start_the_first_launcher_at_once_get_the_same_one(shelf: Shelf) -> None:
    code = """
from sandbox.home import home
from sandbox.launcher import client
print(client.ask(home(), {"do": "hello"})[0]["pid"])
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    pids = {process.communicate()[0].strip() for process in started}
    assert pids == {str(shelf.launcher)}


def test_a_socket_that_a_killed_keeper_left_is_replaced(shelf: Shelf) -> None:
    os.makedirs(shelf.home.runtime, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(f"{shelf.home.runtime}/socket")
    assert sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code == 3


def test_a_launcher_that_can_not_come_up_says_what_it_last_printed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_KEEPER", "raise SystemExit('no such luck')")
    monkeypatch.setattr(client, "PATIENCE", 0.3)
    with pytest.raises(LauncherLost, match="did not start") as lost:
        client.ask(shelf.home, {"do": "hello"})
    assert "no such luck" in lost.value.condition
    monkeypatch.undo()
    os.environ["SANDBOX_HOME"] = shelf.home.path


def test_the_first_launcher_of_a_fresh_process_is_no_child_of_it(shelf: Shelf) -> None:
    assert shelf.launcher
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert str(shelf.keeper) not in children


# --- who is let in --------------------------------------------------------------------------------------------------


def knock(shelf: Shelf, *prefix: str) -> str:
    """What a process behind `prefix` hears when it says hello. The socket is handed to it: the folder is closed anyway."""
    code = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    sock.connect("/proc/self/fd/%s/socket" % sys.argv[1])
    sock.send(b'{"do": "hello"}')
    print(sock.recv(1 << 20)[:10])
except OSError as error:
    print(type(error).__name__)
"""
    folder = os.open(shelf.home.runtime, os.O_PATH)
    try:
        command = [*prefix, "/usr/bin/python3", "-I", "-c", code, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, pass_fds=[folder], timeout=60)
    finally:
        os.close(folder)
    return done.stdout.strip() or done.stderr


@pytest.mark.needs_root
@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="needs a Python that everybody may run")
def test_only_the_same_user_in_the_same_user_namespace_is_heard(shelf: Shelf) -> None:
    assert shelf.launcher
    assert knock(shelf).startswith("b'{")
    for path, mode in ((shelf.home.runtime, 0o711), (f"{shelf.home.runtime}/socket", 0o777)):
        os.chmod(path, mode)  # as if the folder and the socket were open to all
    refused = ("b''", "ConnectionResetError", "BrokenPipeError")
    assert knock(shelf, "setpriv", f"--reuid={NOBODY}", "--clear-groups") in refused
    assert knock(shelf, "unshare", "--user", "--map-root-user") in refused
    assert knock(shelf).startswith("b'{")


def test_the_socket_and_its_folder_are_closed_to_others(shelf: Shelf) -> None:
    assert shelf.launcher
    assert os.stat(shelf.home.runtime).st_mode & 0o777 == 0o700
    assert os.stat(f"{shelf.home.runtime}/launcher.log").st_mode & 0o022 == 0


# --- what it is told ------------------------------------------------------------------------------------------------

GARBAGE = [
    b"{", b"[]", b"null", b"5", b'"do"', b"{}", b'{"do": 5}', b'{"do": null}', b'{"do": ["hello"]}', b'{"do": "explode"}',
    b'{"do": "start"}', b'{"do": "start", "name": "x"}', b'{"do": "start", "name": "x", "plan": 5}',
    b'{"do": "start", "name": "x", "plan": {"outside": [], "inside": []}}',
    b'{"do": "start", "name": "x", "plan": {"outside": [{"step": "Explode"}], "inside": []}}',
    b'{"do": "start", "name": "x", "plan": {"outside": [{"step": "Clone", "namespaces": "nothing"}], "inside": []}}',
    b'{"do": "start", "name": "y","plan": {"inside": [{"step": "WaitForGo"}],"outside": [{"step": "Clone"}, {"step": "Go"}]}}',
    b'{"do": "start", "name": "x", "plan": {"outside": [{"step": "Clone"}, {"step": "Go"}], "inside": [{"step": "Boom"}]}}',
    b'{"do": "start", "name": "x", "plan": {"outside": [{"step": "Go"}], "inside": []}}',
    b'{"do": "start", "name": "../x", "plan": {"outside": [{"step": "Clone"}, {"step": "Go"}], "inside": []}}',
    b'{"do": "start", "name": 5, "plan": {"outside": [{"step": "Clone"}, {"step": "Go"}], "inside": []}}',
    b'{"do": "wait"}', b'{"do": "wait", "name": 5}', b'{"do": "signal", "name": "nobody", "signal": 9}', b'{"do": "__init__"}',
    b"\xff\xfe\x00", b"a" * 100_000,
]  # fmt: skip


def test_garbage_is_refused_or_hung_up_on_and_the_launcher_goes_on(shelf: Shelf) -> None:
    launcher = shelf.launcher
    for raw in GARBAGE:
        with client.connect(shelf.home) as sock:
            sock.settimeout(30)
            sock.send(raw)
            try:
                reply = sock.recv(1 << 20)
            except ConnectionResetError:
                reply = b""
            assert not reply or json.loads(reply)["event"] in ("refused", "failed", "exited"), (raw, reply)
        assert shelf.launcher == launcher, raw
    assert sandbox.ledger() == []
    assert not os.path.exists(f"{shelf.home.runtime}/x")
    assert sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code == 3


def test_a_signal_that_does_not_exist_is_refused_and_the_launcher_goes_on(shelf: Shelf) -> None:
    launcher = shelf.launcher
    box = sandbox.Container.create(shelf.name(), "busybox", shelf.script("sleep 60; true"))
    box.start()
    for number in (-1, 65, 4711, "TERM", None, 1 << 40):
        with client.connect(shelf.home) as sock:
            sock.settimeout(30)
            protocol.send(sock, {"do": "signal", "name": box.name, "signal": number})
            message, _ = protocol.receive(sock)
            assert message, number
            assert message["event"] == "refused"
    assert shelf.launcher == launcher
    assert box.kill().exit_code == 137


def test_descriptors_sent_along_with_garbage_are_closed(shelf: Shelf) -> None:
    with client.connect(shelf.home) as sock, open(os.devnull) as file:
        protocol.send(sock, {"do": "hello"})
        launcher = (protocol.receive(sock)[0] or {})["pid"]  # by now it has accepted us
        before = len(os.listdir(f"/proc/{launcher}/fd"))
        for _ in range(20):
            protocol.send(sock, {"do": "explode"}, [file.fileno()] * 8)
            protocol.receive(sock)
        until(lambda: len(os.listdir(f"/proc/{launcher}/fd")) == before, "the launcher should close what it was sent")


def test_a_request_too_large_for_a_packet_is_refused_in_words(shelf: Shelf) -> None:
    with pytest.raises(InvalidOption, match="too long"):
        sandbox.run("busybox", ["true", "x" * (16 << 20)], name=shelf.name())
    assert shelf.left() == []


def test_an_environment_of_a_hundred_thousand_bytes_goes_through(shelf: Shelf) -> None:
    value = "x" * 100_000
    assert sandbox.run("busybox", 'echo "$BIG"', env={"BIG": value}, name=shelf.name()).text == f"{value}\n"


def test_a_client_that_does_not_read_holds_up_nobody(shelf: Shelf) -> None:
    slow = client.connect(shelf.home)
    with slow:
        slow.setblocking(False)
        for _ in range(2000):
            try:
                protocol.send(slow, {"do": "hello"})
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                break  # its own queue is full, or it was hung up on: so much for it
        begun = time.monotonic()
        assert sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code == 3
        assert time.monotonic() - begun < 20


def test_a_client_that_says_nothing_holds_up_nobody(shelf: Shelf) -> None:
    with client.connect(shelf.home):
        assert sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code == 3


def test_a_launcher_that_is_asked_to_end_while_a_container_runs_refuses(shelf: Shelf) -> None:
    box = sandbox.Container.create(shelf.name(), "busybox", shelf.script("sleep 60; true"))
    box.start()
    with pytest.raises(WrongState, match=r"1 containers? still run"):
        client.end(shelf.home)
    box.kill()


# --- crowds ---------------------------------------------------------------------------------------------------------


def test_thirty_two_threads_run_a_container_each(shelf: Shelf) -> None:
    assert crowd(lambda: sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code) == {3: 32}
    shelf.assert_clean()


def test_thirty_two_processes_run_a_container_each_over_one_launcher(shelf: Shelf) -> None:
    code = "import sandbox, sys; print(sandbox.run('busybox', 'echo $0-out', name=sys.argv[1]).text, end='')"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, shelf.name()], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(32)
    ]
    assert {process.communicate()[0] for process in processes} == {"/bin/sh-out\n"}
    assert {process.returncode for process in processes} == {0}
    assert len(shelf.of("sandbox-keeper")) == 1
    shelf.assert_clean()


def test_of_thirty_two_that_create_one_name_exactly_one_wins(shelf: Shelf) -> None:
    name = shelf.name()
    assert crowd(lambda: sandbox.Container.create(name, "busybox").name) == {name: 1, AlreadyExists: 31}


def test_of_thirty_two_that_start_one_container_exactly_one_wins(shelf: Shelf) -> None:
    box = sandbox.Container.create(shelf.name(), "busybox", shelf.script("sleep 60; true"))
    seen = crowd(lambda: bool(sandbox.Container.get(box.name).start()))
    assert seen == {True: 1, WrongState: 31}
    assert box.kill().exit_code == 137


def test_thirty_two_may_destroy_one_container_at_once(shelf: Shelf) -> None:
    name = sandbox.Container.create(shelf.name(), "busybox").name
    assert set(crowd(lambda: sandbox.Container(name).destroy())) <= {None, NotFound}
    assert not os.path.exists(shelf.home.folder(name))


def test_creating_and_destroying_one_name_in_a_crowd_ends_with_one_or_none(shelf: Shelf) -> None:
    name = shelf.name()

    def act() -> object:
        for _ in range(5):
            for deed in (lambda: sandbox.Container.create(name, "busybox"), lambda: sandbox.Container(name).destroy()):
                try:
                    deed()
                except (AlreadyExists, NotFound):
                    continue
        return "done"

    assert crowd(act, 8) == {"done": 8}
    assert sorted(os.listdir(f"{shelf.home.path}/containers")) in ([], [name])
    shutil.rmtree(f"{shelf.home.path}/containers/{name}", ignore_errors=True)


def test_waiting_in_a_crowd_tells_everybody(shelf: Shelf) -> None:
    box = sandbox.Container.create(shelf.name(), "busybox", shelf.script("sleep 0.5; exit 7"))
    box.start()
    assert crowd(lambda: box.wait().exit_code) == {7: 32}
    until(lambda: sandbox.ledger() == [], "nothing should be left")


def test_a_spare_child_that_a_start_has_fetched_already_is_not_waited_for(shelf: Shelf) -> None:
    """A request and the cradle's answer in one turn of the loop: the request takes the answer, and then there is none."""
    sandbox.run("busybox", "true", name=shelf.name())
    launcher = shelf.launcher
    until(lambda: len(shelf.of("sandbox-cradle")) == 2, "the cradle should have a spare child")
    cradle = min(shelf.of("sandbox-cradle"), key=files.start_time)
    clone, go = {"step": "Clone", "namespaces": ["user", "mount", "pid"]}, {"step": "Go"}
    failing = {
        "outside": [clone, {"step": "OpenTree", "tree": "t", "path": "/no/such"}, go],
        "inside": [{"step": "WaitForGo"}],
    }
    with client.connect(shelf.home) as sock:
        sock.settimeout(30)
        protocol.send(sock, {"do": "hello"})
        protocol.receive(sock)  # it is accepted: the next word is an event of its own
        os.kill(cradle, signal.SIGSTOP)
        sandbox.run("busybox", "true", name=shelf.name())  # takes the spare; another one is ordered
        os.kill(launcher, signal.SIGSTOP)
        protocol.send(sock, {"do": "start", "name": shelf.name(), "plan": failing})  # first this becomes readable …
        os.kill(cradle, signal.SIGCONT)
        until(lambda: len(shelf.of("sandbox-cradle")) == 2, "the ordered one should be born")  # … then the cradle's answer
        time.sleep(0.05)
        os.kill(launcher, signal.SIGCONT)
        message, _ = protocol.receive(sock)
        assert message
        assert message["event"] == "failed"
        protocol.send(sock, {"do": "hello"})
        answer, _ = protocol.receive(sock)
        assert answer
        assert answer["pid"] == launcher
    assert sandbox.run("busybox", "exit 3", name=shelf.name()).exit_code == 3
