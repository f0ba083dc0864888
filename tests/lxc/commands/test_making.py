"""lxc-create, lxc-copy and lxc-clone, lxc-snapshot, lxc-destroy: their words, what they say, their exit codes."""

import os
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.home import home as open_home
from sandbox.images import busybox
from sandbox.lxc.commands import main
from tests.lxc.folders import make_lxc

pytestmark = pytest.mark.usefixtures("home")
needs_busybox = pytest.mark.skipif(
    not any(map(busybox.is_static, busybox.PLACES)), reason="needs a static busybox: apt install busybox-static"
)

Told = pytest.CaptureFixture[str]


def says(capsys: Told, code: int, *words: str) -> str:
    """What a command says, on both streams. It must end with this code."""
    ended = main(words[0], words[1:])
    printed = capsys.readouterr()
    assert ended == code, printed
    return printed.out + printed.err


def test_a_template_must_be_named_and_known(capsys: Told) -> None:
    assert "A template must be specified (there are: busybox" in says(capsys, 1, "lxc-create", "-n", "box")
    assert 'Template "solaris" not found' in says(capsys, 1, "lxc-create", "-n", "box", "-t", "solaris")
    assert "zfs: there is no such backing store here" in says(capsys, 1, "lxc-create", "-n", "b", "-t", "busybox", "-B", "zfs")
    assert "closed to others; lxc-create -P /srv" in says(capsys, 1, "lxc-create", "-n", "b", "-t", "busybox", "--dir", "/srv")
    assert "No container name specified" in says(capsys, 1, "lxc-create", "-t", "busybox")
    assert open_home().names() == []


def test_help_of_a_template_comes_with_that_of_the_command(capsys: Told) -> None:
    text = says(capsys, 0, "lxc-create", "-t", "busybox", "-h")
    assert text.startswith("Usage: lxc-create --name=NAME")
    assert "--busybox-path=PATH" in text
    assert "busybox    a small Linux" in says(capsys, 0, "lxc-create", "--help")


@needs_busybox
def test_created_it_is_told_how_to_go_on_or_nothing_is(capsys: Told, tmp_path: Path) -> None:
    assert "lxc-start -n box" in says(capsys, 0, "lxc-create", "-n", "box", "-t", "busybox")
    assert says(capsys, 0, "lxc-create", "-q", "-n", "box2", "-t", "busybox", "-B", "overlay") == ""
    assert "there is a container 'box' already" in says(capsys, 1, "lxc-create", "-n", "box", "-t", "busybox")
    (tmp_path / "conf").write_text("lxc.environment = FROM=file\n")
    says(capsys, 0, "lxc-create", "-n", "box3", "-t", "busybox", "-f", f"{tmp_path}/conf")
    assert "FROM=file" in Container("box3").spec.process.env
    says(capsys, 1, "lxc-create", "-n", "box4", "-t", "busybox", "-f", f"{tmp_path}/nosuch")
    assert open_home().names() == ["box", "box2", "box3"]


@needs_busybox
def test_a_default_configuration_is_what_new_ones_begin_with(capsys: Told) -> None:
    path = Path(says(capsys, 0, "lxc-config", "lxc.default_config").strip())
    path.write_text("lxc.environment = FROM=default\n")
    says(capsys, 0, "lxc-create", "-n", "box", "-t", "busybox")
    assert "FROM=default" in Container("box").spec.process.env


def test_the_words_of_copy_and_of_its_old_name_clone(capsys: Told) -> None:
    make_lxc("box", "lxc.net.0.type = veth", "lxc.net.0.hwaddr = 00:16:3e:00:00:01")
    assert says(capsys, 0, "lxc-copy", "-n", "box", "-N", "one") == ""
    assert says(capsys, 0, "lxc-copy", "box", "-N", "two", "-s", "-K", "-M") == ""
    assert says(capsys, 0, "lxc-clone", "-o", "box", "-n", "three") == "Created container three as copy of box\n"
    assert says(capsys, 0, "lxc-clone", "-s", "box", "four") == "Created container four as copy of box\n"
    assert open_home().names() == ["box", "four", "one", "three", "two"]
    assert Container("one").spec.root.path
    assert Container("two").spec.root.layers == Container("four").spec.root.layers == (Container("box").spec.root.path,)
    assert Container("two").spec.hostname == "box"
    assert [Container(name).spec.networks[0].hwaddr[:9] for name in ("one", "two")] == ["00:16:3e:"] * 2
    assert Container("two").spec.networks[0].hwaddr == "00:16:3e:00:00:01" != Container("one").spec.networks[0].hwaddr
    assert says(capsys, 0, "lxc-copy", "-R", "-n", "one", "-N", "uno") == ""
    assert "uno" in open_home().names()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lxc-copy", "-n", "box"], "You must provide a NEWNAME for the clone"),
        (["lxc-copy", "-n", "nobody", "-N", "x"], "there is no container 'nobody'"),
        (["lxc-copy", "-n", "box", "-N", "box"], "there is a container 'box' already"),
        (["lxc-copy", "-n", "box", "-N", "a/b"], "is no name for a container"),
        (["lxc-copy", "-n", "box", "-N", "x", "-B", "lvm"], "lvm: there is no such backing store here"),
        (["lxc-copy", "-n", "box", "-N", "x", "-t"], "-m, -t and -D are for a container that is started at once"),
        (["lxc-copy", "-n", "box", "-e", "-m", "overlay=/a"], "an overlay can't be mounted into a container"),
        (["lxc-copy", "-n", "box", "-e", "-m", "nonsense"], "-m nonsense is no mount"),
        (["lxc-copy", "-n", "box", "-e", "-t", "-D"], "-t and -D exclude each other"),
        (["lxc-clone", "-o", "box"], "You must provide a name for the copy"),
        (["lxc-destroy", "-n", "nobody"], "Container is not defined"),
        (["lxc-snapshot", "-n", "box", "-r", "snap0"], "box has no snapshot 'snap0'"),
        (["lxc-snapshot", "-n", "box", "-d", "snap0"], "box has no snapshot 'snap0'"),
        (["lxc-snapshot", "-n", "box", "-r", "snap0", "a", "b"], "Too many arguments"),
        (["lxc-snapshot", "-n", "nobody", "-L"], "there is no container 'nobody'"),
    ],
)
def test_what_can_not_be_done_is_said_and_nothing_is_made(words: list[str], told: str, capsys: Told) -> None:
    make_lxc("box")
    said = says(capsys, 1, *words)
    assert said.startswith(f"{words[0]}: ")
    assert told in said
    assert open_home().names() == ["box"]
    assert sorted(os.listdir(open_home().containers)) == ["box"]


def test_the_words_of_snapshot_and_destroy(capsys: Told, tmp_path: Path) -> None:
    make_lxc("box")
    (tmp_path / "words").write_text("as it was\n")
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-L") == "No snapshots\n"
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-c", f"{tmp_path}/words") == ""
    place = f"{open_home().folder('box')}/snaps"
    first, second = says(capsys, 0, "lxc-snapshot", "box", "-L", "-C").splitlines()
    assert first.startswith(f"snap0 ({place}) 20")
    assert second == "as it was"
    assert "as it was" not in says(capsys, 0, "lxc-snapshot", "box", "-L")
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-r", "snap0", "other") == ""
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-r", "snap0", "-N", "third") == ""
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-r", "snap0") == ""
    assert "Destroying box failed: box has snapshots" in says(capsys, 1, "lxc-destroy", "-n", "box")
    assert says(capsys, 0, "lxc-snapshot", "-n", "box", "-d", "ALL") == ""
    assert says(capsys, 0, "lxc-destroy", "-n", "box") == says(capsys, 0, "lxc-destroy", "-s", "other") == ""
    assert open_home().names() == ["third"]
