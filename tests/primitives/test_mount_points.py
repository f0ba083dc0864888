"""Mount points in an image that may be hostile: links, dots and files in the way. `mounts.open_mount_point`."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.errors import KernelRefused
from sandbox.primitives.mounts import open_mount_point


def test_a_missing_mount_point_is_made_with_all_above_it(tmp_path: Path) -> None:
    fd = open_mount_point(str(tmp_path), "/a/b/c")
    assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "a/b/c"))
    os.close(fd)
    fd = open_mount_point(str(tmp_path), "/a/b/file", directory=False)
    assert stat.S_ISREG(os.fstat(fd).st_mode)
    os.close(fd)


@pytest.mark.parametrize("target", ["/etc", "../../../etc", "/", ".", "dangling"])
def test_a_mount_point_that_is_a_link_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "proc").symlink_to(target)
    with pytest.raises(KernelRefused, match=r"/proc: ENOTDIR .* /proc is a symbolic link"):
        open_mount_point(str(tmp_path), "/proc")


def test_links_above_a_mount_point_are_followed_inside_of_the_root_only(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/run").mkdir()
    (tmp_path / "root/var").symlink_to("/run")
    (tmp_path / "root/up").symlink_to("../../..")
    for path, real in (("/var/x", "run/x"), ("/up/y", "y")):
        fd = open_mount_point(str(tmp_path / "root"), path)
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "root" / real))
        os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["root"]


@pytest.mark.parametrize("path", ["/../../x", "/a/../../x", "//x//", "/./x"])
def test_a_mount_point_with_dots_stays_inside(tmp_path: Path, path: str) -> None:
    root = tmp_path / "deep/root"
    root.mkdir(parents=True)
    with suppress(OSError):
        os.close(open_mount_point(str(root), path))
    assert os.listdir(tmp_path) == ["deep"]
    assert os.listdir(tmp_path / "deep") == ["root"]


def test_a_file_is_no_mount_point_for_a_folder_nor_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KernelRefused, match="/file is not a directory"):
        open_mount_point(str(tmp_path), "/file")
    with pytest.raises(KernelRefused, match="/folder is a directory"):
        open_mount_point(str(tmp_path), "/folder", directory=False)


def test_a_magic_link_above_a_mount_point_is_not_followed() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        open_mount_point("/", f"/proc/{os.getpid()}/root/tmp/x")


def test_no_descriptor_is_left_open_when_a_mount_point_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "file").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/link", "/file", "/file/below", "/link/../../x"):
        try:
            os.close(open_mount_point(str(tmp_path), path))
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
