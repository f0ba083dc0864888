"""A copy of a folder has all that the folder has; what is hostile in it stays where it is."""

import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import disk_copy
from sandbox.disk import remove_tree
from sandbox.errors import SandboxError
from tests.private import privately


def facts(top: Path) -> dict[str, tuple[object, ...]]:
    """What is known of every file below a folder, by its relative path; inodes only as who shares one."""
    found = {}
    names: dict[int, str] = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if stat.S_ISREG(status.st_mode) else ""
        shared = names.setdefault(status.st_ino, str(path.relative_to(top)))
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        found[str(path.relative_to(top))] = (
            status.st_mode, status.st_uid, status.st_gid, status.st_rdev, status.st_nlink, status.st_mtime_ns, shared, content,
            attributes,
        )  # fmt: skip
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one of everything that an ordinary user can make."""
    top = tmp_path / "tree"
    (top / "a/b/c").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o711)
    (top / "a/file").write_bytes(b"content" * 10_000)
    (top / "a/b/nothing").touch()
    (top / "a/b/setuid").write_bytes(b"x")
    (top / "a/b/setuid").chmod(0o6751)
    os.link(top / "a/file", top / "a/b/c/again")
    os.link(top / "a/file", top / "z")
    os.symlink("file", top / "a/link")
    os.link(top / "a/link", top / "a/link2", follow_symlinks=False)
    os.symlink("/nowhere/at/all", top / "dangling")
    os.mkfifo(top / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(top / "socket"))
    (top / "no\nname \udcff").write_bytes(b"1")
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        os.utime(path, ns=(1_000_000_000, 1_700_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(top, ns=(1, 2))
    return top


def test_a_copy_has_all_that_the_original_has(tree: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        disk_copy.copy_tree(str(tree), f"{tmp_path}/copy")
    finally:
        os.umask(before)
    assert facts(tmp_path / "copy") == facts(tree)
    assert (tmp_path / "copy/z").stat().st_ino != (tree / "z").stat().st_ino


def test_a_copy_is_its_own(tree: Path, tmp_path: Path) -> None:
    disk_copy.copy_tree(str(tree), f"{tmp_path}/copy")
    (tmp_path / "copy/z").write_bytes(b"changed")
    assert (tree / "a/file").read_bytes() == b"content" * 10_000
    assert (tmp_path / "copy/a/b/c/again").read_bytes() == b"changed"


@pytest.mark.needs_root
def test_owners_devices_and_attributes_are_copied(tree: Path, tmp_path: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.chown(path, 100_000 + number, 200_000 + number, follow_symlinks=False)
    (tree / "a/b/setuid").chmod(0o6751)
    os.setxattr(tree / "a/file", "user.comment", b"\0\xff")
    os.setxattr(tree / "a/b", "user.overlay.opaque", b"y")
    os.setxattr(tree / "dangling", "trusted.note", b"on a link", follow_symlinks=False)
    capability = bytes.fromhex(
        "0100000200040000000000000000000000000000"
    )  # cap_net_raw=ep. capabilities(7), VFS_CAP_REVISION_2
    os.setxattr(tree / "a/b/setuid", "security.capability", capability)
    disk_copy.copy_tree(str(tree), f"{tmp_path}/copy")
    assert facts(tmp_path / "copy") == facts(tree)


def test_holes_stay_holes(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with open(tmp_path / "tree/sparse", "wb") as file:
        for place in (1 << 20, 1 << 28):
            file.seek(place)
            file.write(b"data" * 1000)
        file.truncate(1 << 30)
    disk_copy.copy_tree(f"{tmp_path}/tree", f"{tmp_path}/copy")
    copied = (tmp_path / "copy/sparse").stat()
    assert copied.st_size == 1 << 30
    assert copied.st_blocks <= (tmp_path / "tree/sparse").stat().st_blocks + 16
    with open(tmp_path / "copy/sparse", "rb") as file:
        file.seek(1 << 28)
        assert file.read(4000) == b"data" * 1000


@pytest.mark.parametrize("ways", [["_reflink", "_kernel_copy", "_send"], ["_kernel_copy", "_send"], ["_send"]])
def test_every_way_of_copying_gives_the_same(
    ways: list[str], tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in {"_reflink", "_kernel_copy", "_send"} - set(ways):

        def refused(*words: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(disk_copy, way, refused)
    disk_copy.copy_tree(str(tree), f"{tmp_path}/copy")
    assert facts(tmp_path / "copy") == facts(tree)


def test_between_two_file_systems_too(tree: Path) -> None:
    other = Path("/dev/shm", f"sandbox-copy-{os.getpid()}")
    try:
        disk_copy.copy_tree(str(tree), str(other))
        assert facts(other) == facts(tree)
    finally:
        remove_tree(str(other))


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret")
    (tmp_path / "tree").mkdir()
    os.symlink("../secret", tmp_path / "tree/folder")
    os.symlink("../secret/key", tmp_path / "tree/file")
    disk_copy.copy_tree(f"{tmp_path}/tree", f"{tmp_path}/copy")
    assert sorted(os.listdir(tmp_path / "copy")) == ["file", "folder"]
    assert (tmp_path / "copy/folder").is_symlink()
    assert (tmp_path / "copy/file").is_symlink()


def test_folders_nested_deeper_than_stack_and_descriptors_reach(tmp_path: Path) -> None:
    depth = 3000
    os.mkdir(tmp_path / "tree")
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        disk_copy.copy_tree(f"{tmp_path}/tree", f"{tmp_path}/copy")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    here = os.open(tmp_path / "copy", os.O_RDONLY)
    for _ in range(depth):
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    assert os.listdir(here) == ["bottom"]
    os.close(here)
    for name in ("tree", "copy"):
        remove_tree(f"{tmp_path}/{name}")


def test_thousands_of_hard_links_need_no_descriptors(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(2000):
        (tmp_path / f"tree/{number}").touch()
        os.link(tmp_path / f"tree/{number}", tmp_path / f"tree/{number}-again")
    disk_copy.copy_tree(f"{tmp_path}/tree", f"{tmp_path}/copy")
    assert len(os.listdir(tmp_path / "copy")) == 4000
    assert (tmp_path / "copy/7").stat().st_ino == (tmp_path / "copy/7-again").stat().st_ino


@pytest.mark.needs_userns
def test_what_is_mounted_in_it_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "tree/mounted").mkdir(parents=True)
    script = f"""
import os, subprocess
from sandbox import disk_copy
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", {str(tmp_path / "tree/mounted")!r}], check=True)
open({str(tmp_path / "tree/mounted/inside")!r}, "w").close()
disk_copy.copy_tree({str(tmp_path / "tree")!r}, {str(tmp_path / "copy")!r})
print(os.listdir({str(tmp_path / "copy/mounted")!r}))
"""
    assert privately(script) == "[]\n"


def test_a_folder_that_is_moved_away_meanwhile_is_noticed(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "a/b/c/within").touch()
    plain = disk_copy._Copy._file

    def moving(self: disk_copy._Copy, name: str) -> None:
        plain(self, name)
        if name == "within":
            os.rename(tree / "a/b/c", outside / "c")

    monkeypatch.setattr(disk_copy._Copy, "_file", moving)
    with pytest.raises(SandboxError, match="changed while it was copied"):
        disk_copy.copy_tree(str(tree), f"{tmp_path}/copy")


def test_single_entries_can_be_copied_into_a_folder_that_is_there(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    disk_copy.copy_entries(str(tree), f"{tmp_path}/target", ["z", "a"])
    assert sorted(os.listdir(tmp_path / "target")) == ["a", "z"]
    assert (tmp_path / "target/z").stat().st_ino == (tmp_path / "target/a/file").stat().st_ino
    with pytest.raises(FileExistsError):
        disk_copy.copy_entries(str(tree), f"{tmp_path}/target", ["z"])


def test_the_target_must_not_be_there(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        disk_copy.copy_tree(str(tree), str(tmp_path))


def test_rsync_and_cp_agree(tree: Path, tmp_path: Path) -> None:
    disk_copy.copy_tree(str(tree), f"{tmp_path}/ours")
    subprocess.run(["cp", "-a", str(tree), f"{tmp_path}/theirs"], check=True, stdout=sys.stderr)
    assert facts(tmp_path / "ours") == facts(tmp_path / "theirs")
