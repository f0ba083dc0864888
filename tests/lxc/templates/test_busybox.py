"""The template busybox boots, lets people in, halts, and works in a plain chroot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

import sandbox
from sandbox import Container
from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.home import home as open_home
from sandbox.lxc.create import create
from tests.lxc.systems import STATIC, log_in, needs_busybox, password_of
from tests.shell import until
from tests.system import ask, read_until

pytestmark = needs_busybox


@pytest.fixture
def root(home: Path) -> Path:
    """The root file system of a new one, `box`."""
    create(open_home(), "box", "busybox")
    return Path(open_home().folder("box"), "rootfs")


def test_its_root_is_whole_and_all_names_are_one_program(root: Path) -> None:
    assert {"bin", "dev", "etc", "home", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"} <= set(os.listdir(root))
    names = [(root / name).stat() for name in ("bin/busybox", "bin/ls", "bin/su", "sbin/init", "usr/bin/passwd")]
    assert {name.st_ino for name in names} == {names[0].st_ino}
    assert names[0].st_nlink > 200
    assert (root / "bin/ls").read_bytes() == Path(STATIC).read_bytes()


def test_a_container_can_not_write_to_what_others_are_made_of(root: Path) -> None:
    (layer,) = (path for path in Path(open_home().layers).iterdir() if path.name.startswith("lxc-busybox-"))
    for path in layer.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_ino != (root / path.relative_to(layer)).stat().st_ino, path


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_passwd_in_a_plain_chroot_sets_the_password_of_the_next_login(root: Path) -> None:
    with pexpect.spawn("chroot", [str(root), "passwd"], timeout=60) as passwd:
        for _ in range(2):
            passwd.expect("assword:")
            passwd.sendline("Secret-77-word")
        passwd.expect(pexpect.EOF)
    assert passwd.exitstatus == 0
    box = Container("box")
    box.start()
    job = log_in(box, password="Secret-77-word")
    assert ask(job, "id -u") == "0\n"
    job.detach()
    box.destroy(force=True)


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_a_wrong_password_is_refused(root: Path) -> None:
    box = Container("box")
    box.start()
    job = box.attach(1)
    job.write(b"\n")
    read_until(job, b"login: ")
    job.write(b"root\n")
    read_until(job, b"assword: ")
    job.write(b"wrong\n")
    read_until(job, b"Login incorrect")
    job.detach()
    box.destroy(force=True)


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_there_is_a_login_on_the_console_and_on_four_terminals(root: Path) -> None:
    box = Container("box")
    box.start()
    for tty, name in enumerate(("console", "tty1", "tty2", "tty3", "tty4")):
        job = log_in(box, tty)
        assert ask(job, "tty") == f"/dev/{name}\n"
        job.write(b"exit\n")
        read_until(job, b"login: ")  # the next one is there
        job.detach()
    box.destroy(force=True)


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_an_ordinary_user_inside_becomes_root_by_su_and_only_by_that(root: Path) -> None:
    with (root / "etc/passwd").open("a") as file:
        file.write("student:x:1000:1000::/tmp:/bin/sh\n")
    box = Container("box")
    box.start()
    job = log_in(box)
    assert (
        ask(job, "su student -c 'id -u; cat /etc/shadow' 2>&1") == "1000\ncat: can't open '/etc/shadow': Permission denied\n"
    )
    job.write(b"su student\n")
    read_until(job, b"$ ")
    job.write(b"su\n")
    read_until(job, b"assword: ")
    job.write(f"{password_of(box)}\n".encode())
    read_until(job, b"# ")
    assert ask(job, "id -u") == "0\n"
    job.detach()
    box.destroy(force=True)


@pytest.mark.needs_root
@pytest.mark.needs_userns
@pytest.mark.parametrize("word", ["halt", "poweroff"])
def test_halt_ends_it_and_stop_asks_for_the_same(root: Path, word: str) -> None:
    box = Container("box")
    box.start()
    job = log_in(box)
    job.write(f"{word}\n".encode())
    sandbox.starting.collect(job)
    assert box.state == "STOPPED"
    box.start()
    until(lambda: b"login: " in b"".join(data for _, _, data in box.logs()), "it should boot again")
    box.stop()
    assert b"The system is going down" in b"".join(data for _, _, data in box.logs())


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_reboot_starts_it_again_with_nothing_of_the_last_run(root: Path) -> None:
    box = Container("box")
    box.start()
    before = box.running()["pid"]
    job = log_in(box)
    ask(job, "echo x > /run/of-this-run; echo x > /root/of-the-disk")
    job.write(b"reboot\n")
    read_until(job, b"going down")
    job.detach()
    until(lambda: box.entry and box.running()["pid"] != before, "it should be there again")
    until(lambda: "syslogd" in box.exec("ps").text, "it should have booted")
    assert box.exec("ls /root; ls /run").text.split() == ["of-the-disk"]
    box.destroy(force=True)


def test_another_busybox_may_be_chosen(root: Path, tmp_path: Path) -> None:
    shutil.copy(STATIC, tmp_path / "busybox")
    with (tmp_path / "busybox").open("ab") as file:
        file.write(b"\0")
    create(open_home(), "mine", "busybox", ["--busybox-path", f"{tmp_path}/busybox"])
    made = Path(open_home().folder("mine"), "rootfs/bin/busybox").read_bytes()
    assert made == (root / "bin/busybox").read_bytes() + b"\0"
    with pytest.raises(NotPossibleHere, match="statically"):
        create(open_home(), "other", "busybox", [f"--busybox-path={sys.executable}"])
    assert open_home().names() == ["box", "mine"]


@pytest.mark.needs_root
def test_an_ssh_server_comes_with_all_that_it_is_linked_to(root: Path) -> None:
    program = os.path.realpath(shutil.which("ls") or "")  # it stands for one
    create(open_home(), "ssh", "busybox", ["--dropbear-path", program])
    made = open_home().folder("ssh") + "/rootfs"
    done = subprocess.run(["chroot", made, "/usr/sbin/dropbear", "-d", "/etc/dropbear"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("/etc/dropbear\n", "")
    assert "::respawn:/usr/sbin/dropbear -F -R\n" in Path(made, "etc/inittab").read_text()
    with pytest.raises(InvalidOption, match="no program"):
        create(open_home(), "other", "busybox", ["--dropbear-path", "/nowhere"])


def test_a_second_container_is_made_of_the_same_layer(root: Path) -> None:
    create(open_home(), "second", "busybox", backing="overlay")
    assert len([name for name in os.listdir(open_home().layers) if name.startswith("lxc-busybox-")]) == 1
