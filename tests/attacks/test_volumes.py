"""What is shown of the host is what was asked for, as it was asked for, and no way to more."""

import os
import platform
import stat
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import InvalidOption, KernelRefused
from sandbox.home import home as open_home
from tests.attacks.hostile import Hostile, program, shell


def test_a_container_cannot_redirect_the_volume_of_another(home: Path, canary: Path, tmp_path: Path) -> None:
    """Row 3: CVE-2021-30465's class. The source of a volume is in another's reach, who puts a link there before the start."""
    (shared := tmp_path / "shared").mkdir()
    shared.chmod(0o777)
    (shared / "part").mkdir()
    victim = sandbox.Container.create("victim", "busybox", "cat /x/*", volume=f"{shared}/part:/x")
    (shared / "part").rmdir()
    assert shell(f"ln -s {canary} /v/part", volume=f"{shared}:/v:rw") == ""
    assert os.path.realpath(shared / "part") == str(canary)
    with pytest.raises(KernelRefused, match="symbolic link by now"):
        victim.start()
    victim.destroy()


def test_a_volume_races_with_its_own_mount_point_in_vain(home: Path, canary: Path, tmp_path: Path) -> None:
    """Row 3: CVE-2021-30465. One container swaps a folder for a link, while others are started with a volume below it."""
    shared, gift = tmp_path / "shared", tmp_path / "gift"
    for folder in (shared, gift):
        folder.mkdir()
        folder.chmod(0o777)
    swapper = f"""
os.makedirs("/v/a/b")
os.symlink("../../../../../../..{canary}", "/v/link")
os.write(1, b"ready")
while True:
    call(316, -100, b"/v/a", -100, b"/v/link", 2)
"""
    if platform.machine() != "x86_64":
        pytest.skip("the number of renameat2(2) is that of x86_64")
    job = sandbox.spawn("host", program(swapper), volume=f"{shared}:/v:rw")
    while not job.poll(0.1):
        assert not job.done
    refused = mounted = 0
    for _ in range(60):
        try:
            done = sandbox.run("busybox", "grep -c gift /proc/self/mountinfo", volume=[f"{shared}:/v:rw", f"{gift}:/v/a/b"])
            mounted += done.text.strip() == "1"
        except KernelRefused:
            refused += 1
    job.abandon()
    assert mounted + refused == 60
    assert refused
    assert mounted


@pytest.mark.needs_root
@pytest.mark.parametrize("userns", ["private", "host"])
def test_a_device_node_opens_nothing(image: Hostile, tmp_path: Path, userns: str) -> None:
    """Row 20: one made inside, one that the image brings, one in a volume."""
    given = tmp_path / "given"
    given.mkdir()
    for node in (image.folder / "brought", given / "lent"):
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        os.chmod(node, 0o666)
    script = "for d in / /dev /dev/shm /tmp /v; do mknod $d/made c 1 5; done 2>/dev/null\n"
    script += "for f in /made /dev/made /dev/shm/made /tmp/made /v/made /brought /v/lent; do head -c1 $f && echo open; done"
    done = image.run(script, userns=userns, volume=f"{given}:/v:rw")
    assert done.text == ""
    assert done.stderr.count(b"denied") + done.stderr.count(b"No such file") + done.stderr.count(b"not permitted") == 7


def test_the_runtime_is_not_visible_inside_and_cannot_be_shown(home: Path, tmp_path: Path) -> None:
    """Row 30: no socket, no ledger, no shelf; and no volume that would hold them."""
    runtime = open_home().runtime
    assert shell(f"ls {runtime} {home} 2>/dev/null; cat /proc/net/unix | tail -n +2").strip() == ""
    for source in (home, home / "containers", home.parent, "/", runtime, Path(runtime).parent, "/proc", "/sys/fs/cgroup"):
        with pytest.raises(InvalidOption, match="can't be a volume"):
            sandbox.run("busybox", ["true"], volume=f"{source}:/x")
