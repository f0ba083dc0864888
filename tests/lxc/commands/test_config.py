"""lxc-config, and lxc-update-config: the system's items, and the keys of older files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.home import home as open_home
from sandbox.lxc.commands import main, update_config


@pytest.mark.usefixtures("home")
def test_the_items_are_those_of_lxc_and_have_our_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-config", ["-l"]) == 0
    items = capsys.readouterr().out.splitlines()
    if shutil.which("lxc-config"):
        assert items == subprocess.run(["lxc-config", "-l"], capture_output=True, text=True).stdout.splitlines()
    values = {}
    for item in items:
        assert main("lxc-config", [item]) == 0
        values[item] = capsys.readouterr().out.strip()
    assert values["lxc.lxcpath"] == open_home().containers
    assert values["lxc.cgroup.pattern"] == f"container-sandbox/{Path(open_home().runtime).name}_%n"
    assert values["lxc.cgroup.use"] == "lxc.cgroup.use is not set."


def test_an_item_that_there_is_not_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-config", ["foo"]) == 1
    assert capsys.readouterr().err == "Unknown configuration item: foo\n"
    assert main("lxc-config", []) == 0
    assert capsys.readouterr().err.startswith("Usage: lxc-config -l: list all available configuration items\n")


OLD = """\
# lxc.utsname is what it was called
lxc.utsname = web
lxc.rootfs = /var/lib/web/rootfs
#lxc.aa_profile = unconfined
lxc.tty=4
lxc.mount = /var/lib/web/fstab
lxc.mount.entry = /srv srv none bind
lxc.kmsg = 0
lxc.network.type = veth
lxc.network.ipv4 = 10.0.3.9/24
lxc.network.ipv4.gateway = 10.0.3.1
lxc.network.type = empty
lxc.cgroup.memory.limit_in_bytes = 64M
"""


def test_an_older_file_gets_todays_keys_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(OLD)
    monkeypatch.chdir(tmp_path)
    assert main("lxc-update-config", ["-c", "config"]) == 0
    assert (tmp_path / "config.backup").read_text() == OLD
    assert (
        file.read_text()
        == """\
# lxc.utsname is what it was called
lxc.uts.name = web
lxc.rootfs.path = dir:/var/lib/web/rootfs
#lxc.apparmor.profile = unconfined
lxc.tty.max=4
lxc.mount.fstab = /var/lib/web/fstab
lxc.mount.entry = /srv srv none bind
lxc.net.0.type = veth
lxc.net.0.ipv4.address = 10.0.3.9/24
lxc.net.0.ipv4.gateway = 10.0.3.1
lxc.net.1.type = empty
lxc.cgroup.memory.limit_in_bytes = 64M
"""
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "config.backup"]


def test_todays_file_stays_as_it_is() -> None:
    today = update_config.updated(OLD)
    assert update_config.updated(today) == today


def test_the_result_is_that_of_lxc(tmp_path: Path) -> None:
    if not shutil.which("lxc-update-config"):
        pytest.skip("LXC is not installed: nothing to compare with")
    (tmp_path / "config").write_text(OLD.replace("# lxc.utsname is what it was called\n", ""))
    subprocess.run(["lxc-update-config", "-c", "config"], cwd=tmp_path, check=True)
    assert update_config.updated((tmp_path / "config.backup").read_text()) == (tmp_path / "config").read_text()


def test_the_backend_goes_before_the_root_and_limits_are_called_prlimits() -> None:
    text = "lxc.rootfs.backend = overlayfs\nlxc.rootfs = /low:/high\nlxc.limit.nofile = 100\n"
    assert update_config.updated(text) == "lxc.rootfs.path = overlayfs:/low:/high\nlxc.prlimit.nofile = 100\n"


def test_without_a_file_it_tells_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-update-config", []) == 0
    assert "[-c|--config]" in capsys.readouterr().err
    assert main("lxc-update-config", ["-c", "/nope"]) == 1
    assert capsys.readouterr().err == "lxc-update-config: /nope can't be read (No such file or directory)\n"
