"""inotify: what the kernel tells of a folder, in order and by name."""

import os
from pathlib import Path

import pytest

from sandbox.linux import constants as c
from sandbox.linux import inotify
from sandbox.linux.syscalls import SyscallError


def test_changes_in_a_folder_come_in_order_with_their_names(tmp_path: Path) -> None:
    fd = inotify.init()
    try:
        watch = inotify.add_watch(fd, str(tmp_path), c.IN_CREATE | c.IN_MODIFY | c.IN_DELETE | c.IN_MOVED_FROM)
        assert inotify.read(fd) == []
        (tmp_path / "a name").write_text("x")
        (tmp_path / "ünd").write_bytes(b"")
        os.rename(tmp_path / "ünd", tmp_path.parent / "gone")
        (tmp_path / "a name").unlink()
        seen = inotify.read(fd)
        assert {event.watch for event in seen} == {watch}
        assert [(event.mask, event.name) for event in seen] == [
            (c.IN_CREATE, "a name"), (c.IN_MODIFY, "a name"), (c.IN_CREATE, "ünd"), (c.IN_MOVED_FROM, "ünd"),
            (c.IN_DELETE, "a name"),
        ]  # fmt: skip
    finally:
        os.close(fd)


def test_a_watched_file_tells_of_its_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    fd = inotify.init()
    try:
        watch = inotify.add_watch(fd, str(file), c.IN_MODIFY)
        file.write_text("x")
        file.unlink()
        assert inotify.Event(watch, c.IN_MODIFY, "") in inotify.read(fd)
        file.write_text("another of that name")
        assert not [event for event in inotify.read(fd) if event.mask & c.IN_MODIFY]
    finally:
        os.close(fd)


def test_what_is_not_there_can_not_be_watched(tmp_path: Path) -> None:
    fd = inotify.init()
    try:
        with pytest.raises(SyscallError) as refused:
            inotify.add_watch(fd, str(tmp_path / "nothing"), c.IN_MODIFY)
        assert (refused.value.call, refused.value.filename) == ("inotify_add_watch", str(tmp_path / "nothing"))
    finally:
        os.close(fd)
