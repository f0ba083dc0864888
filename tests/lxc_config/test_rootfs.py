import os
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption
from sandbox.lxc_config import Config, spec
from sandbox.spec import Root
from tests.lxc_config.asking import noted


def root(*lines: str) -> Root:
    return spec(Config("\n".join(lines), "/srv/c1/config"), "c1", "/srv/c1").root


def test_a_folder_is_the_root_itself() -> None:
    assert root("lxc.rootfs.path = dir:/srv/a") == root("lxc.rootfs.path = /srv//a/") == Root(path="/srv/a")
    assert root("lxc.rootfs.path = /srv/a", "lxc.rootfs.path = /srv/b").path == "/srv/b"


def test_overlay_has_the_uppermost_layer_first_and_a_spec_the_lowest() -> None:
    assert root("lxc.rootfs.path = overlay:/srv/base:/srv/c1/upper") == Root(layers=("/srv/base",), upper="/srv/c1")
    found = root("lxc.rootfs.path = overlayfs:/srv/top:/srv/middle:/srv/low:/srv/c1/overlay/upper")
    assert found == Root(layers=("/srv/low", "/srv/middle", "/srv/top"), upper="/srv/c1/overlay")
    assert root("lxc.rootfs.path = /srv/base:/srv/c1/upper").layers == ("/srv/base",)  # as LXC 5 itself writes it


def test_what_is_written_over_layers_may_be_kept_in_memory() -> None:
    found = root("lxc.rootfs.path = overlay:/srv/c1/overlay/upper:/srv/base:tmpfs")
    assert found == Root(layers=("/srv/base", "/srv/c1/overlay/upper"))
    with pytest.raises(InvalidOption, match="lacks a folder"):
        root("lxc.rootfs.path = overlay:tmpfs:/srv/c1/upper")


def test_overlay_keeps_what_is_written_in_a_folder_called_upper() -> None:
    with pytest.raises(InvalidOption, match="has to lie in a folder called upper") as caught:
        root("lxc.rootfs.path = overlay:/srv/base:/srv/c1/delta0")
    assert caught.value.cure == "mkdir DIR; mv /srv/c1/delta0 DIR/upper; mkdir DIR/work; and write DIR/upper"
    with pytest.raises(InvalidOption, match="lacks a folder"):
        root("lxc.rootfs.path = overlay:/srv/base")


@pytest.mark.parametrize("value", ["loop:/img", "nbd:file:1", "zfs:pool/x", "lvm:/x", "rootfs", "dir:rootfs", "overlay:a:b"])
def test_what_can_not_be_a_root_is_refused(value: str) -> None:
    with pytest.raises(InvalidOption, match=r"^/srv/c1/config:1: lxc.rootfs.path: "):
        root(f"lxc.rootfs.path = {value}")


def test_without_a_root_it_would_be_the_hosts_and_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"^/srv/c1/config: there is no lxc.rootfs.path") as caught:
        root("lxc.rootfs.path = /srv/a", "lxc.rootfs.path =")
    assert caught.value.cure == "write lxc.rootfs.path = dir:/srv/c1/rootfs"


def test_links_on_the_way_to_the_root_are_followed_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "link")
    assert root(f"lxc.rootfs.path = dir:{tmp_path}/link/rootfs").path == f"{tmp_path}/real/rootfs"


@pytest.mark.parametrize("root", ["dir:/", "dir:/srv", "/srv/c1", "dir:{0}/link", "overlay:/:/srv/c1/upper"])
def test_what_holds_the_container_itself_is_no_root(tmp_path: Path, root: str) -> None:
    """Or a link to "/" gave it the host's files, and a copy would copy itself for ever."""
    os.symlink("/", tmp_path / "link")
    text = f"lxc.rootfs.path = {root.format(tmp_path)}\n"
    with pytest.raises(InvalidOption, match="can't be its root") as caught:
        spec(Config(text, "/srv/c1/config"), "c1", "/srv/c1")
    assert caught.value.condition.endswith("holds the container's own folder")


def test_options_of_the_root() -> None:
    assert root("lxc.rootfs.path = /srv/a", "lxc.rootfs.options = ro,idmap=container").readonly
    assert not root("lxc.rootfs.path = /srv/a", "lxc.rootfs.options = rw").readonly
    with pytest.raises(InvalidOption, match="only the container's own id map"):
        root("lxc.rootfs.path = /srv/a", "lxc.rootfs.options = idmap=/proc/1/ns/user")
    assert noted("lxc.rootfs.options = defaults,nodev,noatime") == [
        "2: lxc.rootfs.options: the root is mounted without noatime",
    ]


def test_where_the_root_is_put_together_is_not_for_others_to_say() -> None:
    assert noted("lxc.rootfs.mount = /mnt")[0].startswith("2: lxc.rootfs.mount: the root is put together in a tmpfs")
    assert noted("lxc.rootfs.managed = 0")[0].startswith("2: lxc.rootfs.managed: ")
