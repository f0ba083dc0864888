"""The report of lxc-checkconfig, with LXC's own script as the referee."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import host
from sandbox.lxc import checkconfig

SOURCE = str(Path(host.__file__).parent.parent)
OURS = "--- What this project can do here ---"


def sections(text: str) -> dict[str, list[str]]:
    """Section title → lines."""
    parts = re.split(r"^--- (.*) ---\n", text, flags=re.MULTILINE)[1:]
    return {title: body.split("\nNote :")[0].splitlines() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def labels(lines: list[str]) -> list[str]:
    return [line.partition(":")[0] for line in lines if line]


@pytest.fixture(scope="module")
def theirs() -> dict[str, list[str]]:
    if not shutil.which("lxc-checkconfig"):
        pytest.skip("LXC is not installed: nothing to compare with")
    done = subprocess.run(["lxc-checkconfig"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"lxc-checkconfig knows nothing here: {done.stderr.splitlines()[0]}")
    return sections(done.stdout)


def test_titles_labels_and_their_order_are_those_of_lxc(theirs):
    ours = sections(checkconfig.report())
    assert list(ours) == [*theirs, OURS.strip("- ")]
    for title, lines in theirs.items():
        assert sorted(labels(ours[title])) == sorted(labels(lines)), title
    assert labels(ours["Misc"]) == labels(theirs["Misc"])


def test_what_lxc_reads_in_the_configuration_we_find_by_trying(theirs):
    ours = sections(checkconfig.report())
    for title, lines in theirs.items():
        known = [line for line in ours[title] if line and ": unknown (" not in line]
        assert set(known) <= set(lines), title


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/proc/config.gz"), reason="only root can hide /proc/config.gz")
def test_without_a_configuration_nothing_is_invented():
    code = f"import sys; sys.path.append({SOURCE!r}); from sandbox.lxc import checkconfig; print(checkconfig.report())"
    script = 'mount --bind /dev/null /proc/config.gz; exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    blind, seeing = sections(done.stdout), sections(checkconfig.report())
    for title in checkconfig.SECTIONS:
        told = [line for line in blind[title] if ": unknown (" not in line]
        assert set(told) <= set(seeing[title]), title
        assert labels(blind[title]) == labels(seeing[title])
    # All of these are found without it.
    assert blind["Namespaces"] == seeing["Namespaces"]
    assert blind["Control groups"] == seeing["Control groups"]
    unknown = [line for line in blind["Checkpoint/Restore"] if ": unknown (" in line]
    assert labels(unknown) == ["CONFIG_FHANDLE"]
    assert "no configuration in /proc/config.gz" in unknown[0]


def findings(**changes: bool) -> host.Report:
    """A report in which everything is possible but `changes`."""
    keys = {choice for _, needs in checkconfig.ABILITIES for key in needs for choice in key.split("|")}
    keys |= set(checkconfig.TRIED.values())
    return host.Report(tuple(
        host.Finding(key, changes.get(key.replace(".", "_"), True), "EPERM; it is masked", "unmask it") for key in sorted(keys)
    ))  # fmt: skip


def test_what_is_not_possible_is_told_with_reason_and_cure(monkeypatch):
    monkeypatch.setattr(host, "report", lambda: findings(mount_proc=False, cgroup_freeze=False))
    ours = checkconfig.report().partition(OURS)[2].splitlines()
    at = ours.index("Their own /proc, /sys and /dev: no")
    assert ours[at + 1] == "  mount.proc: EPERM; it is masked → unmask it"
    assert "Freeze: yes" in ours  # v1's freezer does as well
    assert sum(line.endswith(": no") for line in ours) == 1


def test_where_neither_version_freezes_both_reasons_are_told(monkeypatch):
    monkeypatch.setattr(host, "report", lambda: findings(cgroup_freeze=False, cgroup_freezer=False))
    ours = checkconfig.report().splitlines()
    at = ours.index("Freeze: no")
    assert [line.split(":")[0].strip() for line in ours[at + 1 : at + 3]] == ["cgroup.freeze", "cgroup.freezer"]


def test_a_missing_kind_of_namespace_is_missing_or_required(monkeypatch):
    gone = ("/proc/self/ns/user", "/proc/self/ns/pid", "/proc/self/ns/cgroup")
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path not in gone and exists(path))
    monkeypatch.setattr(host, "report", findings)
    ours = checkconfig.report().splitlines()
    assert "User namespace: missing" in ours
    assert "Pid namespace: required" in ours
    assert "Cgroup namespace: missing" in ours
    assert not any(line.startswith(("newuidmap", "newgidmap")) for line in ours)


def test_colours_come_only_when_asked_for(monkeypatch):
    monkeypatch.setattr(host, "report", findings)
    plain, coloured = checkconfig.report(), checkconfig.report(color=True)
    assert "\033" not in plain
    assert "Namespaces: \033[1;32menabled\033[0;39m" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain


def test_the_modules_of_a_kernel_without_configuration_are_read_in_its_list(monkeypatch):
    release = os.uname().release
    texts = {
        f"/lib/modules/{release}/modules.builtin": "kernel/drivers/net/macvlan.ko\n",
        f"/lib/modules/{release}/modules.dep": "kernel/net/8021q/8021q.ko.xz: kernel/net/802/garp.ko.xz\n",
        "/proc/modules": "8021q 45056 0 - Live 0x0\n",
    }
    monkeypatch.setattr(checkconfig, "_text", texts.get)
    monkeypatch.setattr(host, "report", findings)
    ours = checkconfig.report().splitlines()
    assert "Macvlan: enabled, not loaded" in ours
    assert "Vlan: enabled, loaded" in ours
    assert any(line.startswith("Advanced netfilter: unknown (") for line in ours)
