import os
import subprocess
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption
from sandbox.lxc_config.hooks import MOMENTS
from sandbox.spec import Hook
from tests.lxc_config.asking import said


def ran(hook: Hook, *more: str) -> list[str]:
    """What a hook prints: its arguments, then its variables of LXC, each on a line."""
    env = dict(item.split("=", 1) for item in hook.env)
    return subprocess.run([*hook.args, *more], env=env, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "hook"
    path.write_text('#!/bin/sh\necho "$0" "$@"\nenv | grep ^LXC_ | sort\n')
    path.chmod(0o755)
    return str(path)


def test_there_are_hooks_for_ten_moments_in_the_order_of_the_file(script: str) -> None:
    found = said(*(f"lxc.hook.{moment} = {script}" for moment in (*MOMENTS, "start"))).hooks
    assert [hook.when for hook in found] == [*MOMENTS, "start"]
    assert said(f"lxc.hook.start = {script}", "lxc.hook.start =").hooks == ()


def test_an_old_hook_is_told_by_arguments_what_it_is_for(script: str) -> None:
    (hook,) = said(f"lxc.hook.clone = {script} 'a b'").hooks
    told = ran(hook, "more")
    assert told[0] == f"{script} a b c1 lxc clone more"
    assert told[1:] == [
        "LXC_CGNS_AWARE=1", "LXC_CONFIG_FILE=/srv/c1/config", "LXC_HOOK_VERSION=0", "LXC_LOG_LEVEL=ERROR", "LXC_NAME=c1",
        "LXC_ROOTFS_MOUNT=/srv/c1/rootfs", "LXC_ROOTFS_PATH=/srv/c1/rootfs",
    ]  # fmt: skip


def test_a_new_hook_is_told_by_variables(script: str) -> None:
    (hook,) = said(f"lxc.hook.start = {script}", "lxc.hook.version = 1", "lxc.console.path = /dev/tty1").hooks
    told = ran(hook)
    assert told[0] == script
    assert {"LXC_HOOK_SECTION=lxc", "LXC_HOOK_VERSION=1", "LXC_CONSOLE=/dev/tty1"} <= set(told)


def test_a_hook_is_a_line_of_the_shell() -> None:
    (hook,) = said('lxc.hook.pre-start = echo "$LXC_NAME" at $(basename "$LXC_ROOTFS_PATH")').hooks
    assert ran(hook) == ["c1 at rootfs c1 lxc pre-start"]


def test_the_hook_of_lxcs_common_conf_names_the_clone(tmp_path: Path) -> None:
    program = "/usr/share/lxc/hooks/clonehostname"
    if not os.path.exists(program):
        pytest.skip("LXC is not installed")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("127.0.1.1 original\n")
    (hook,) = said(f"lxc.rootfs.path = dir:{tmp_path}", f"lxc.hook.clone = {program}").hooks
    env = dict(item.split("=", 1) for item in hook.env) | {"LXC_SRC_NAME": "original", "PATH": os.defpath}
    subprocess.run(hook.args, env=env, check=True)
    assert (tmp_path / "etc" / "hosts").read_text() == "127.0.1.1 c1\n"


def test_there_are_two_versions_of_hooks() -> None:
    with pytest.raises(InvalidOption):
        said("lxc.hook.version = 2")
