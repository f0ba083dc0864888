"""What an image holds leads nobody out of it: not the mounts of a start, not its writes, not the look-up of a user."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import KernelRefused, SandboxError
from tests.attacks.hostile import Hostile


@pytest.mark.parametrize("path", ["/proc", "/sys", "/dev"])
@pytest.mark.parametrize("absolute", [True, False])
def test_an_image_whose_kernel_folders_are_links_is_refused(image: Hostile, canary: Path, path: str, absolute: bool) -> None:
    """Rows 4, 7 and 8: CVE-2019-19921, CVE-2023-27561 (/proc), CVE-2025-52881 (writes below it), CVE-2026-41579 (/dev)."""
    image.link(path, canary if absolute else f"../../../../../../../..{canary}")
    with pytest.raises(KernelRefused, match=path):
        image.run()


def test_a_volume_below_a_linked_folder_lands_inside_the_root(image: Hostile, canary: Path, tmp_path: Path) -> None:
    """Row 3, without the race: the parent of a mount point is a link out of the image. CVE-2021-30465."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "gift").write_text("a gift")
    (image.folder / str(canary)[1:]).mkdir(parents=True)
    image.link("/way", canary)
    done = image.run(f"ls {canary}/place; ls -d /way/place", volume=f"{given}:/way/place")
    assert done.text.split() == ["gift", "/way/place"]


@pytest.mark.parametrize("target", ["/canary", "/dev/zero", "/proc/self/attr/current", "../null"])
def test_an_image_cannot_choose_what_masks_are_made_of(image: Hostile, target: str) -> None:
    """Row 5: the image's own /dev/null is a link. CVE-2025-31133."""
    image.link("/dev/null", target)
    image.link("/dev/zero", "/proc/sysrq-trigger")
    done = image.run("wc -c < /proc/keys; wc -c < /proc/timer_list; ls -l /dev/null; echo x > /dev/null && echo fine")
    keys, timers, null, written = done.text.splitlines()
    assert (keys, timers, written) == ("0", "0", "fine")
    assert null.startswith("crw-rw-rw-")
    assert "1,   3" in null


@pytest.mark.parametrize("name", ["console", "pts/0", "ptmx", "tty", "pts"])
def test_a_console_is_never_bound_through_a_link(image: Hostile, canary: Path, name: str) -> None:
    """Row 6: CVE-2025-52565."""
    image.link(f"/dev/{name}", canary / "secret")
    job = sandbox.spawn(image.spec("tty; test -c /dev/console && echo console; ls /dev/pts", tty=True))
    seen = b"".join(data for _, data in job.output())
    assert seen.split() == [b"/dev/pts/0", b"console", b"0", b"ptmx"]


@pytest.mark.parametrize("what", ["link", "fifo", "folder", "endless", "nothing"])
def test_a_hostile_passwd_neither_hangs_nor_names_anybody(image: Hostile, canary: Path, what: str) -> None:
    """Row 16: CVE-2024-9676. The user is looked up in the image's own file, and in a file only."""
    passwd = image.folder / "etc/passwd"
    passwd.parent.mkdir()
    (canary / "secret").write_text("eve:x:0:0:::\n")
    match what:
        case "link":
            passwd.symlink_to(canary / "secret")
        case "fifo":
            os.mkfifo(passwd)
        case "folder":
            (image.folder / "etc/group").mkdir()
            passwd.symlink_to("group")
        case "endless":
            passwd.symlink_to("/dev/zero")
        case "nothing":
            passwd.symlink_to("passwd")
    begun = time.monotonic()
    with pytest.raises(SandboxError, match="eve"):
        image.run(user="eve")
    assert time.monotonic() - begun < 20
    (canary / "secret").write_text("the host's")


@pytest.mark.parametrize("number", ["-1", "4294967295", "4294967296", "18446744073709551616", "0x0", "1e3", " 5", "", "٣"])
def test_a_passwd_with_numbers_that_are_none_makes_nobody_root(image: Hostile, number: str) -> None:
    """Row 16: -1 means "do not change" to setresuid(2), and so the user would stay root. CVE-2026-30892's class."""
    image.file("/etc/passwd", f"eve:x:{number}:{number}:::\n")
    assert "user 'eve' is not in the container's /etc/passwd" in image.refusal("id -u", user="eve")


@pytest.mark.needs_cgroup("pids")
def test_programs_of_the_image_are_never_run_outside_of_it(image: Hostile, tmp_path: Path) -> None:
    """Row 15: CVE-2022-1227. Asking about a container, or listing all, runs nothing of it and nothing in it."""
    told = tmp_path / "told"
    told.mkdir(mode=0o777)
    told.chmod(0o777)
    for name in ("ps", "cat", "ls", "id", "top", "python3", "sh"):
        image.file(f"/usr/local/bin/{name}", "#!/bin/busybox sh\necho $0 $$ >> /told/ran\n", 0o755)
        image.file(f"/bin/{name}", "#!/bin/busybox sh\necho $0 $$ >> /told/ran\n", 0o755)
    spec = image.spec(["/bin/busybox", "sleep", "60"], volume=f"{told}:/told:rw")
    job = sandbox.spawn(spec)
    while not job.pid:
        job.poll(0.1)
    box = sandbox.Container.get(job.name)
    before = box.info().pids
    assert (before, box.state, [each.name for each in sandbox.containers()]) == (1, "RUNNING", [job.name])
    list(box.logs())
    assert box.info().pids == before
    assert os.listdir(told) == []
    job.abandon()


def test_escape_sequences_of_an_image_do_not_reach_the_terminal_in_an_error(image: Hostile) -> None:
    """Row 25: what a terminal obeys is written out, when it comes from the image."""
    image.file("/bin/evil", b"#!/bin/\x1b]52;c;ZXZpbA==\x07\x1b[2J<script>\n", 0o755)
    image.file("/etc/passwd", b"eve:x:\x1b[2J:0:::\n")
    for told in (image.refusal(["/bin/evil"]), image.refusal(user="eve")):
        assert told
        assert told.replace("\n", "").isprintable()


def test_a_volume_can_be_mounted_below_a_relative_link_while_others_mount(image: Hostile, tmp_path: Path) -> None:
    """openat2(2) says EAGAIN when something is mounted or renamed anywhere while it walks over "..": that is no refusal."""
    image.link("/var/way", "../home/../mnt")
    spec = image.spec(["test", "-e", "/mnt/a/b/c/d/gift"], volume=f"{tmp_path}:/var/way/a/b/c/d")
    (tmp_path / "gift").write_text("")
    jobs = [sandbox.spawn(replace(spec, name=f"many{i}")) for i in range(40)]
    codes = []
    for job in jobs:
        while not job.done:
            job.poll(0.2)
        codes.append(job.result().exit_code)
    assert codes == [0] * 40
