"""The template host: the machine's programs, in a system that is none of the machine's."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from sandbox import Container
from sandbox.errors import NotPossibleHere
from sandbox.home import home as open_home
from sandbox.lxc.create import create
from sandbox.starting import collect
from tests.lxc.systems import log_in, needs_busybox
from tests.system import ask, read_until


@needs_busybox
@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_it_boots_and_runs_the_machines_programs_with_files_of_its_own(home: Path) -> None:
    create(open_home(), "box", "host", backing="overlay")
    box = Container("box")
    box.start()
    job = log_in(box)
    assert "Read-only file system" in ask(job, "touch /usr/x 2>&1")
    assert "/opt/bin/poweroff" in ask(job, "command -v poweroff passwd")
    assert box.exec("ls /home; cat /etc/hostname; echo $((6*7)) | LC_ALL=C sort").text == "box\n42\n"
    job.write(b"poweroff\n")
    collect(job)
    assert box.state == "STOPPED"


@needs_busybox
@pytest.mark.parametrize("backing", ["dir", "overlay"])
def test_nothing_of_usr_is_copied(home: Path, backing: str) -> None:
    told: list[str] = []
    create(open_home(), "box", "host", backing=backing, progress=told.append)
    spec = open_home().load("box")
    root = spec.root.path or spec.root.layers[0]
    assert os.listdir(f"{root}/usr") == []
    (usr,) = (mount for mount in spec.mounts if mount.destination == "/usr")
    assert (usr.type, usr.source) == ("bind", "/usr")
    assert {"ro", "nosuid", "nodev"} <= set(usr.options)
    assert ("/rootfs /opt/bin/passwd" in told[-1]) == (backing == "dir")


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_without_a_busybox_it_is_a_shell(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_BUSYBOX", shutil.which("ls") or sys.executable)
    told: list[str] = []
    create(open_home(), "box", "host", progress=told.append)
    assert "chroot" not in told[-1]
    box = Container("box")
    job = box.start_job()
    read_until(job, b"# ")
    assert ask(job, "hostname").endswith("box\n")
    job.write(b"exit 3\n")
    assert collect(job).exit_code == 3
    with pytest.raises(NotPossibleHere, match="statically"):
        create(open_home(), "other", "host", ["--busybox-path", sys.executable])
