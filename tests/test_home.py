"""Where the shelf stands, and where it may not."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import home as room
from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.home import home, runtime_base, shelf_path
from sandbox.linux import files
from tests.conftest import as_nobody
from tests.private import privately


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SANDBOX_HOME that is not there yet."""
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "shelf"))
    yield tmp_path / "shelf"
    if known := room._known.pop((str(tmp_path / "shelf"), os.geteuid()), None):
        os.rmdir(known.runtime)


def test_a_new_shelf_is_closed_to_others(folder: Path) -> None:
    found = home()
    assert found.path == str(folder)
    for path in (found.path, found.runtime, os.path.dirname(found.runtime)):
        assert os.stat(path).st_mode & 0o7777 == 0o700
    assert {"containers", "layers", "images", "records", "cache"} <= set(os.listdir(folder))
    assert home() is found


def test_a_shelf_that_others_could_enter_is_closed(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    home()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_shelf_that_went_is_made_anew(folder: Path) -> None:
    home()
    folder.rename(f"{folder}-away")
    assert home().path == str(folder)
    assert (folder / "containers").is_dir()


def test_a_folder_with_other_things_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "thesis.txt").touch()
    with pytest.raises(InvalidOption, match="holds other things"):
        home()
    assert folder.stat().st_mode & 0o777 == 0o755
    assert os.listdir(folder) == ["thesis.txt"]


def test_a_file_in_its_place_is_named(folder: Path) -> None:
    folder.touch()
    with pytest.raises(NotPossibleHere, match="it is a file"):
        home()


def test_what_a_crash_left_half_made_goes_after_an_hour(folder: Path) -> None:
    for name in (".new-1", ".gone-2", ".new-3"):
        (folder / "containers" / name / "upper").mkdir(parents=True)
    for name in (".new-1", ".gone-2"):
        os.utime(folder / "containers" / name, (0, 0))
    home()
    assert os.listdir(folder / "containers") == [".new-3"]


def test_what_is_no_folder_is_left_alone_and_in_nobodys_way(folder: Path) -> None:
    home()
    (folder / "containers/.new-file").touch()
    (folder / "containers/.gone-link").symlink_to("/usr")
    room._tidy(f"{folder}/containers")
    assert len(os.listdir(folder / "containers")) == 2


# --- LXC's -P -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/", "/usr", "/tmp", "/etc/..", "made"])
def test_a_folder_that_others_may_enter_is_refused_and_stays_as_it_is(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        os.chmod(shared, 0o755)
        where = shared if place == "made" else place
        if os.stat(where).st_uid != os.geteuid():
            pytest.skip(f"{where} is not ours: that is another refusal")
        with monkeypatch.context() as patch:
            patch.setattr(os, "chmod", lambda *words, **more: pytest.fail(f"chmod {words}"))
            with pytest.raises(NotPossibleHere, match=r"can't be kept in .* \(other users may enter it\)"):
                room.at(where)


def test_a_folder_below_one_that_is_closed_will_do_and_one_that_is_missing_is_made_closed(folder: Path) -> None:
    below = folder.parent / "below"  # of pytest's own folder, which is closed
    below.mkdir(mode=0o755)
    for path in (below, below / "a/b"):
        found = room.at(str(path))
        assert found.containers == str(path)
        os.rmdir(found.runtime)
    assert (below / "a/b").stat().st_mode & 0o777 == 0o700
    assert below.stat().st_mode & 0o777 == 0o755
    assert room.at(f"{folder}/../{folder.name}/containers") == home()


def test_a_file_is_no_place_for_containers(folder: Path) -> None:
    home()
    (folder.parent / "file").touch()
    with pytest.raises(NotPossibleHere, match="it is a file"):
        room.at(f"{folder.parent}/file")


# --- where the runtime folder is ------------------------------------------------------------------------------------


def test_running_state_lies_on_tmpfs_in_a_folder_for_each_shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = home()
    assert files.fs_type(first.runtime) == "tmpfs"
    assert os.path.dirname(first.runtime) == runtime_base()
    monkeypatch.setenv("SANDBOX_HOME", f"{folder}-2")
    second = home()
    assert second.runtime != first.runtime
    os.rmdir(second.runtime)


def test_two_names_of_one_folder_are_one_shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{folder}-link").symlink_to(folder)
    monkeypatch.setenv("SANDBOX_HOME", f"{folder}-link")
    assert home().path == str(folder)


def test_sockets_fit_below_the_runtime_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/" + "x" * 80)
    assert runtime_base() == "/dev/shm/container-sandbox-4000000000"
    assert len(f"{runtime_base()}/{room._digest('/')}/") + room.SOCKET_NAME <= 107


def test_users_have_a_shelf_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("SANDBOX_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert shelf_path() == "/home/ada/.local/share/container-sandbox"
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/ada")
    assert shelf_path() == "/srv/ada/container-sandbox"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert shelf_path() == "/var/lib/container-sandbox"


@pytest.mark.needs_userns
def test_a_shelf_on_overlay_is_refused_with_the_cure(tmp_path: Path) -> None:
    told = privately(f"""
import os
from sandbox.linux.syscalls import mount
from sandbox.errors import NotPossibleHere
from sandbox.home import home
mount("tmpfs", "{tmp_path}", "tmpfs")
for name in ("lower", "upper", "work", "merged"):
    os.mkdir("{tmp_path}/" + name)
mount("overlay", "{tmp_path}/merged", "overlay", 0,
      "userxattr,lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work")
os.environ["SANDBOX_HOME"] = "{tmp_path}/merged/deep/shelf"
try:
    home()
except NotPossibleHere as error:
    print(error, os.listdir("{tmp_path}/merged"))
""")
    assert "it lies on overlay" in told
    assert "a volume" in told
    assert told.endswith("[]\n")


@pytest.mark.needs_userns
def test_a_link_in_the_place_of_the_runtime_folder_is_refused(tmp_path: Path) -> None:
    told = privately(f"""
import os
from sandbox.linux.syscalls import mount
from sandbox.errors import NotPossibleHere
from sandbox.home import home, runtime_base
mount("tmpfs", "/dev/shm", "tmpfs")
mount("/dev/shm", "/run", None, 4096)
os.environ["SANDBOX_HOME"] = "{tmp_path}/shelf"
os.mkdir("{tmp_path}/elsewhere")
os.symlink("{tmp_path}/elsewhere", runtime_base())
try:
    home()
except NotPossibleHere as error:
    print(error, os.listdir("{tmp_path}/elsewhere"))
""")
    assert "it is a symbolic link" in told
    assert told.endswith("[]\n")


@pytest.mark.needs_root
def test_a_folder_that_another_user_made_before_us_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        os.chmod(shared, 0o1777)
        subprocess.run(as_nobody("mkdir", "-m", "777", f"{shared}/shelf"), check=True)
        monkeypatch.setenv("SANDBOX_HOME", f"{shared}/shelf")
        with pytest.raises(NotPossibleHere, match="it is a folder of user 65534, and we are user 0"):
            home()
