"""The shelf: names, locks, records, and what a crash or a full disk leaves of them."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import AlreadyExists, InvalidOption, NotFound, WrongState
from sandbox.home import home
from sandbox.listing import info
from sandbox.spec import Process, Spec
from sandbox.store import RECORDS_KEPT, Home, check_name, random_name
from tests.conftest import REPOSITORY


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "shelf"))
    found = home()
    yield found
    os.rmdir(found.runtime)


def python(script: str) -> "subprocess.Popen[str]":
    """A Python process that runs this script."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def entries(shelf: Home) -> list[str]:
    return sorted(os.listdir(f"{shelf.path}/containers"))


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "box", "Box-1.2_3", "0", "x" * 63])
def test_these_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "-a", "_a", "a/b", "../a", "a b", "a\n", "a\0", "ä", "x" * 64, "a.bad-1", None, 5]
)
def test_these_are_not(name: str) -> None:
    with pytest.raises(InvalidOption, match="is no name"):
        check_name(name)


def test_random_names_are_names_and_differ() -> None:
    names = [check_name(random_name()) for _ in range(200)]
    assert {name.count("-") for name in names} == {1}
    assert len(set(names)) > 150


# --- containers -----------------------------------------------------------------------------------------------------


def test_what_is_created_is_loaded(shelf: Home) -> None:
    made = shelf.create(Spec(name="box", process=Process(args=("ls", "\udcff"))))
    assert shelf.load("box") == made
    assert shelf.names() == ["box"]
    assert made.root.upper == f"{shelf.path}/containers/box/upper"
    assert sorted(os.listdir(made.root.upper)) == ["upper", "work"]


def test_the_root_that_users_of_the_container_will_see_is_open_to_them_whatever_the_umask(shelf: Home) -> None:
    old = os.umask(0o077)
    try:
        made = shelf.create(Spec(name="box"))
    finally:
        os.umask(old)
    assert os.stat(f"{made.root.upper}/upper").st_mode & 0o777 == 0o755


def test_a_container_that_is_not_kept_has_no_folder_for_what_it_writes(shelf: Home) -> None:
    made = shelf.create(Spec(name="box"), keep=False)
    assert made.root.upper == ""
    assert os.listdir(shelf.folder("box")) == ["config.json"]


def test_one_without_a_name_gets_one(shelf: Home) -> None:
    made = [shelf.create(Spec(), keep=False).name for _ in range(20)]
    assert shelf.names() == sorted(made)
    assert len(set(made)) == 20


def test_a_name_is_taken_once(shelf: Home) -> None:
    first = shelf.create(Spec(name="box", hostname="first"))
    with pytest.raises(AlreadyExists, match="'box'"):
        shelf.create(Spec(name="box", hostname="second"))
    assert shelf.load("box") == first
    assert entries(shelf) == ["box"]


def test_of_32_threads_exactly_one_wins_a_name(shelf: Home) -> None:
    won: list[int] = []
    start = threading.Barrier(32)

    def attempt(number: int) -> None:
        start.wait()
        try:
            shelf.create(Spec(name="box", hostname=f"n{number}"), keep=False)
            won.append(number)
        except AlreadyExists:
            pass

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [shelf.load("box").hostname] == [f"n{number}" for number in won]
    assert entries(shelf) == ["box"]


def test_of_four_processes_exactly_one_wins_each_name(shelf: Home) -> None:
    script = """
from sandbox.errors import AlreadyExists
from sandbox.home import home
from sandbox.spec import Spec
for i in range(50):
    try:
        print(home().create(Spec(name=f"n{i}"), keep=False).name)
    except AlreadyExists:
        pass
"""
    processes = [python(script) for _ in range(4)]
    outputs = [process.communicate() for process in processes]
    assert [error for _, error in outputs] == [""] * 4
    assert sorted(name for output, _ in outputs for name in output.split()) == shelf.names()
    assert len(shelf.names()) == 50


def test_a_saved_change_is_loaded(shelf: Home) -> None:
    made = shelf.create(Spec(name="box"))
    assert shelf.load("box").hostname == ""
    with shelf.lock("box"):
        shelf.save(replace(made, hostname="other"))
    assert shelf.load("box").hostname == "other"


def test_a_removed_container_is_gone_and_its_name_free(shelf: Home) -> None:
    made = shelf.create(Spec(name="box"))
    Path(made.root.upper, "upper", "file").write_text("x")
    shelf.remove("box")
    assert entries(shelf) == []
    for asks in (shelf.load, shelf.remove):
        with pytest.raises(NotFound, match="no container 'box'"):
            asks("box")
    shelf.create(Spec(name="box"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"name": "other"}', b'{"name": "box", "pid": 1}'])
def test_one_that_cannot_be_read_is_set_aside_and_the_others_load(shelf: Home, content: bytes) -> None:
    shelf.create(Spec(name="good"))
    made = shelf.create(Spec(name="box"))
    Path(made.root.upper, "upper", "thesis").write_text("precious")
    Path(shelf.folder("box"), "config.json").write_bytes(content)
    assert list(shelf.load_all()) == ["good"]
    (aside,) = Path(shelf.path, "containers").glob("box.bad-*")
    assert (aside / "upper" / "upper" / "thesis").read_text() == "precious"
    assert shelf.names() == ["good"]
    shelf.create(Spec(name="box"))


def test_a_configuration_of_lxc_that_makes_no_sense_stays_where_it_is_to_be_mended(shelf: Home) -> None:
    with shelf.build("box") as folder:
        Path(folder, "config").write_text("lxc.rootfs.path = /r\nlxc.tty.max = many\n")
    shelf.create(Spec(name="good"))
    with pytest.raises(NotFound, match=r"^/.*/box/config:2: lxc.tty.max: 'many' is no whole number"):
        shelf.load("box")
    assert list(shelf.load_all()) == ["good"]
    assert shelf.names() == ["box", "good"]
    Path(shelf.folder("box"), "config").write_text("lxc.rootfs.path = /r\n")
    assert shelf.load("box").root.path == "/r"


def test_a_folder_without_a_configuration_is_no_container_and_stays(shelf: Home) -> None:
    """With -P it may be anybody's, or an editor is just writing the config anew."""
    os.mkdir(shelf.folder("photos"))
    Path(shelf.containers, "file").touch()
    for name in ("photos", "file"):
        with pytest.raises(NotFound, match=f"there is no container '{name}'"):
            shelf.load(name)
    with pytest.raises(NotFound), shelf.lock("file"):
        raise AssertionError("it is no folder")
    assert (shelf.names(), sorted(entries(shelf))) == ([], ["file", "photos"])


def test_a_container_whose_folder_is_a_link_is_not_removed(shelf: Home, tmp_path: Path) -> None:
    shelf.create(Spec(name="box"))
    os.rename(shelf.folder("box"), tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", shelf.folder("box"))
    with pytest.raises(WrongState, match="is a symbolic link"):
        shelf.remove("box")
    assert (tmp_path / "elsewhere/config.json").exists()


def test_what_is_asked_about_is_not_set_aside(shelf: Home) -> None:
    shelf.create(Spec(name="box"))
    Path(shelf.folder("box"), "config.json").write_text("torn")
    with pytest.raises(NotFound, match="can't be read"):
        info("box", None, shelf)
    assert entries(shelf) == ["box"]


def test_a_writer_killed_at_any_moment_leaves_a_container_that_loads(shelf: Home) -> None:
    shelf.create(Spec(name="box"))
    script = """
from sandbox.home import home
from sandbox.spec import Process, Spec
print("ready", flush=True)
while True:
    for n in range(300):
        home().save(Spec(name="box", process=Process(env=("A=" + "x" * 100,) * n)))
"""
    for _ in range(4):
        writer = python(script)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(random.uniform(0.01, 0.1))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert shelf.load("box").name == "box"


# --- locks ----------------------------------------------------------------------------------------------------------


def test_a_lock_keeps_threads_apart(shelf: Home) -> None:
    shelf.create(Spec(name="box"), keep=False)
    inside: list[str] = []

    def enter() -> None:
        with shelf.lock("box"):
            inside.append("thread")

    thread = threading.Thread(target=enter)
    with shelf.lock("box"):
        thread.start()
        time.sleep(0.05)
        inside.append("main")
    thread.join()
    assert inside == ["main", "thread"]


def test_a_lock_ends_with_its_process(shelf: Home) -> None:
    shelf.create(Spec(name="box"), keep=False)
    holder = python("""
import time
from sandbox.home import home
with home().lock("box"):
    print("held", flush=True)
    time.sleep(60)
""")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    with shelf.lock("box"):
        assert shelf.names() == ["box"]


def test_whoever_waited_for_one_that_went_is_told(shelf: Home) -> None:
    shelf.create(Spec(name="box"), keep=False)
    told: list[str] = []

    def wait() -> None:
        try:
            with shelf.lock("box"):
                told.append("entered")
        except NotFound as error:
            told.append(error.message)

    thread = threading.Thread(target=wait)
    with shelf.lock("box"):
        thread.start()
        time.sleep(0.05)
        shelf.remove("box")
    thread.join()
    assert told == ["there is no container 'box'"]


# --- records --------------------------------------------------------------------------------------------------------


def test_the_last_twenty_runs_are_kept_with_their_logs(shelf: Home) -> None:
    for number in range(RECORDS_KEPT + 5):
        log = Path(shelf.path, "some.log")
        log.write_text(f"output {number}")
        shelf.write_record({"name": "run", "number": number}, str(log))
    found = shelf.records()
    assert [record["number"] for record in found] == list(range(RECORDS_KEPT + 4, 4, -1))
    assert [Path(record["log"]).read_text() for record in found[:2]] == ["output 24", "output 23"]
    assert len(os.listdir(f"{shelf.path}/records")) == 2 * RECORDS_KEPT


def test_a_run_without_a_log_has_none(shelf: Home) -> None:
    shelf.write_record({"name": "run", "exit": 0})
    assert shelf.records() == [{"name": "run", "exit": 0, "log": ""}]


def test_a_torn_record_is_set_aside(shelf: Home) -> None:
    shelf.write_record({"name": "good"})
    Path(shelf.path, "records", "1-bad.json").write_text('{"name":')
    assert [record["name"] for record in shelf.records()] == ["good"]
    assert [path.name.partition(".bad-")[0] for path in Path(shelf.path, "records").glob("*.bad-*")] == ["1-bad.json"]
