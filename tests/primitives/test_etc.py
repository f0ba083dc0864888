"""/etc as the container finds it: filled where it was empty, otherwise the image's; and a hostile image leads nowhere."""

import os
import stat
from pathlib import Path

import pytest

from sandbox.errors import WrongState
from sandbox.primitives.etc import MARK, WriteEtc
from sandbox.step import World

STEP = WriteEtc("box", (("10.7.0.2", ("me", "box")), ("10.7.0.3", ("web",))), ("10.7.0.1", "192.0.2.1"), ("lab", "back"))
OURS = "10.7.0.2\tme box\n10.7.0.3\tweb\n"


def write(root: Path, step: WriteEtc = STEP) -> str:
    world = World()
    world.root = str(root)
    return step.apply(world)


def read(root: Path, name: str) -> str:
    return (root / "etc" / name).read_text()


def test_what_is_missing_is_written(tmp_path: Path) -> None:
    assert write(tmp_path) == "hostname, hosts, resolv.conf"
    assert read(tmp_path, "hostname") == "box\n"
    assert read(tmp_path, "resolv.conf").splitlines()[1:] == ["search lab back", "nameserver 10.7.0.1", "nameserver 192.0.2.1"]
    hosts = read(tmp_path, "hosts")
    assert OURS in hosts
    assert "127.0.0.1\tlocalhost\n" in hosts
    assert stat.S_IMODE((tmp_path / "etc" / "hosts").stat().st_mode) & 0o444 == 0o444
    assert sorted(os.listdir(tmp_path / "etc")) == ["hostname", "hosts", "resolv.conf"]


def test_what_is_empty_is_filled_and_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "resolv.conf").write_text("")
    (tmp_path / "etc" / "hostname").write_text("theirs\n")
    assert write(tmp_path) == "hosts, resolv.conf"
    assert read(tmp_path, "hostname") == "theirs\n"
    (tmp_path / "etc" / "resolv.conf").write_text("nameserver 9.9.9.9\n")
    write(tmp_path)
    assert read(tmp_path, "resolv.conf") == "nameserver 9.9.9.9\n"


def test_what_was_written_before_is_written_anew_and_lines_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("127.0.0.1 localhost\n192.0.2.7 theirs")
    write(tmp_path)
    assert read(tmp_path, "hosts").startswith("127.0.0.1 localhost\n192.0.2.7 theirs\n" + MARK)
    with (tmp_path / "etc" / "hosts").open("a") as file:
        file.write("192.0.2.8 behind\n")
    write(tmp_path, WriteEtc("box", (("10.7.0.9", ("box",)),), ("10.8.0.1",)))
    hosts = read(tmp_path, "hosts")
    assert "10.7.0.9\tbox\n" in hosts
    assert OURS not in hosts
    assert hosts.startswith("127.0.0.1 localhost\n192.0.2.7 theirs\n")
    assert hosts.endswith("192.0.2.8 behind\n")
    assert "nameserver 10.8.0.1\n" in read(tmp_path, "resolv.conf")
    assert "10.7.0.1" not in read(tmp_path, "resolv.conf")


def test_who_starts_a_second_time_finds_nothing_to_do(tmp_path: Path) -> None:
    write(tmp_path)
    before = {name: read(tmp_path, name) for name in os.listdir(tmp_path / "etc")}
    assert write(tmp_path) == "all is there already"
    assert {name: read(tmp_path, name) for name in os.listdir(tmp_path / "etc")} == before


def test_without_nameservers_the_images_own_file_stays(tmp_path: Path) -> None:
    write(tmp_path, WriteEtc("box"))
    assert sorted(os.listdir(tmp_path / "etc")) == ["hostname", "hosts"]


@pytest.mark.parametrize("name", ["hostname", "hosts", "resolv.conf"])
@pytest.mark.parametrize("kind", ["link out", "link in", "broken link", "folder", "fifo"])
def test_a_hostile_image_leads_nowhere(tmp_path: Path, name: str, kind: str) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    victim.write_text("")
    (root / "etc").mkdir(parents=True)
    (root / "inner").write_text("")
    place = root / "etc" / name
    match kind:
        case "link out":
            place.symlink_to(victim)
        case "link in":
            place.symlink_to("../inner")
        case "broken link":
            place.symlink_to(tmp_path / "new")
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
    before = place.lstat()
    assert name not in write(root).split(", ")
    after = place.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert victim.read_text() == (root / "inner").read_text() == ""
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("target", ["/etc", "../outside", "other"])
def test_an_etc_that_is_a_link_is_left_alone(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    (root / "other").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "etc").symlink_to(target)
    assert write(root) == "/etc is no plain folder in this image"
    assert os.listdir(root / "other") == os.listdir(tmp_path / "outside") == []


def test_a_second_name_of_another_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "program").write_text("")
    os.link(tmp_path / "program", tmp_path / "etc" / "resolv.conf")
    write(tmp_path)
    assert (tmp_path / "program").read_text() == ""


def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_bytes(b"127.0.0.1 l\xf6calhost\n")
    write(tmp_path)
    assert (tmp_path / "etc" / "hosts").read_bytes().startswith(b"127.0.0.1 l\xf6calhost\n")


def test_without_a_new_root_the_hosts_files_are_not_touched() -> None:
    with pytest.raises(WrongState, match="this /etc is the host's"):
        STEP.apply(World())
