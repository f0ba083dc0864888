"""The template debian: a real one, with systemd and an SSH server, and nothing in it that fails."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pexpect
import pytest

from sandbox import Container
from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.home import home as open_home
from sandbox.lxc.create import create
from sandbox.starting import collect
from tests.conftest import as_nobody
from tests.lxc.systems import log_in, password_of
from tests.shell import until
from tests.system import ask

#: The first of them waits until Debian's packages are there.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def booted(name: str) -> Container:
    box = Container(name)
    box.start()
    until(lambda: box.exec(["systemctl", "is-system-running"]).text.strip() in ("running", "degraded"), "systemd should be up")
    return box


@pytest.mark.needs_userns
@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_it_boots_with_no_service_that_failed_and_root_logs_in(debian: Path, backing: str) -> None:
    create(open_home(), "box", "debian", backing=backing)
    box = booted("box")
    assert box.exec(["systemctl", "is-system-running"]).text == "running\n"
    assert box.exec(["systemctl", "list-units", "--failed", "--no-legend"]).text == ""
    assert box.exec(["systemd-detect-virt"]).text == "lxc\n"
    job = log_in(box)
    assert "/dev/console" in ask(job, "tty")
    job.detach()
    job = log_in(box, tty=2)
    assert "/dev/tty2" in ask(job, "tty")
    job.write(b"poweroff\n")
    collect(job)
    assert box.state == "STOPPED"


@pytest.mark.needs_userns
def test_stop_halts_it_cleanly(debian: Path) -> None:
    create(open_home(), "box", "debian", backing="overlay")
    box = booted("box")
    ended = box.stop(30.0)
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (0, "stopped")  # it halted: killed, it would be 137
    assert b"Reached target" in b"".join(data for _, _, data in box.logs())


@pytest.mark.needs_userns
def test_root_comes_in_by_ssh_and_each_container_has_a_key_of_its_own(debian: Path) -> None:
    if not shutil.which("ssh"):
        pytest.skip("needs an SSH client: apt install openssh-client")
    keys = set()
    for name in ("a", "b"):
        create(open_home(), name, "debian", backing="overlay")
        box = booted(name)
        assert box.exec(["systemctl", "is-active", "ssh"]).text == "active\n"
        enter = [
            "-t",
            str(box.running()["pid"]),
            "-n",
            "ssh",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]
        with pexpect.spawn("nsenter", [*enter, "root@127.0.0.1", "hostname"], timeout=60, encoding="utf-8") as ssh:
            ssh.expect("assword:")
            ssh.sendline(password_of(box))
            ssh.expect(f"\n{name}\r")
            ssh.expect(pexpect.EOF)
        keys.add(box.exec("cat /etc/ssh/ssh_host_*_key.pub").text)
        box.destroy(force=True)
    assert len(keys) == 2
    assert all(key.startswith("ssh-ed25519 ") for key in keys)


@pytest.mark.needs_userns
def test_passwd_in_a_plain_chroot_sets_the_password_of_the_next_login(debian: Path) -> None:
    create(open_home(), "box", "debian")
    with pexpect.spawn("chroot", [f"{open_home().folder('box')}/rootfs", "passwd"], timeout=60) as passwd:
        for _ in range(2):
            passwd.expect("assword:")
            passwd.sendline("Secret-77-word")
        passwd.expect(pexpect.EOF)
    assert passwd.exitstatus == 0
    box = booted("box")
    log_in(box, password="Secret-77-word").detach()
    box.destroy(force=True)


def test_what_makes_a_machine_itself_is_not_in_the_layer(debian: Path) -> None:
    assert (debian / "etc/machine-id").read_text() == ""
    assert (debian / "etc/hostname").read_text() == ""
    assert not list((debian / "etc/ssh").glob("ssh_host_*"))
    assert "root:*:" in (debian / "etc/shadow").read_text()
    for empty in ("dev", "run", "tmp", "var/cache/apt"):
        assert os.listdir(debian / empty) == [], empty
    create(open_home(), "box", "debian", backing="overlay")
    shadow = Path(open_home().folder("box"), "overlay/upper/etc/shadow").stat()
    before = (debian / "etc/shadow").stat()
    assert (shadow.st_mode, shadow.st_gid) == (before.st_mode, before.st_gid)
    assert stat.S_IMODE(shadow.st_mode) == 0o640


def test_the_second_one_is_made_without_the_network(debian: Path) -> None:
    told: list[str] = []
    create(open_home(), "box", "debian", progress=told.append)
    assert not [line for line in told if "Installing" in line]
    assert told[0].startswith("Copying rootfs to ")
    assert os.listdir(open_home().layers) == [debian.name]


@pytest.mark.needs_root
def test_a_mirror_that_does_not_answer_is_told_with_the_tools_last_words_and_nothing_is_left(home: Path) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("needs mmdebstrap: apt install mmdebstrap")
    with pytest.raises(Exception, match=r"mmdebstrap failed with [0-9]+ \((.|\n)*127\.0\.0\.1"):
        create(open_home(), "box", "debian", ["--mirror", "http://127.0.0.1:9/debian", "-r", "trixie"])
    assert os.listdir(open_home().layers) == os.listdir(open_home().containers) == []


@pytest.mark.needs_root
def test_options_that_make_no_sense_are_refused_before_anything_is_fetched(home: Path) -> None:
    for words in (["-r", "../x"], ["--packages", "vim,-o"], ["--arch", "a b"], ["--mirror", "nowhere"]):
        with pytest.raises(InvalidOption):
            create(open_home(), "box", "debian", words)
    assert os.listdir(open_home().layers) == os.listdir(open_home().containers) == []


@pytest.mark.needs_root
def test_an_ordinary_user_is_told_why_not(user_python: str, user_source: Path) -> None:
    script = """
from sandbox.lxc import templates
try:
    templates.get("debian").make(None, templates.read("debian", []), print)
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(user_source), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    done = subprocess.run(as_nobody(user_python, "-c", script), capture_output=True, text=True, env=environment, cwd="/")
    assert done.stdout.startswith(f"{NotPossibleHere.__name__} the template debian needs root (we are user 65534"), done.stderr
