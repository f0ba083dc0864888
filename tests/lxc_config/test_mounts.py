import os
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption
from sandbox.spec import Mount
from tests.lxc_config.asking import config, noted, said

OWN = Mount("/sys/fs/cgroup", "cgroup")


def mounted(*entries: str) -> tuple[Mount, ...]:
    """What these lines of fstab mount, beside the control groups."""
    return said("lxc.mount.auto =", *(f"lxc.mount.entry = {entry}" for entry in entries)).mounts


# --- lxc.mount.auto -------------------------------------------------------------------------------------------------


def test_proc_mixed_seals_the_machines_settings_but_not_the_networks() -> None:
    found = said("lxc.mount.auto = proc:mixed").readonly_paths
    assert {"/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs", "/proc/sysrq-trigger"} <= set(found)
    assert not [path for path in found if "/proc/sys/net".startswith(path)]
    for others in (["lxc.mount.auto = proc"], ["lxc.mount.auto ="], ["lxc.mount.auto = proc:"], []):
        assert said(*others).readonly_paths == found


def test_every_folder_of_proc_sys_here_but_net_is_sealed() -> None:
    assert {f"/proc/sys/{name}" for name in os.listdir("/proc/sys")} - {"/proc/sys/net"} <= set(said().readonly_paths)


def test_proc_rw_seals_nothing() -> None:
    found = said("lxc.mount.auto = proc:rw")
    assert (found.readonly_paths, found.masked_paths) == ((), ())


def test_sys_rw_mounts_a_writable_one_and_mixed_and_ro_do_not() -> None:
    assert said("lxc.mount.auto = sys:rw").mounts == (Mount("/sys", "sysfs", options=("nosuid", "nodev", "noexec")),)
    for word in ("sys", "sys:mixed", "sys:ro"):
        assert said(f"lxc.mount.auto = {word}").mounts == ()
    assert said("lxc.mount.auto = sys:rw", "lxc.namespace.keep = net").mounts == ()  # the host's is shown, read-only


@pytest.mark.parametrize("word", ["cgroup", "cgroup:mixed", "cgroup:rw", "cgroup:rw:force", "cgroup-full:rw", "cgroup-full"])
def test_the_control_groups_that_are_shown_are_its_own(word: str) -> None:
    assert said(f"lxc.mount.auto = {word}").mounts == (OWN,)
    assert len(noted(f"lxc.mount.auto = {word}")) == ("full" in word)


def test_control_groups_may_be_for_looking_only() -> None:
    for word in ("cgroup:ro", "cgroup-full:ro:force"):
        assert said(f"lxc.mount.auto = {word}").mounts == (Mount("/sys/fs/cgroup", "cgroup", options=("ro",)),)
    assert said("lxc.mount.auto = cgroup", "lxc.namespace.keep = cgroup").mounts == ()  # they would be the host's


def test_lines_add_up_and_an_empty_one_takes_all_back() -> None:
    assert len(said("lxc.mount.auto = cgroup:mixed proc:mixed", "lxc.mount.auto = sys:rw").mounts) == 2
    assert said("lxc.mount.auto = cgroup:rw", "lxc.mount.auto = cgroup:ro").mounts[0].options == ("ro",)
    assert said("lxc.mount.auto = cgroup", "lxc.mount.auto =").mounts == ()
    assert said().mounts == (OWN,)


@pytest.mark.parametrize("word", ["proc:ro", "sys:full", "cgroup:x", "dev", "cgroup2", "proc:mixed:x", ":"])
def test_what_is_not_mounted_by_itself_is_refused(word: str) -> None:
    with pytest.raises(InvalidOption, match="can't be mounted"):
        said(f"lxc.mount.auto = {word}")


# --- lxc.mount.entry ------------------------------------------------------------------------------------------------


def test_a_bind_shows_a_folder_of_the_host_and_may_write_unless_it_says_ro() -> None:
    assert mounted("/usr usr/host none bind,ro 0 0") == (Mount("/usr/host", "bind", "/usr", ("rbind", "ro")),)
    assert mounted("/usr mnt none rbind,create=dir") == (Mount("/mnt", "bind", "/usr", ("rbind", "rw")),)
    assert mounted("/usr mnt bind bind,noexec,nosuid,nodev")[0].options == ("rbind", "rw", "noexec", "nosuid", "nodev")
    assert mounted("/dev/null dev/x none bind,create=file,defaults")[0] == Mount(
        "/dev/x", "bind", "/dev/null", ("rbind", "rw")
    )
    assert mounted("/usr mnt none bind,idmap=container")[0].options == ("rbind", "rw", "idmap")


def test_links_on_the_host_are_followed_when_the_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "link")
    assert mounted(f"{tmp_path}/link mnt none bind")[0].source == f"{tmp_path}/real"


def test_an_optional_bind_of_what_is_not_there_is_left_out() -> None:
    assert mounted("/nowhere mnt none bind,optional 0 0") == ()
    assert mounted("/nowhere mnt none bind 0 0")[0].source == "/nowhere"  # the start will say that it is missing
    assert mounted("/usr mnt none bind,optional")[0].options == ("rbind", "rw")


def test_the_hosts_kernel_is_shown_to_nobody() -> None:
    with pytest.raises(InvalidOption, match="/sys/kernel is the host's kernel"):
        mounted("/sys/kernel mnt none bind 0 0")
    with pytest.raises(InvalidOption, match="is the host's kernel"):
        mounted("/usr/../proc/sys mnt none bind 0 0")
    assert mounted("/sys/kernel/security sys/kernel/security none ro,bind,optional 0 0") == ()
    assert "is the host's kernel" in noted("lxc.mount.entry = /sys/kernel mnt none bind,optional")[0]


@pytest.mark.parametrize("entry", ["usr mnt none bind", "dev/null proc/kcore none bind,relative"])
def test_a_bind_within_the_container_itself_is_refused_unless_optional(entry: str) -> None:
    with pytest.raises(InvalidOption, match="is no absolute path on the host"):
        mounted(entry)
    assert mounted(f"{entry},optional") == ()


def test_file_systems_of_the_kernel_are_mounted_anew() -> None:
    assert mounted(
        "proc dev/.lxc/proc proc create=dir,optional 0 0",
        "shm dev/shm tmpfs defaults,create=dir,size=1m,nosuid 0 0",
        "mqueue var/mqueue mqueue relatime",
        "sys dev/.lxc/sys sysfs ro",
    ) == (
        Mount("/dev/.lxc/proc", "proc"),
        Mount("/dev/shm", "tmpfs", options=("size=1m", "nosuid")),
        Mount("/var/mqueue", "mqueue"),
        Mount("/dev/.lxc/sys", "sysfs", options=("ro",)),
    )


def test_what_is_there_anyway_is_not_mounted_twice() -> None:
    assert mounted("proc proc proc nodev,noexec,nosuid 0 0", "sysfs sys sysfs ro", "mqueue dev/mqueue mqueue defaults") == ()


def test_other_file_systems_are_refused_unless_optional() -> None:
    with pytest.raises(InvalidOption, match="ext4 can't be mounted in a container"):
        mounted("/dev/sda1 mnt ext4 defaults 0 0")
    assert mounted("none sys/kernel/debug debugfs optional 0 0") == ()
    assert "debugfs can't be mounted" in noted("lxc.mount.entry = none sys/kernel/debug debugfs optional")[0]


def test_the_place_lies_in_the_root_and_nowhere_else() -> None:
    assert mounted("/usr /srv/c1/rootfs/mnt none bind")[0].destination == "/mnt"
    assert mounted("/usr ../../../mnt/./a/.. none bind")[0].destination == "/mnt"
    assert mounted("/usr /root/myrootfs/lib none ro,bind 0 0") == ()
    assert "LXC leaves it out as well" in noted("lxc.mount.entry = /usr /elsewhere none bind")[0]
    assert mounted("/usr a\\040b none bind")[0].destination == "/a b"
    for place in (".", "/srv/c1/rootfs", "mnt/.."):
        with pytest.raises(InvalidOption, match="nothing can be mounted over the root"):
            mounted(f"/usr {place} none bind")


def test_the_root_may_be_named_after_the_mounts() -> None:
    lines = ["lxc.rootfs.path =", "lxc.mount.entry = /usr /srv/other/mnt none bind", "lxc.rootfs.path = /srv/other"]
    assert said("lxc.mount.auto =", *lines).mounts[0].destination == "/mnt"


@pytest.mark.parametrize("entry", ["garbage", "a b", "a b c d e f g"])
def test_what_is_no_line_of_fstab_is_refused(entry: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:3: lxc.mount.entry: .* is no line of fstab"):
        mounted(entry)


def test_words_that_are_not_done_are_named() -> None:
    assert noted("lxc.mount.entry = /usr mnt none bind,rshared") == ["2: lxc.mount.entry: /mnt is mounted without 'rshared'"]


# --- lxc.mount.fstab ------------------------------------------------------------------------------------------------


def test_a_file_of_such_lines(tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text("# mine\n\n/usr mnt none bind 0 0\n  /etc etc/host none bind,ro\n")
    found = said("lxc.mount.auto =", f"lxc.mount.fstab = {tmp_path}/fstab").mounts
    assert [mount.destination for mount in found] == ["/mnt", "/etc/host"]
    with pytest.raises(InvalidOption, match=r"config:2: lxc.mount.fstab: .*nowhere can't be read"):
        said(f"lxc.mount.fstab = {tmp_path}/nowhere")
    (tmp_path / "fstab").write_text("# mine\ngarbage\n")
    with pytest.raises(InvalidOption, match=r"config:2: lxc.mount.fstab: .*fstab:2: 'garbage' is no line"):
        said(f"lxc.mount.fstab = {tmp_path}/fstab")


def test_dev_is_always_a_new_one() -> None:
    assert noted("lxc.autodev = 0")[0].startswith("2: lxc.autodev: /dev is always a new one")
    assert noted("lxc.autodev = 1") == []
    assert config("lxc.autodev.tmpfs.size = 1000").get("lxc.autodev.tmpfs.size") == "1000"
    with pytest.raises(InvalidOption):
        said("lxc.autodev = 2")
