"""Folders of containers as somebody hostile, or a broken disk, leaves them: each command says what is wrong in one sentence,
nothing outside is touched, the others load, and what is of no use any more can be destroyed.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.lxc.commands import Terminal, main
from sandbox.lxc.create import create
from tests.lxc.systems import needs_busybox

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root, needs_busybox]

SCRIPT = Terminal(interactive=False)


class Told:
    """What commands say, each called in this process: one line at most, in words."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main(words[0], words[1:], SCRIPT)
        out, err = self.capsys.readouterr()
        assert err.count("\n") == (code != 0), (words, err)
        assert "Errno" not in err
        assert err.replace("\n", "").isprintable()
        return code, out, err


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


@pytest.fixture
def shelf(home: Path) -> Path:
    """The folder of the containers, with one that is in order."""
    create(open_home(), "good", "busybox", backing="overlay")
    return Path(open_home().containers)


@pytest.fixture
def box(shelf: Path) -> Iterator[Path]:
    """The folder of another one, to be spoilt."""
    create(open_home(), "box", "busybox")
    yield shelf / "box"
    assert os.stat("/etc/passwd").st_size
    assert sandbox.ledger() == []


def clear(path: Path) -> Path:
    """Take away what is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return path


def spoil_config(content: bytes, keep: bool = False) -> Callable[[Path], object]:
    return lambda box: (box / "config").write_bytes(((box / "config").read_bytes() if keep else b"") + content)


def fifo(name: str) -> Callable[[Path], object]:
    return lambda box: os.mkfifo(clear(box / name))


def folder(name: str) -> Callable[[Path], object]:
    return lambda box: clear(box / name).mkdir()


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda box: clear(box / name).symlink_to(target)


#: What is done to its config, and what is said of it then.
CONFIGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (fifo("config"), "box/config is no plain file"),
    "a folder": (folder("config"), "box/config"),
    "a device": (link("config", "/dev/zero"), "box/config is no plain file"),
    "a link to nothing": (link("config", "nowhere"), "there is no container 'box'"),
    "a link to itself": (link("config", "config"), ""),
    "empty": (spoil_config(b""), "box/config: there is no lxc.rootfs.path"),
    "torn": (spoil_config(b"lxc.uts.name = box\nlxc.rootfs.pa"), "box/config:2: 'lxc.rootfs.pa' has no '='"),
    "garbage": (spoil_config(bytes(range(256)) * 9), "box/config:1: there is a NUL byte"),
    "huge": (spoil_config(b"lxc.environment = A=1\n" * 60_000), "box/config is longer than 1024 KiB"),
    "a typo": (spoil_config(b"lxc.tty.max = four\n", keep=True), "lxc.tty.max: 'four' is no whole number from 0 to 1000"),
    "its own include": (spoil_config(b"lxc.include = config\n"), "box/config:1: "),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_config_that_is_no_config_is_named_stays_and_can_be_destroyed(box: Path, told: Told, what: str) -> None:
    spoil, said = CONFIGS[what]
    spoil(box)
    assert told("lxc-ls", "-1")[1] == "box\ngood\n"
    for words in (
        ["lxc-start", "-d"],
        ["lxc-info"],
        ["lxc-copy", "-N", "new"],
        ["lxc-copy", "-s", "-N", "new"],
        ["lxc-snapshot"],
    ):
        code, _, err = told(words[0], "-n", "box", *words[1:])
        if what == "empty" and words[0] in ("lxc-copy", "lxc-snapshot"):
            continue  # what is in order, as far as it goes, is copied as it is
        assert code == 1
        assert err.startswith(f"{words[0]}: box: ")
        assert said in err or what.startswith("a link")
    assert sorted(set(os.listdir(box.parent)) - {"new"}) == ["box", "good"]
    assert told("lxc-start", "-n", "good", "-d")[0] == 0
    assert told("lxc-stop", "-n", "good", "-k")[0] == 0
    for words in (["lxc-snapshot", "-d", "ALL"], ["lxc-destroy"]):
        assert told(words[0], "-n", "box", *words[1:]) == (0, "", "")
    assert not box.exists()


def test_a_config_that_went_for_a_moment_does_no_harm(box: Path, told: Told) -> None:
    """So some editors write: the file is moved away, and a new one made."""
    os.rename(box / "config", box / "config~")
    assert told("lxc-ls", "-1")[1] == "good\n"
    for words in (["lxc-start", "-d"], ["lxc-info"], ["lxc-destroy"]):
        assert told(words[0], "-n", "box", *words[1:])[0] == 1
    os.rename(box / "config~", box / "config")
    assert told("lxc-start", "-n", "box", "-d")[0] == 0
    assert told("lxc-destroy", "-n", "box", "-f")[0] == 0


ROOTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda box: clear(box / "rootfs"), "box/rootfs is not there"),
    "a file": (lambda box: clear(box / "rootfs").touch(), "is no folder"),
    "a FIFO": (fifo("rootfs"), "is no folder"),
    "empty": (folder("rootfs"), "there is no program '/sbin/init' in the container"),
    "a link to what holds it": (link("rootfs", "../.."), "holds the container's own folder"),
    "a link to itself": (link("rootfs", "rootfs"), "is a symbolic link by now"),
}


@pytest.mark.parametrize("what", ROOTS)
def test_a_root_that_is_none_is_refused(box: Path, told: Told, what: str) -> None:
    spoil, said = ROOTS[what]
    spoil(box)
    code, _, err = told("lxc-start", "-n", "box", "-d")
    assert code == 1
    assert said in err
    for words in (["lxc-copy", "-N", "new"], ["lxc-copy", "-s", "-N", "clone"], ["lxc-snapshot"]):
        assert (told(words[0], "-n", "box", *words[1:])[0] == 0) == (what == "empty")
    assert told("lxc-destroy", "-n", "box", "-s")[0] == 0
    assert not box.exists()


#: What else lies in its folder, and nothing that it needs.
OTHERS: dict[str, Callable[[Path], object]] = {
    "no tmp_root_pass": lambda box: clear(box / "tmp_root_pass"),
    "tmp_root_pass is a FIFO": fifo("tmp_root_pass"),
    "tmp_root_pass is a folder": folder("tmp_root_pass"),
    "the log is a FIFO": fifo("log"),
    "the log is a folder": folder("log"),
    "the log is a link": link("log", "/etc/passwd"),
    "it belongs to somebody": lambda box: [
        os.lchown(path, 12345, 12345) for path in (box, box / "config", box / "tmp_root_pass")
    ],
    "nobody may enter": lambda box: box.chmod(0),
    "clones that are none": lambda box: (box / "lxc_snapshots").write_text("/etc\npasswd\n../..\nx\nodd"),
    "a file among its snapshots": lambda box: ((box / "snaps").mkdir(), (box / "snaps/snap0").touch()),
    "a base that went": lambda box: (box / "lxc_rdepends").write_text("/nowhere/at/all\nbase\n"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_it_does_not_need_keeps_it_from_nothing(box: Path, told: Told, what: str) -> None:
    OTHERS[what](box)
    assert told("lxc-start", "-n", "box", "-d")[0] == 0
    assert told("lxc-attach", "-n", "box", "--", "true")[0] == 0
    # More than a pipe holds: whoever writes the log must not hang over it.
    assert told("lxc-attach", "-n", "box", "--", "sh", "-c", "yes | head -c 200000 > /dev/console")[0] == 0
    assert told("lxc-stop", "-n", "box", "-k")[0] == 0
    assert told("lxc-copy", "-n", "box", "-N", "new")[0] == 0
    assert told("lxc-snapshot", "-n", "box")[0] == 0
    assert told("lxc-destroy", "-n", "box", "-s")[0] == 0
    assert not os.path.exists("/nowhere")


@pytest.mark.parametrize("name", ["lxc_snapshots", "lxc_rdepends"])
@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b"\0garbage"), lambda path: path.mkdir(), lambda path: os.mkfifo(path),
])  # fmt: skip
def test_who_stands_on_whom_is_never_guessed(box: Path, told: Told, name: str, spoil: Callable[[Path], object]) -> None:
    spoil(box / name)
    code, _, err = told("lxc-destroy", "-n", "box")
    assert (code, f"box/{name} can't be read" in err, "remove it, if" in err) == (1, True, True)
    clear(box / name)
    assert told("lxc-destroy", "-n", "box")[0] == 0


@pytest.mark.parametrize("what", ["file", "fifo", "link", "other"])
def test_what_lies_among_the_containers_and_is_none_is_left_alone(box: Path, told: Told, tmp_path: Path, what: str) -> None:
    os.rename(box, tmp_path / "moved")
    match what:
        case "file":
            box.touch()
        case "fifo":
            os.mkfifo(box)
        case "link":
            box.symlink_to(tmp_path / "moved")
        case "other":
            (box / "photos").mkdir(parents=True)
    assert told("lxc-ls", "-1")[1] == ("box\ngood\n" if what == "link" else "good\n")
    for words in (["lxc-snapshot", "-d", "ALL"], ["lxc-destroy"], ["lxc-destroy", "-f"]):
        assert told(words[0], "-n", "box", *words[1:])[0] == 1 or (what, words[0]) == ("link", "lxc-snapshot")
    assert told("lxc-create", "-n", "box", "-t", "busybox")[0] == 1
    assert os.path.lexists(box)
    assert (tmp_path / "moved/config").exists()


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "/etc", "x" * 64, "", "ünï", "-d", "--help", "a\nb", "\x1b[2J", "a b", "\udcff"]
)
def test_what_is_no_name_is_refused_in_print(shelf: Path, told: Told, name: str) -> None:
    for words in (["lxc-create", "-t", "none"], ["lxc-start", "-d"], ["lxc-stop"], ["lxc-destroy", "-f"], ["lxc-info"],
                  ["lxc-snapshot"], ["lxc-attach", "--", "true"], ["lxc-freeze"]):  # fmt: skip
        code, out, err = told(words[0], "-n", name, *words[1:])
        assert (code, out) == (1, "")
        assert "is no name for a container" in err or (name == "" and "No container name specified" in err)
    assert told("lxc-copy", "-n", "good", "-N", name)[0] == 1
    assert told("lxc-copy", "-n", "good", "-R", "-N", name)[0] == 1
    assert os.listdir(shelf) == ["good"]


def test_lxcpath_can_be_relative_and_is_made_and_one_that_is_open_or_a_file_is_refused(
    home: Path, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told("lxc-create", "-P", "made/here", "-n", "box", "-t", "none")[0] == 0
    assert told("lxc-ls", "-1", "-P", f"{tmp_path}/made/here")[1] == "box\n"
    assert (tmp_path / "made/here").stat().st_mode & 0o7777 == 0o700
    assert told("lxc-destroy", "-P", "made/../made/here", "-n", "box")[0] == 0
    (tmp_path / "file").touch()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        os.chmod(shared, 0o755)
        (Path(shared) / "box").mkdir()
        for path in ("file", "file/below", "/proc/below", "/dev/null", "/", shared, f"{shared}/box"):
            for words in (["lxc-ls"], ["lxc-create", "-n", "box", "-t", "none"], ["lxc-destroy", "-n", "box"]):
                assert told(words[0], "-P", path, *words[1:])[0] == 1
        assert os.listdir(shared) == ["box"]
        assert os.stat(shared).st_mode & 0o777 == 0o755
    assert os.stat("/").st_mode & 0o7777 == 0o755
