"""Causes that this machine does not have, read from files that stand in for its own."""

import errno
import os

import pytest

from sandbox import host_causes
from sandbox.linux import files


@pytest.mark.parametrize(("name", "bad", "cure"), host_causes.FORBIDDING)
def test_every_sysctl_that_forbids_is_named_with_its_value(monkeypatch, name, bad, cure):
    monkeypatch.setattr(host_causes, "sysctl", lambda asked: bad if asked == name else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert host_causes.in_the_way() == (f"{name} is {bad}", cure)


def test_a_sysctl_about_ordinary_users_is_no_obstacle_for_root(monkeypatch):
    monkeypatch.setattr(host_causes, "sysctl", {"kernel.unprivileged_userns_clone": "0"}.get)
    monkeypatch.setattr(host_causes, "filtered", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert host_causes.in_the_way() is None


PROC = "22 27 0:21 / /proc rw - proc proc rw"


def mounted(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    text = "\n".join(lines)
    read = files.read
    monkeypatch.setattr(files, "read", lambda path, dirfd=None: text if path.endswith("/mountinfo") else read(path, dirfd))


def test_docker_s_masks_of_proc_are_named_and_counted(monkeypatch):
    docker = (PROC, "50 22 0:21 /bus /proc/bus ro - proc proc rw", "51 22 0:50 / /proc/kcore rw - tmpfs tmpfs rw")
    mounted(monkeypatch, *docker)
    condition, cure = host_causes.cause("mount.proc", errno.EPERM)
    assert condition == f"a new proc would show what this mount hides: {docker[1]!r} (and 1 more)"
    assert "--privileged" in cure


def test_a_mount_on_a_folder_made_for_mounts_hides_nothing(monkeypatch):
    mounted(monkeypatch, PROC, "60 22 0:60 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw")
    assert list(host_causes.covering("proc")) == []


def test_a_machine_without_proc_says_so(monkeypatch):
    mounted(monkeypatch, "27 1 254:0 / / rw - ext4 /dev/vda rw")
    assert host_causes.cause("mount.proc", errno.EPERM).condition.startswith("no whole proc is mounted here")


def test_a_missing_kind_of_device_is_explained(monkeypatch):
    assert host_causes.cause("network.veth", errno.EOPNOTSUPP).condition == "the kernel has no network device of this kind"
    assert host_causes.cause("mount.overlay", errno.ENODEV).cure == "modprobe overlay"


def test_exhausted_namespaces_are_told_from_forbidden_ones(monkeypatch):
    monkeypatch.setattr(host_causes, "sysctl", lambda name: "7")
    condition = host_causes.cause("namespace.network", errno.ENOSPC).condition
    assert condition == "user.max_net_namespaces is 7: so many exist, or they are nested 32 deep"
