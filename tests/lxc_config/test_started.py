"""What a configuration says is so in the container that it describes."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Container, images
from sandbox.errors import InvalidOption, NotFound
from sandbox.home import home as open_home
from tests.system import INITTAB

pytestmark = [
    pytest.mark.needs_userns,
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a system has many users"),
]

Make = Callable[..., Container]


@pytest.fixture
def make() -> Iterator[Make]:
    """Put a container on the shelf whose folder holds rootfs/ and these lines as its config."""
    made: list[Container] = []

    def put(*lines: str) -> Container:
        home = open_home()
        with home.build("c1") as folder:
            (layer,) = images.get("busybox", home).layers
            shutil.copytree(layer, f"{folder}/rootfs", symlinks=True)
            os.makedirs(f"{folder}/rootfs/sbin", exist_ok=True)
            if not os.path.lexists(f"{folder}/rootfs/sbin/init"):
                os.symlink("/bin/busybox", f"{folder}/rootfs/sbin/init")
            Path(folder, "rootfs/etc/inittab").write_text(INITTAB)
            text = "\n".join([f"lxc.rootfs.path = dir:{home.folder('c1')}/rootfs", "lxc.signal.halt = SIGUSR1", *lines, ""])
            Path(folder, "config").write_text(text)
        made.append(Container("c1", home))
        return made[-1]

    yield put
    for box in made:
        if box.on_shelf:
            box.destroy(force=True)


def test_what_the_lines_say_is_so_inside(make: Make, tmp_path: Path) -> None:
    (tmp_path / "shown").write_text("from the host\n")
    (tmp_path / "policy").write_text("2\ndenylist\nmkdir errno 28\nmkdirat errno 28\n")
    box = make(
        "lxc.uts.name = inside", "lxc.environment = WORD=some words", "lxc.tty.max = 2", "lxc.cap.drop = sys_boot kill",
        f"lxc.mount.entry = {tmp_path}/shown mnt/shown none bind,ro,create=file 0 0",
        "lxc.mount.entry = tmpfs mnt/new tmpfs size=64k,create=dir 0 0", f"lxc.seccomp.profile = {tmp_path}/policy",
        "lxc.prlimit.nofile = 99:100", "lxc.sysctl.net.ipv4.ip_forward = 1", "lxc.cgroup2.pids.max = 77",
        "lxc.cgroup.pids.max = 78", "lxc.hook.start = /bin/touch /started",
    )  # fmt: skip
    box.start()
    said = box.exec(
        "hostname; tr '\\0' '\\n' < /proc/1/environ | grep -e WORD -e container; ls /dev/tty1 /dev/tty2; cat /mnt/shown;"
        "df /mnt/new | tail -1 | awk '{print $2}'; mkdir /x 2>&1; grep 'open files' /proc/1/limits | awk '{print $4, $5}';"
        "cat /proc/sys/net/ipv4/ip_forward; ls /started; grep CapBnd /proc/1/status"
    ).text.splitlines()
    assert said[:11] == [
        "inside", "container=lxc", "WORD=some words", "/dev/tty1", "/dev/tty2", "from the host", "64",
        "mkdir: can't create directory '/x': No space left on device", "99 100", "1", "/started",
    ]  # fmt: skip
    assert not int(said[11].split()[1], 16) & (1 << 22 | 1 << 5)
    assert box.exec("echo no > /mnt/shown").exit_code != 0
    assert box.exec("grep -c . /proc/sys/kernel/ostype; echo x > /proc/sys/kernel/hostname").exit_code != 0


def test_a_line_that_makes_no_sense_is_told_and_nothing_is_moved_away(make: Make) -> None:
    box = make("lxc.tty.max = many")
    with pytest.raises(NotFound, match=r"/c1/config:3: lxc.tty.max: 'many' is no whole number"):
        box.start()
    assert os.listdir(open_home().containers) == ["c1"]
    Path(open_home().folder("c1"), "config").write_text(
        f"lxc.rootfs.path = {open_home().folder('c1')}/rootfs\nlxc.signal.halt = SIGUSR1\n"
    )
    box.start()


def test_a_policy_that_makes_no_sense_is_told_at_the_start(make: Make, tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("2\ndenylist\nmkdir explode\n")
    box = make(f"lxc.seccomp.profile = {tmp_path}/policy")
    with pytest.raises(InvalidOption, match=r"policy:3: 'explode' is nothing that can happen"):
        box.start()
    os.unlink(tmp_path / "policy")
    with pytest.raises(NotFound, match=r"the policy .*/policy can't be read"):
        box.start()


def test_the_common_conf_of_lxc_boots(make: Make) -> None:
    if not os.path.exists("/usr/share/lxc/config/common.conf"):
        pytest.skip("LXC is not installed")
    box = make("lxc.include = /usr/share/lxc/config/common.conf", "lxc.include = /usr/share/lxc/config/userns.conf")
    box.start()
    assert box.exec("ls -d /dev/tty4; touch /sys/x 2>&1; grep Seccomp: /proc/1/status").text.splitlines()[0] == "/dev/tty4"
