"""In the guest: what the engine does on Debian's kernel with a pure v2 tree. test_guest.py shows each as a test of its own.

Collected only when it is named. All use one shelf, and so one launcher: here the start of a Python takes a second.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import KernelRefused
from sandbox.launcher import client
from sandbox.primitives import cgroups
from sandbox.primitives.cgroups.hierarchy import ROOM, SUPERVISOR, read_layout
from sandbox.spec import Spec
from tests.conftest import as_nobody, waiting_groups
from tests.guest.initramfs import DISK

SHELF = f"{DISK}/shelf"
RELEASE = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each check the ledger is empty, no group is left, and the launcher printed nothing: no traceback."""
    monkeypatch.setenv("SANDBOX_HOME", SHELF)
    yield
    log = Path(sandbox.Container("none").home.runtime, "launcher.log")  # which goes with a launcher that was idle for long
    assert not log.exists() or log.read_text() == ""
    assert not list(sandbox.ledger())
    groups = {str(path) for path in Path("/sys/fs/cgroup").glob(f"{ROOM}/*/") if path.name != SUPERVISOR}
    assert groups <= waiting_groups()


def _until(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.05)


def _groups(container: "sandbox.Container") -> cgroups.Directories:
    return tuple((name, path) for name, path in container.running()["cgroups"])


# --- the machine ----------------------------------------------------------------------------------------------------


def test_the_guest_has_the_v2_tree_only() -> None:
    layout = read_layout()
    assert layout.kind == "v2"
    assert not [place for place in layout.places if place.problem]


def test_the_doctor_knows_what_this_kernel_lacks() -> None:
    report = sandbox.host.report(DISK)
    found = {
        key: report.can(key) for key in ("clone3", "mount.overlay", "mount_api", "idmap", "tmpfs.xattr", "overlay.lowerdir+")
    }
    assert found == {
        "clone3": True, "mount.overlay": True, "mount_api": True, "idmap": True,
        "tmpfs.xattr": RELEASE >= (6, 6), "overlay.lowerdir+": RELEASE >= (6, 7),
    }  # fmt: skip


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_container_is_a_world_of_its_own() -> None:
    done = sandbox.run("busybox", "hostname; id -u; echo $$; cat /proc/self/cgroup; ls /sys/class/net", hostname="box")
    assert (done.exit_code, done.text.splitlines()) == (0, ["box", "0", "1", "0::/", "lo"])


def test_root_inside_is_nobody_outside() -> None:
    box, _ = sandbox.launch("busybox", ["sleep", "100"])
    uid = os.stat(f"/proc/{box.running()['pid']}").st_uid
    box.kill()
    assert uid >= 0x80000


def test_the_host_image_runs_the_hosts_python() -> None:
    done = sandbox.run("host", ["/usr/bin/python3", "-c", "import os, sys; print(sys.version_info[0], os.getpid())"])
    assert (done.exit_code, done.text) == (0, "3 1\n")


def test_the_root_file_system_of_a_run_goes_with_it() -> None:
    assert sandbox.run("busybox", "echo more > /root/written; cat /root/written", name="passing").text == "more\n"
    assert not sandbox.ledger()  # the answer comes before the clean-up; now that is done, too
    assert not os.path.exists(f"{SHELF}/containers/passing")


def test_a_name_is_free_as_soon_as_its_run_has_ended() -> None:
    spec = sandbox.spec_for("busybox", "echo again", name="again")
    assert [sandbox.run(spec).text for _ in range(5)] == ["again\n"] * 5
    assert not sandbox.ledger()
    assert os.listdir(f"{SHELF}/cache") == []


def test_what_a_container_on_the_shelf_writes_stays() -> None:
    box = sandbox.Container.create("staying", "busybox", "cat /root/written; echo more > /root/written")
    for expected in (1, 0):
        box.start()
        assert (box.wait().exit_code == 0) == (expected == 0) or expected
    wrote = b"".join(data for _, stream, data in box.logs() if stream == "stdout")
    box.destroy()
    assert wrote == b"more\n"


def test_layers_lie_on_one_another(tmp_path: Path) -> None:
    """By `lowerdir+`, or in one string before Linux 6.7: the topmost wins."""
    spec: Spec = sandbox.spec_for("busybox", "cat /etc/layer; ls /etc | grep -c only")
    layers = []
    for number in range(5):
        (tmp_path / f"{number}" / "etc").mkdir(parents=True)
        (tmp_path / f"{number}" / "etc" / "layer").write_text(f"{number}\n")
        (tmp_path / f"{number}" / "etc" / f"only{number}").touch()
        layers.append(str(tmp_path / f"{number}"))
    spec = replace(spec, root=replace(spec.root, layers=(*spec.root.layers, *layers)))
    assert sandbox.run(spec).text == "4\n5\n"


def test_a_shelf_on_tmpfs_is_refused_before_linux_6_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files can't be seen through an id map there."""
    monkeypatch.setenv("SANDBOX_HOME", "/dev/shm/shelf")
    if RELEASE >= (6, 3):
        assert sandbox.run("busybox", "echo ran").text == "ran\n"
    else:
        with pytest.raises(KernelRefused, match="lies on tmpfs, which can't be seen through an id map"):
            sandbox.run("busybox", "echo ran")


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_memory_limit_kills_and_is_told_as_the_reason() -> None:
    done = sandbox.run("busybox", ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"], memory="16m")
    assert (done.exit_code, done.reason) == (137, "killed by the kernel: out of memory, limit 16m")


def test_the_least_memory_and_one_process_are_enough_for_a_start() -> None:
    """Born in its group, the child counts there from its first page on."""
    assert [sandbox.run("busybox", ["true"], memory="6m", pids=1).exit_code for _ in range(3)] == [0, 0, 0]


def test_a_limit_on_processes_holds() -> None:
    done = sandbox.run("busybox", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all", pids=6)
    assert done.exit_code != 0
    assert b"fork" in done.stderr
    assert not done.stdout


def test_a_cpu_limit_throttles() -> None:
    box, _ = sandbox.launch("busybox", "while :; do :; done", cpus=0.2)
    groups = _groups(box)
    _until(lambda: (cgroups.usage(groups).throttled or 0) > 3)
    before, start = cgroups.usage(groups).cpu_seconds, time.monotonic()
    time.sleep(1.5)
    after, end = cgroups.usage(groups).cpu_seconds, time.monotonic()
    box.kill()
    assert before is not None
    assert after is not None
    assert 0.1 < (after - before) / (end - start) < 0.3


# --- a running container --------------------------------------------------------------------------------------------


def test_a_frozen_container_stands_still_and_goes_on() -> None:
    box, _ = sandbox.launch("busybox", "while :; do :; done")
    box.freeze()
    assert box.state == "FROZEN"
    groups = _groups(box)
    before = cgroups.usage(groups).cpu_seconds
    time.sleep(0.3)
    assert cgroups.usage(groups).cpu_seconds == before
    box.unfreeze()
    assert box.state == "RUNNING"
    _until(lambda: cgroups.usage(groups).cpu_seconds != before)
    box.kill()


def test_a_frozen_container_can_be_killed() -> None:
    box, _ = sandbox.launch("busybox", "sleep 100 & sleep 100")
    box.freeze()
    start = time.monotonic()
    assert box.kill().exit_code == 137
    assert time.monotonic() - start < 5


def test_exec_runs_beside_the_first_process() -> None:
    box, _ = sandbox.launch("busybox", ["sleep", "100"])
    done = box.exec("hostname; cat /proc/1/comm; cat /proc/self/cgroup; exit 7")
    name = box.name
    box.kill()
    assert (done.exit_code, done.text.split()) == (7, [name, "sleep", "0::/"])


def test_a_container_in_the_background_keeps_a_log() -> None:
    box, _ = sandbox.launch("busybox", "echo out; echo err >&2; exit 3")
    assert box.wait().exit_code == 3
    assert sorted((stream, data) for _, stream, data in box.logs()) == [("stderr", b"err\n"), ("stdout", b"out\n")]


def test_a_terminal_is_one() -> None:
    job = sandbox.spawn("busybox", "test -t 0 && test -t 1 && echo both", tty=True)
    assert b"".join(data for _, data in job.output()) == b"both\r\n"


def test_a_killed_launcher_loses_no_exit_status() -> None:
    box, _ = sandbox.launch("busybox", "sleep 2; exit 9")
    hello, _ = client.ask(box.home, {"do": "hello"})
    os.kill(hello["pid"], signal.SIGKILL)
    assert box.wait().exit_code == 9


# --- an ordinary user -----------------------------------------------------------------------------------------------


def test_an_ordinary_user_can_run_one(user_python: str, user_source: Path) -> None:
    """With one id and no group of its own: it has neither a range in /etc/subuid nor a place in the v2 tree."""
    folder = Path(DISK, "nobody")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    script = "import sandbox; print(sandbox.run('busybox', 'id -u; echo $$; touch /root/mine && echo wrote').text)"
    script += "; assert not sandbox.ledger()"
    command = as_nobody("env", f"PYTHONPATH={user_source}", f"SANDBOX_HOME={folder}/home", user_python, "-c", script)
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "1", "wrote"]
    assert os.listdir(folder / "home" / "containers") == []
