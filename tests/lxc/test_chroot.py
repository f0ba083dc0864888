"""A chroot into a container's root: the plan that has only that, and what it does to whom."""

import os
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.errors import NotFound, WrongState
from sandbox.job import Result
from sandbox.lxc import chroot
from sandbox.starting import collect
from tests.lxc.folders import make_lxc
from tests.shell import Shell, until

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]
needs_root = pytest.mark.needs_root


def run(container: Container, *command: str) -> Result:
    return collect(chroot.spawn(container, command, interactive=False))


@pytest.fixture(params=["dir", "overlay"])
def box(request: pytest.FixtureRequest, home: Path) -> Container:
    """A container that does not run, with a folder as root, or with layers."""
    if request.param == "overlay":
        return Container.create("box", command=["sleep", "100"])
    if os.geteuid():
        pytest.skip("needs root: a rootfs of many users can't be seen by an ordinary one")
    return make_lxc("box")


def test_the_plan_changes_the_root_and_little_else(box: Container) -> None:
    made = chroot.compiled(box, ["true"])
    names = [step.name for step in made]
    assert "Chroot" in names
    assert not {"PivotRoot", "MakeDev", "MountFilesystem", "AttachTree", "Mask", "SetHostname"} & set(names)
    assert ("MountOverlay" in names) == bool(box.spec.root.layers)
    assert names.index("Chroot") < names.index("SetUser") < names.index("Exec")


def test_the_root_is_the_containers_and_the_rest_is_ours(box: Container) -> None:
    done = run(box, "sh", "-c", "id -u; hostname; ls /proc /sys; echo kept > /tmp/kept; cat /etc/passwd")
    assert done.exit_code == 0
    assert done.text.splitlines()[:2] == ["0", os.uname().nodename]
    assert run(box, "cat", "/tmp/kept").text == "kept\n"
    box.start()
    assert box.exec(["cat", "/tmp/kept"]).text == "kept\n"
    box.kill()


@needs_root
def test_root_in_a_chroot_is_nobody_outside_and_root_on_disk() -> None:
    box = make_lxc("box")
    job = chroot.spawn(box, ["sh", "-c", "touch /made; sleep 100"], interactive=False)
    rootfs = Path(box.home.folder("box"), "rootfs")
    until(lambda: job.poll(0.05) or (rootfs / "made").exists(), "it writes")
    uids = Path(f"/proc/{(box.entry or {})['pid']}/status").read_text().partition("Uid:\t")[2].split()[:4]
    assert "0" not in uids
    assert (rootfs / "made").stat().st_uid == 0
    job.abandon()


def test_nothing_that_it_starts_outlives_it(box: Container) -> None:
    run(box, "sh", "-c", "sleep 4711 & true")
    assert sandbox.ledger() == []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert status.read_bytes() != b"sleep\x004711\x00"
        except OSError:
            continue


def test_no_second_chroot_leads_out(box: Container) -> None:
    done = run(box, "sh", "-c", "mkdir -p /x && chroot /x /bin/true")
    assert done.exit_code != 0
    assert b"Operation not permitted" in done.stderr


def test_one_that_runs_is_left_alone_and_no_two_write_to_one_root(box: Container) -> None:
    box.start()
    with pytest.raises(WrongState, match="is running"):
        run(box, "true")
    box.kill()
    sandbox.ledger()
    job = chroot.spawn(box, ["sleep", "100"], interactive=False)
    until(lambda: job.poll(0.05) or job.pid, "it begins")
    with pytest.raises(WrongState, match="running already"):
        box.start()
    job.abandon()


@needs_root
def test_a_container_is_found_by_its_name_or_by_the_path_of_its_root(tmp_path: Path) -> None:
    box = make_lxc("box")
    rootfs = f"{box.home.folder('box')}/rootfs"
    for place in ("box", rootfs, f"{rootfs}/"):
        assert chroot.find(place).home.folder("box") == box.home.folder("box")
    for place in ("nope", "/", str(tmp_path), box.home.folder("box")):
        with pytest.raises(NotFound):
            chroot.find(place)


# --- in a shell -----------------------------------------------------------------------------------------------------


@pytest.mark.needs_cgroup("memory")
def test_the_shell_hands_on_input_output_and_exit_code(home: Path) -> None:
    Container.create("box")
    shell = Shell(str(home))
    done = shell.run("chroot", "box", "sh", "-c", "cat; echo wrong >&2; exit 3", stdin=b"typed")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"typed", b"wrong\n")
    done = shell.run("chroot", "box", "no-such-program")
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"Exec: execve no-such-program: ENOENT" in done.stderr
    assert "Chroot()" in shell.text("chroot", "--plan", "box", "passwd")
    assert shell.run("chroot", "nope", "true").returncode == 125


@needs_root
def test_a_password_is_asked_for_at_a_terminal_and_set(home: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    box = make_lxc("box")
    rootfs = Path(box.home.folder("box"), "rootfs")
    words = ["-m", "sandbox", "chroot", str(rootfs), "passwd"]
    terminal = pexpect.spawn(sys.executable, words, env=Shell(str(home)).environment, encoding="utf-8", timeout=60)
    for _ in range(2):
        terminal.expect("[Pp]assword: ")
        terminal.sendline("s3cret-and-long")
    terminal.expect(pexpect.EOF)
    assert "s3cret" not in terminal.before
    terminal.close()
    assert terminal.exitstatus == 0
    shadow = rootfs / "etc/shadow"
    assert shadow.read_text().startswith("root:$")
    assert shadow.stat().st_uid == 0
