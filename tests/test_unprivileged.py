"""The same as an ordinary user: one id without newuidmap, a whole range with it."""

import json
import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.primitives.cgroups.hierarchy import read_layout
from tests.conftest import NOBODY, as_nobody
from tests.primitives.network.steps import needs

pytestmark = pytest.mark.needs_userns

Play = Callable[..., Any]

PRELUDE = """
import json, os, signal, sys, time
import sandbox
from sandbox.errors import KernelRefused, NotPossibleHere, SandboxError
from sandbox.home import home
from sandbox.launcher import client
said = None
"""
POSTLUDE = """
for info in sandbox.containers(all=False):
    sandbox.Container(info.name).kill()
left = sandbox.ledger()
client.end(home())
print(json.dumps([said, left]))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the ordinary user's own; pytest's lie below one that is closed to others."""
    made = Path(tempfile.mkdtemp(prefix="sandbox-user-"))
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def play(folder: Path, user_python: str, user_source: Path) -> Play:
    """Run a script as the user, with a shelf of its own; what it leaves in `said` comes back."""

    def run(script: str, before: tuple[str, ...] = (), **options: Any) -> Any:
        body = PRELUDE + textwrap.dedent(script) + POSTLUDE
        env = {"PATH": os.environ["PATH"], "SANDBOX_HOME": str(folder / "shelf"), "PYTHONPATH": str(user_source),
               "HOME": str(folder), "PYTHONWARNINGS": "error"}  # fmt: skip
        command = [*before, *as_nobody(user_python, "-c", body)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=100, **options)
        assert done.returncode == 0, done.stderr
        said, left = json.loads(done.stdout.splitlines()[-1])
        assert left == []
        return said

    return run


@pytest.fixture
def with_range(tmp_path: Path) -> tuple[str, ...]:
    """A mount namespace in which the user has a range of ids. The host's own /etc/subuid is never touched."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to show the user another /etc/subuid")
    if not all(map(shutil.which, ("newuidmap", "newgidmap"))):
        pytest.skip("needs newuidmap: apt install uidmap")
    ranges = tmp_path / "ranges"
    ranges.write_text(f"{NOBODY}:1879048192:65536\n")
    script = f'mount --bind {ranges} /etc/subuid && mount --bind {ranges} /etc/subgid && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


def uid() -> int:
    return os.geteuid() or NOBODY


# --- one id ---------------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
def test_a_user_is_root_inside_and_itself_outside(play: Play) -> None:
    ids, rows, groups = play("""
        result = sandbox.run("busybox", "id -u; cat /proc/self/uid_map; cat /proc/self/setgroups")
        said = result.text.splitlines()
    """)
    assert ids == "0"
    assert rows.split() == ["0", str(uid()), "1"]
    assert groups == "deny"


def test_what_isolates_root_isolates_a_user(play: Play) -> None:
    said = play("""
        script = "hostname; echo $$; ls /; ls /proc | grep -c '^[0-9]'; grep -E '^(CapBnd|Seccomp):' /proc/self/status"
        said = sandbox.run("busybox", script, hostname="mine").text.splitlines()
    """)
    assert said[:2] == ["mine", "1"]
    assert set(said[2:-3]) >= {"bin", "dev", "etc", "proc", "sys", "tmp"}
    assert int(said[-3]) < 6
    assert int(said[-2].split()[1], 16) == 0xA80425FB
    assert said[-1].split()[1] == "2"


def test_exit_codes_streams_and_reasons_are_those_of_root(play: Play) -> None:
    said = play("""
        one = sandbox.run("busybox", "echo out; echo err >&2; exit 7")
        two = sandbox.run("busybox", "kill -9 $$", init=True)
        three = sandbox.run("busybox", "sleep 60", timeout=0.3)
        said = [one.exit_code, one.text, one.stderr.decode(), two.exit_code, three.exit_code, three.reason]
    """)
    assert said[:4] == [7, "out\n", "err\n", 137]
    assert said[4] == 137
    assert "timeout" in said[5]


def test_the_whole_life_of_a_container(play: Play) -> None:
    said = play("""
        box = sandbox.Container.create("box", "busybox", "echo begun; echo kept > /kept; sleep 60")
        box.start()
        first = box.info()
        inside = box.exec("id -u; cat /kept; ls -l /proc/self/ns/uts; ls -l /proc/1/ns/uts").text.splitlines()
        terminal = box.exec("tty", tty=True).exit_code
        ended = box.stop(timeout=0.2)
        second = box.info()
        logged = [data.decode() for _, _, data in box.logs()]
        box.start()
        again = box.exec("cat /kept").text
        box.kill()
        box.destroy()
        said = [first.state, first.pid > 1, inside[:2], inside[2].split("-> ")[1] == inside[3].split("-> ")[1], terminal,
                ended.exit_code, second.state, logged[0], again, os.path.exists(home().folder("box"))]
    """)
    assert said == ["RUNNING", True, ["0", "kept"], True, 0, 137, "STOPPED", "begun\n", "kept\n", False]


def test_the_image_of_the_hosts_programs_works_for_a_user(play: Play) -> None:
    said = play("""
        result = sandbox.run("host", "echo $(ls /); touch /usr/x || echo read-only")
        said = [result.exit_code, result.text]
    """)
    assert said[0] == 0
    assert "usr" in said[1]
    assert "read-only" in said[1]


def test_a_volume_is_written_as_the_user_itself_and_only_with_rw(play: Play, folder: Path) -> None:
    (folder / "data").mkdir()
    if os.geteuid() == 0:
        os.chown(folder / "data", NOBODY, NOBODY)
    said = play(f"""
        first = sandbox.run("busybox", "touch /data/x", volume={str(folder / "data")!r} + ":/data").exit_code
        second = sandbox.run("busybox", "echo x > /data/y", volume={str(folder / "data")!r} + ":/data:rw").exit_code
        said = [first, second]
    """)
    assert said == [1, 0]
    assert sorted(os.listdir(folder / "data")) == ["y"]
    assert (folder / "data/y").stat().st_uid == uid()


@pytest.mark.needs_root
def test_a_second_id_can_not_be_had_and_the_refusal_says_how(play: Play) -> None:
    message, condition, cure = play("""
        try:
            sandbox.run("busybox", "true", user="1000")
        except KernelRefused as error:
            said = [error.message, error.condition, error.cure]
    """)
    assert message.startswith("SetUser: ")
    assert "EINVAL" in message
    assert "1000 is not mapped" in condition
    assert "uidmap" in cure


def test_no_user_gets_around_the_user_namespace(play: Play) -> None:
    said = play("""
        said = []
        for option in ({"userns": "host"}, {"share": ["user"]}):
            try:
                sandbox.run("busybox", "true", **option)
            except NotPossibleHere as error:
                said.append(error.message)
    """)
    assert len(said) == 2
    assert "only root" in said[0]


@pytest.mark.skipif(os.access(read_layout().at("memory").own or "/", os.W_OK) and os.geteuid() != 0,
                    reason="this user may make cgroups: the limits can be had")  # fmt: skip
def test_limits_that_can_not_be_had_are_told_and_refused_where_they_were_asked_for(play: Play) -> None:
    warned, refused = play("""
        warned = sandbox.run("busybox", "true").warnings
        refused = []
        for option in ({"memory": "64m"}, {"pids": 10}, {"cpus": 0.5}):
            try:
                sandbox.run("busybox", "true", **option)
            except NotPossibleHere as error:
                refused.append([error.message, error.condition, error.cure])
        said = [warned, refused]
    """)
    assert any("memory is not limited" in warning for warning in warned)
    assert [message for message, _, _ in refused] == [f"{limit} can't be limited here" for limit in ("memory", "pids", "cpus")]
    assert all(condition and cure for _, condition, cure in refused)


@pytest.mark.needs_root
def test_a_killed_launcher_loses_nothing_of_a_user_either(play: Play) -> None:
    said = play("""
        box = sandbox.Container.create("box", "busybox", "sleep 0.5; echo out; exit 7")
        box.start()
        os.kill(client.ask(home(), {"do": "hello"})[0]["pid"], signal.SIGKILL)
        said = [box.wait().exit_code, [data.decode() for _, _, data in box.logs()]]
    """)
    assert said == [7, ["out\n"]]


@pytest.mark.needs_root
def test_a_killed_pair_is_replaced_for_a_user_too(play: Play) -> None:
    said = play("""
        box = sandbox.Container.create("box", "busybox", "sleep 60")
        box.start()
        hello = client.ask(home(), {"do": "hello"})[0]
        for who in ("keeper", "pid"):
            os.kill(hello[who], signal.SIGKILL)
        said = [box.info().state, box.kill().exit_code in (137, -1), box.info().state]
    """)
    assert said == ["RUNNING", True, "STOPPED"]


def test_the_shelf_and_the_socket_are_the_users_alone(play: Play, folder: Path) -> None:
    modes = play("""
        sandbox.run("busybox", "true")
        said = [os.stat(path).st_mode & 0o777 for path in (home().path, home().runtime)]
    """)
    assert modes == [0o700, 0o700]
    assert (folder / "shelf").stat().st_uid == uid()


# --- a range of ids -------------------------------------------------------------------------------------------------


def test_with_newuidmap_a_user_has_a_whole_range(play: Play, with_range: tuple[str, ...]) -> None:
    rows, ids, other, owner = play("""
        rows = sandbox.run("busybox", "cat /proc/self/uid_map").text.split()
        ids = sandbox.run("busybox", "id -u; id -g", user="1000:1000").text.split()
        box = sandbox.Container.create("box", "busybox", "touch /mine; chown 1000:1000 /mine; sleep 60")
        box.start()
        other = box.exec("id -u; touch /tmp/x; stat -c %u /tmp/x /mine", user="1000").text.split()
        box.kill()
        owner = os.stat(home().folder("box") + "/upper/upper/mine").st_uid
        box.destroy()
        said = [rows, ids, other, owner]
    """, with_range)  # fmt: skip
    assert rows == ["0", str(NOBODY), "1", "1", "1879048192", "65536"]
    assert ids == ["1000", "1000"]
    assert other == ["1000", "1000", "1000"]
    assert owner == 1879048192 + 999  # the second row begins at 1


def test_with_a_range_groups_and_terminals_work_as_for_root(play: Play, with_range: tuple[str, ...]) -> None:
    said = play("""
        result = sandbox.run("busybox", "id -G; stat -c %g $(tty); cat /proc/self/setgroups", tty=True)
        said = result.text.split()
    """, with_range)  # fmt: skip
    assert said == ["0", "5", "allow"]


# --- root of a namespace of the user's own --------------------------------------------------------------------------

#: A user becomes root of a namespace with a network, and runs a script there; `said` comes back.
AS_ROOT = """
    import subprocess
    own = "mount -t tmpfs run /run && exec \\"$@\\""
    words = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", own, "sh", sys.executable, "-c", INNER]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
"""


def as_root_of_a_namespace(play: Play, script: str) -> Any:
    return play(f"    INNER = {PRELUDE + textwrap.dedent(script) + POSTLUDE!r}\n{AS_ROOT}")


def test_root_of_a_users_namespace_starts_containers_and_enters_them(play: Play) -> None:
    said, left = as_root_of_a_namespace(play, """
        box, _ = sandbox.launch("busybox", "sleep 60", name="box")
        said = [os.geteuid(), *box.exec("id -u; cat /proc/self/uid_map").text.split()]
    """)  # fmt: skip
    assert said == [0, "0", "0", "0", "1"]
    assert left == []


def test_root_of_a_users_namespace_has_networks_with_names(play: Play) -> None:
    needs("nft", "nftables")
    needs("dnsmasq", "dnsmasq-base")
    said, left = as_root_of_a_namespace(play, """
        box, _ = sandbox.launch("busybox", "sleep 60", name="box", network="bridge")
        said = [sandbox.run("busybox", "ping -c 1 -W 2 box", network="bridge").text]
        try:
            sandbox.run("busybox", "true", network="container:box")
        except NotPossibleHere as error:
            said.append(error.message)
    """)  # fmt: skip
    assert "1 packets received" in said[0]
    assert said[1] == "only root can share a container's network"
    assert left == []


def test_the_text_of_a_sampler_says_why_nothing_is_counted(play: Play) -> None:
    launch = 'sandbox.launch("busybox", ["sleep", "60"], name="box"); sampler = sandbox.Sampler(); sampler.sample()'
    counted, text = play(f"{launch}; said = any(sampler.histories['box'].fields.values()), str(sampler)")
    # Where the user has a control group of its own, all is counted.
    assert ("nothing is counted of box: no control group could be made → sandbox doctor" in text) is not counted
