"""The map of namespaces, of real containers and of strangers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sandbox
from sandbox import Container, NamespaceMap, NotFound, NotPossibleHere
from sandbox.maps.namespaces import Row
from sandbox.maps.processes import NAMES
from tests.conftest import as_nobody
from tests.shell import until

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.needs_userns]

SLEEP = "exec sleep 1000"


@contextmanager
def running(name: str, script: str = SLEEP, **options: object) -> Iterator[Container]:
    box, _ = sandbox.launch("busybox", script, name=name, memory="32m", **options)  # type: ignore[arg-type]
    try:
        yield box
    finally:
        box.kill()


@contextmanager
def stranger(*words: str) -> Iterator[int]:
    """A process of no container of ours."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def row(seen: NamespaceMap, name: str) -> dict[str, int]:
    """The namespaces of one row, by their kinds."""
    return next(dict(zip(NAMES, each.ids, strict=True)) for each in seen.rows if each.name == name)


def test_a_container_has_all_eight_to_itself() -> None:
    with running("box") as box:
        seen = sandbox.namespaces("box")
        found = row(seen, "box")
        assert found == {kind: int(os.readlink(f"/proc/{box.info().pid}/ns/{kind}")[len(kind) + 2 : -1]) for kind in NAMES}
        assert [seen.marks[id] for id in found.values()] == ["own"] * len(NAMES)
        assert {seen.kin[id].owner for kind, id in found.items() if kind != "user"} == {found["user"]}
        assert seen.kin[found["user"]].parent == row(seen, "host")["user"]


def test_who_joins_anothers_network_is_drawn_as_sharing_it() -> None:
    with running("web"), running("side", network="container:web"), running("other"):
        seen = sandbox.namespaces()
        assert row(seen, "web")["net"] == row(seen, "side")["net"] != row(seen, "other")["net"]
        mark = seen.marks[row(seen, "web")["net"]]
        names = [each.name for each in seen.rows]
        assert abs(names.index("web") - names.index("side")) == 1
        assert f"{row(seen, 'web')['net']} {mark}" in str(seen)
        assert any(line.startswith(f"{mark}: ") and "web" in line and "net" in line for line in str(seen).splitlines())


def test_a_user_namespace_in_another_and_the_numbers_on_each_level() -> None:
    nested = ("unshare", "-Urpf", "--kill-child", "unshare", "-Urpf", "--kill-child", "sleep", "1000")
    with stranger(*nested) as pid:
        inner = until(lambda: _youngest(pid, "sleep"), "two levels should be made")
        seen = sandbox.namespaces(pid=inner)
        own = next(each for each in seen.rows if each.what == "process")
        ids = dict(zip(NAMES, own.ids, strict=True))
        middle = seen.kin[ids["user"]].parent
        assert seen.kin[middle].parent == row(seen, "host")["user"]
        told = seen.about(ids["pid"])
        assert any(line.endswith("1 two levels in") for line in told["members"])
        assert seen.about(ids["user"])["owner"][0] == f"made by user {os.geteuid()}"
        assert "no process that we see" in "\n".join(seen.nesting("user"))


def _youngest(pid: int, name: str) -> int:
    """The last of a line of only children, once it is called that."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return pid if Path(f"/proc/{pid}/comm").read_text().strip() == name else 0
        pid = int(children[0])


def test_any_process_can_be_asked_for() -> None:
    with stranger("unshare", "-Ur", "--uts", "sleep", "1000") as pid:
        until(lambda: os.readlink(f"/proc/{pid}/ns/uts") != os.readlink("/proc/self/ns/uts"), "it should be apart")
        seen = sandbox.namespaces(pid=[pid, os.getpid()])
        asked = {each.pids: each.ids for each in seen.rows if each.what == "process"}
        assert asked.keys() == {(pid,), (os.getpid(),)}
        assert seen.marks[dict(zip(NAMES, asked[pid,], strict=True))["uts"]] == "own"
        assert seen.marks[dict(zip(NAMES, asked[pid,], strict=True))["net"]] in ("host", "A")


def test_the_first_process_is_shown_or_it_is_said_why_not() -> None:
    if os.access("/proc/1/ns/net", os.F_OK):  # it follows the link, which is allowed to whom the process may be seen
        assert "(pid 1)" in str(sandbox.namespaces(pid=1))
        return
    with pytest.raises(NotPossibleHere) as caught:
        sandbox.namespaces(pid=1)
    assert "it has more rights than we: CAP_" in caught.value.condition or "it is user" in caught.value.condition


def test_who_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="no container called 'nobody' runs"):
        sandbox.namespaces("nobody")
    with pytest.raises(NotFound, match="there is no process 4194305"):
        sandbox.namespaces(pid=4194305)


@pytest.mark.parametrize(("kind", "heading", "found"), [
    ("uts", "hostname", "inner"), ("mnt", "mounts", "/  overlay"), ("net", "links", "lo: 0 bytes"),
    ("user", "uid_map", "inside"), ("net", "addresses", "127.0.0.1"),
    ("cgroup", "control groups, as we see them", "::"), ("time", "offsets", "monotonic"),
])  # fmt: skip
def test_what_one_namespace_shows(kind: str, heading: str, found: str) -> None:
    with running("box", hostname="inner"):
        seen = sandbox.namespaces("box")
        told = seen.about(row(seen, "box")[kind])
        assert any(found in line for line in told[heading])
        assert told["members"][0] == "box: 1 process"


@pytest.mark.needs_root
def test_a_namespace_without_a_process_is_shown_with_what_keeps_it() -> None:
    with stranger("unshare", "-n", "sleep", "1000") as pid:
        until(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), "it should be apart")
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        number = os.fstat(fd).st_ino
        seen = sandbox.namespaces()
        assert any(f"open as descriptor {fd} of process {os.getpid()}" in where for where in seen.kept[number])
        assert f"net {number} has no process" in str(seen)
    finally:
        os.close(fd)


@pytest.mark.needs_root
def test_an_ordinary_user_is_told_what_could_not_be_seen(user_python: str, user_source: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(user_source)!r}); import sandbox; print(sandbox.namespaces().unseen)"
    environment = {"SANDBOX_HOME": f"/dev/shm/maps-test-{os.getpid()}", "PATH": os.environ["PATH"]}
    try:
        done = subprocess.run(
            as_nobody(user_python, "-I", "-c", code), capture_output=True, text=True, env=environment, cwd="/"
        )
        assert "processes may not be read" in done.stdout, done.stderr
    finally:
        subprocess.run(["rm", "-rf", environment["SANDBOX_HOME"]], check=True)


def test_looking_again_shows_who_came() -> None:
    with running("first"):
        seen = sandbox.namespaces()
        with running("second"):
            assert "second" in [each.name for each in seen.again().rows]
        until(lambda: "second" not in [each.name for each in seen.again().rows], "it should be gone")


def test_very_many_rows_that_are_alike_are_told_as_one() -> None:
    shape = tuple(range(1, len(NAMES) + 1))
    rows = [Row("host", "host", (1,), shape)]
    rows += [Row(f"box{number}", "container", (number,), tuple(n + 100 * number for n in shape))
             for number in range(1, 60)]  # fmt: skip
    folded = NamespaceMap(tuple(rows), {}, {}).folded()
    assert [(row.name, count) for row, count in folded] == [("host", 1), ("box1", 59)]
