"""lxc-create: what lies in the folder of a new container, and that nothing does when it came to nothing."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import AlreadyExists, InvalidOption, NotFound, NotPossibleHere, SandboxError
from sandbox.home import home as open_home
from sandbox.lxc import templates
from sandbox.lxc.create import create
from sandbox.lxc_config import Config
from tests.conftest import as_nobody
from tests.lxc.systems import log_in, needs_busybox, program
from tests.system import ask


@pytest.fixture
def shelf(home: Path) -> Path:
    """The folder of the containers."""
    return Path(open_home().containers)


# --- what is made ---------------------------------------------------------------------------------------------------


@needs_busybox
def test_a_container_is_its_config_its_root_and_the_password(shelf: Path) -> None:
    told: list[str] = []
    create(open_home(), "box", "busybox", progress=told.append)
    assert sorted(os.listdir(shelf / "box")) == ["config", "rootfs", "tmp_root_pass"]
    assert told[0] == f"Copying rootfs to {shelf}/box/rootfs ..."
    assert f"{shelf}/box/tmp_root_pass" in told[-1]
    assert f"chroot {shelf}/box/rootfs passwd" in told[-1]
    assert Config.read(f"{shelf}/box/config").get("lxc.rootfs.path") == f"dir:{shelf}/box/rootfs"
    assert (shelf / "box/rootfs/etc/hostname").read_text() == "box\n"
    assert open_home().load("box").root.path == f"{shelf}/box/rootfs"


@needs_busybox
@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_only_its_owner_may_read_the_password_and_no_two_have_the_same(shelf: Path, backing: str) -> None:
    found = set()
    for name in ("a", "b"):
        create(open_home(), name, "busybox", backing=backing)
        assert stat.S_IMODE((shelf / name / "tmp_root_pass").stat().st_mode) == 0o600
        found.add((shelf / name / "tmp_root_pass").read_text().strip())
        (shadow,) = (shelf / name).rglob("etc/shadow")
        assert stat.S_IMODE(shadow.stat().st_mode) == 0o600
        assert shadow.read_text().startswith("root:$6$")
    assert len(found) == 2
    assert all(word.isalnum() and len(word) == 12 for word in found)


@needs_busybox
@pytest.mark.needs_root
@pytest.mark.needs_userns
@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_root_logs_in_with_it(shelf: Path, backing: str) -> None:
    create(open_home(), "box", "busybox", backing=backing)
    box = Container("box")
    box.start()
    job = log_in(box)
    assert ask(job, "hostname; id -un") == "box\nroot\n"
    job.detach()
    box.destroy(force=True)


@needs_busybox
def test_with_an_overlay_only_what_is_its_own_lies_in_its_folder(shelf: Path) -> None:
    told: list[str] = []
    create(open_home(), "box", "busybox", backing="overlay", progress=told.append)
    files = [path for path in (shelf / "box").rglob("*") if path.is_file()]
    upper = shelf / "box/overlay/upper"
    assert sorted(files) == sorted(
        [shelf / "box/config", upper / "etc/hostname", upper / "etc/shadow", shelf / "box/tmp_root_pass"]
    )
    assert os.listdir(shelf / "box/rootfs") == []
    (layer,) = open_home().load("box").root.layers
    assert os.path.dirname(layer) == open_home().layers
    assert Path(layer, "etc/hostname").read_text() == ""
    assert "chroot" not in told[-1]  # its rootfs is empty until it is mounted


@needs_busybox
def test_a_config_that_is_given_comes_first_and_stays(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("# mine\nlxc.net.0.type = empty\nlxc.my.key = kept\n")
    create(open_home(), "box", "busybox", config_file=str(tmp_path / "base"), network="nowhere")
    text = (shelf / "box/config").read_text()
    assert text.startswith("# mine\nlxc.net.0.type = empty\nlxc.my.key = kept\n")
    assert "lxc.signal.halt = SIGUSR1\n" in text
    assert "nowhere" not in text


@needs_busybox
def test_without_one_it_is_connected_to_the_network_that_is_named(shelf: Path) -> None:
    create(open_home(), "box", "busybox", network="lessons")
    config = Config.read(f"{shelf}/box/config")
    assert (config.get("lxc.net.0.type"), config.get("lxc.net.0.link")) == ("veth", "lessons")


def test_the_template_none_makes_a_config_alone(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("lxc.rootfs.path = dir:/srv/root\n")
    create(open_home(), "box", "none", config_file=str(tmp_path / "base"))
    assert os.listdir(shelf / "box") == ["config"]
    assert (shelf / "box/config").read_text() == "lxc.rootfs.path = dir:/srv/root\n"


@needs_busybox
@pytest.mark.needs_root
def test_an_ordinary_user_makes_one_that_is_its_own(user_python: str, user_source: Path) -> None:
    script = """
import contextlib, os, tempfile
from sandbox.home import home
from sandbox.lxc.create import create
with tempfile.TemporaryDirectory() as folder:
    os.environ["SANDBOX_HOME"] = folder + "/shelf"
    told = []
    for backing in ("dir", "overlay"):
        create(home(), backing, "busybox", backing=backing, progress=told.append)
        print({os.lstat(os.path.join(at, name)).st_uid for at, folders, files in os.walk(home().folder(backing))
               for name in (*folders, *files)})
        home().remove(backing)
    print("lxc-attach -n overlay" in told[-1], home().names())
    os.rmdir(home().runtime)
    with contextlib.suppress(OSError):  # others of this user may be there
        os.rmdir(os.path.dirname(home().runtime))
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(user_source), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    done = subprocess.run(as_nobody(user_python, "-c", script), capture_output=True, text=True, env=environment, cwd="/")
    assert done.stderr == ""
    assert done.stdout == "{65534}\n{65534}\nTrue []\n"


# --- refused --------------------------------------------------------------------------------------------------------


def test_a_backing_store_that_is_not_here_is_refused_with_those_that_are(shelf: Path) -> None:
    with pytest.raises(NotPossibleHere, match=r"zfs(.|\n)*dir or overlay"):
        create(open_home(), "box", "busybox", backing="zfs")
    with pytest.raises(InvalidOption, match="foo is not a valid backing storage type"):
        create(open_home(), "box", "busybox", backing="foo")
    assert open_home().names() == []


def test_an_unknown_template_is_refused_with_those_that_there_are(shelf: Path) -> None:
    with pytest.raises(NotFound, match=r'Template "nosuch" not found(.|\n)*busybox, debian, host'):
        create(open_home(), "box", "nosuch")
    assert open_home().names() == []


@needs_busybox
def test_a_name_that_is_taken_is_refused_and_its_owner_unharmed(shelf: Path) -> None:
    create(open_home(), "box", "busybox")
    before = (shelf / "box/tmp_root_pass").read_text()
    with pytest.raises(AlreadyExists):
        create(open_home(), "box", "busybox")
    assert (shelf / "box/tmp_root_pass").read_text() == before
    assert os.listdir(shelf) == ["box"]


@pytest.mark.parametrize("template", templates.names())
def test_who_asks_a_template_for_help_gets_it_and_no_container(shelf: Path, template: str) -> None:
    told: list[str] = []
    create(open_home(), "box", template, ["-h"], progress=told.append)
    assert told[0].startswith(f"Usage: lxc-create -t {template} -n NAME -- [OPTION...]")
    assert os.listdir(shelf) == []
    with pytest.raises(InvalidOption, match=r"--nosuch(.|\n)*--help"):
        create(open_home(), "box", template, ["--nosuch"])
    with pytest.raises(InvalidOption, match="'word' is no option"):
        create(open_home(), "box", template, ["word"])
    assert os.listdir(shelf) == []


# --- a template that is a program -----------------------------------------------------------------------------------


@pytest.mark.needs_userns
def test_a_program_is_called_as_lxc_calls_its_templates(shelf: Path, tmp_path: Path) -> None:
    template = program(tmp_path, 'echo "$@"; mkdir $PWD/x 2>/dev/null; for word; do case "$word" in --path=*) '
                       'where=${word#*=};; esac; done; echo hello >$where/rootfs/note; '
                       'echo "lxc.mount.entry = /srv srv none bind 0 0 # $where/rootfs" >>$where/config')  # fmt: skip
    told: list[str] = []
    create(open_home(), "box", template, ["-r", "7"], progress=told.append)
    words = told[0].split()
    assert words[0].startswith(f"--path={shelf}/.new-")
    assert words[1:] == ["--name=box", f"--rootfs={words[0].partition('=')[2]}/rootfs", "-r", "7"]
    assert (shelf / "box/rootfs/note").read_text() == "hello\n"
    text = (shelf / "box/config").read_text()
    assert f"lxc.rootfs.path = dir:{shelf}/box/rootfs\n" in text
    assert f"# {shelf}/box/rootfs" in text
    assert ".new-" not in text


@pytest.mark.needs_userns
def test_if_it_fails_its_last_words_are_told_and_nothing_is_left(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"lxc-template failed with 3 \(no such mirror"):
        create(open_home(), "box", program(tmp_path, "echo no such mirror; exit 3"))
    with pytest.raises(NotFound, match="nowhere/template"):
        create(open_home(), "box", f"{tmp_path}/nowhere/template")
    with pytest.raises(InvalidOption, match="overlay"):
        create(open_home(), "box", program(tmp_path, "true"), backing="overlay")
    assert os.listdir(shelf) == []
