"""What this machine allows: as root, as an ordinary user, and on machines made worse on purpose in namespaces of their own."""

import json
import os
import subprocess
import sys
import threading
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import host

# `env`: setpriv's own exec still goes with root's capabilities, and would open what is closed to an ordinary user.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env")
REPORT = "r = host.report(); print(json.dumps({f.key: [f.possible, f.detail, f.cure] for f in r.findings}))"


@pytest.fixture(scope="module")
def elsewhere(user_source: Path) -> Callable[[tuple[str, ...], str], Any]:
    """Runs code below a command that changes the world, with a source and an interpreter that everybody may read."""
    choices = [path for path in (sys.executable, "/usr/bin/python3") if os.path.exists(path)]
    user = NOBODY if os.geteuid() == 0 else ()
    python = next((p for p in choices if subprocess.run([*user, p, "-c", ""], capture_output=True).returncode == 0), None)
    if python is None:
        pytest.skip("there is no Python here that an ordinary user may run")

    def run(command: tuple[str, ...], code: str) -> Any:
        begin = f"import sys, json; sys.path.append({str(user_source)!r}); from sandbox import host; "
        words = [*command, python, "-I", "-c", begin + code]
        done = subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def shell(script: str, *options: str) -> tuple[str, ...]:
    """A command that changes the world by a shell script, in new namespaces, and then runs what follows it."""
    return ("unshare", *options, "sh", "-ec", f'{script}; exec "$@"', "sh")


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_tells_all_that_was_promised():
    keys = {finding.key for finding in host.report().findings}
    assert keys >= {
        "kernel", "architecture", "python", "clone3", "pidfd", "cgroup.kill", "seccomp", "no_new_privs", "idmap", "mount_api",
        "overlay.lowerdir+", "tmpfs.xattr", "newuidmap", "newgidmap", "subuid", "kvm", "program.criu", "wsl",
        "outer container",
        "apparmor", "selinux", "kernel.apparmor_restrict_unprivileged_userns", "kernel.unprivileged_userns_clone",
        "user.max_user_namespaces",
    }  # fmt: skip
    assert keys >= {f"namespace.{kind}" for kind in ("mount", "pid", "network", "ipc", "uts", "user", "cgroup", "time")}
    assert keys >= {f"mount.{kind}" for kind in ("proc", "sysfs", "mqueue", "devpts", "tmpfs", "overlay")}
    assert keys >= {f"network.{kind}" for kind in ("loopback", "veth", "bridge", "nft")}
    assert all(finding.detail for finding in host.report().findings)


def test_a_report_answers_questions():
    report = host.Report((host.Finding("a", True, "seen"), host.Finding("b", False, "EPERM", "be root")))
    assert (report.can("a"), report.can("b"), report.can("c")) == (True, False, False)
    assert report.why_not("a") == ""
    assert report.why_not("b") == "EPERM → be root"
    assert report.why_not("c") == "this machine has no c"
    assert str(report) == "+ a  seen\n- b  EPERM\n     → be root"
    assert json.loads(json.dumps(report.to_json()))[1] == {"key": "b", "possible": False, "detail": "EPERM", "cure": "be root"}
    with pytest.raises(KeyError):
        report["c"]


def quickest(act: Callable[[], object]) -> float:
    """The seconds that it took when nobody else had the processor: the least of some."""
    return min(timeit.repeat(act, number=1, repeat=20))


def test_the_second_report_costs_nothing():
    first = host.report()
    assert host.report() is first
    assert quickest(host.report) < 0.005
    assert host.report(fresh=True) is not first


def test_a_process_with_threads_gets_a_report_too():
    before = {finding.key: finding.possible for finding in host.report().findings}
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        # Here unshare(CLONE_NEWUSER) would be EINVAL: the report must not be made in this process.
        assert {finding.key: finding.possible for finding in host.report(fresh=True).findings} == before
        assert "EINVAL" not in host.report()["namespace.user"].detail
    finally:
        stop.set()
        other.join()


def test_a_report_leaves_nothing_behind():
    before = (Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/tmp")), sorted(os.listdir("/sys/class/net")))
    report = host.report(fresh=True)
    after = (Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/tmp")), sorted(os.listdir("/sys/class/net")))
    assert before[0] == after[0]
    assert before[2] == after[2]
    assert not {name for name in set(after[1]) - set(before[1]) if "trial" in name}
    for finding in report.findings:
        if finding.key.startswith("cgroup.") and " /" in finding.detail and finding.possible:
            assert not list(Path(finding.detail.split(", ")[1]).glob("sandbox-trial-*"))


@pytest.mark.needs_root
def test_root_here_can_try_all_namespaces():
    report = host.report()
    if report.can("namespace.user"):
        assert all(finding.possible for finding in report.findings if finding.key.startswith("namespace."))
    assert report["idmap"].possible == host.can_idmap("/var/lib")


@pytest.mark.needs_root
def test_an_ordinary_user_gets_a_report_of_his_own(elsewhere):
    found = elsewhere(NOBODY, REPORT)
    if not found["namespace.user"][0]:
        pytest.skip(f"ordinary users get no user namespace here: {found['namespace.user'][1]}")
    assert all(found[f"mount.{kind}"][0] for kind in ("tmpfs", "devpts", "mqueue"))
    assert found["idmap"][0] is False
    assert "only root" in found["idmap"][1]
    assert found["cgroup.cgroup2" if "cgroup.cgroup2" in found else "cgroup.memory"][0] is False


# --- machines made worse --------------------------------------------------------------------------------------------


@pytest.mark.needs_root
@pytest.mark.parametrize("user", [(), NOBODY], ids=["root", "nobody"])
def test_what_hides_a_part_of_proc_is_named(elsewhere, user):
    script = "mount --bind /dev/null /proc/interrupts"
    found = elsewhere((*shell(script, "-m"), *user), REPORT)
    possible, detail, cure = found["mount.proc"]
    assert not possible
    assert "EPERM" in detail
    assert " /proc/interrupts " in detail  # the line of mountinfo
    assert "systempaths=unconfined" in cure
    assert found["mount.tmpfs"][0]


@pytest.mark.needs_root
def test_what_hides_a_part_of_sys_is_named_and_a_cgroup_tree_there_is_not(elsewhere):
    found = elsewhere(shell("mount -t tmpfs tmpfs /sys/firmware", "-m"), REPORT)
    assert found["mount.sysfs"][0] is False
    assert " /sys/firmware " in found["mount.sysfs"][1]
    assert "cgroup" not in found["mount.sysfs"][1]


@pytest.mark.needs_root
def test_without_room_for_user_namespaces_the_limit_is_named(elsewhere):
    host_value = Path("/proc/sys/user/max_user_namespaces").read_text()
    # The file shows the limit of the user namespace one is in: the host's stays as it is. namespaces(7)
    script = "echo 0 > /proc/sys/user/max_user_namespaces"
    found = elsewhere(shell(script, "--user", "--map-root-user"), REPORT)
    assert Path("/proc/sys/user/max_user_namespaces").read_text() == host_value
    assert found["namespace.user"][0] is False
    assert "ENOSPC; user.max_user_namespaces is 0" in found["namespace.user"][1]
    assert "sysctl user.max_user_namespaces=" in found["namespace.user"][2]
    assert found["mount.proc"][1].endswith("user.max_user_namespaces is 0")
    assert found["user.max_user_namespaces"][:2] == [False, "= 0"]


@pytest.mark.needs_root
def test_without_room_for_network_namespaces_that_limit_is_named(elsewhere):
    script = "echo 0 > /proc/sys/user/max_net_namespaces"
    found = elsewhere(shell(script, "--user", "--map-root-user"), REPORT)
    assert "user.max_net_namespaces is 0" in found["namespace.network"][1]
    assert "user.max_net_namespaces is 0" in found["network.veth"][1]
    assert found["namespace.ipc"][0]


@pytest.mark.needs_root
def test_no_user_namespace_means_not_possible_here(elsewhere):
    script = "echo 0 > /proc/sys/user/max_user_namespaces"
    code = """
try:
    print(json.dumps(host.mapping_mode()))
except host.NotPossibleHere as refusal:
    print(json.dumps([refusal.condition, refusal.cure]))
"""
    condition, cure = elsewhere(shell(script, "--user", "--map-root-user"), code)
    assert condition == "user.max_user_namespaces is 0"
    assert cure.startswith("sysctl ")


@pytest.mark.needs_root
def test_a_filter_like_dockers_is_recognized(elsewhere):
    code = """
import errno, struct
from sandbox.linux import syscalls, constants
from sandbox.linux.numbers import SYSCALLS
rule = lambda code, k, yes=0, no=0: struct.pack("=HBBI", code, yes, no, k)
load = rule(0x20, 0)
refuse = rule(0x06, 0x00050000 | errno.EPERM)
jumps = [rule(0x15, SYSCALLS["unshare"], 1, 0), rule(0x15, SYSCALLS["clone3"], 0, 1)]
syscalls.prctl(constants.PR_SET_NO_NEW_PRIVS, 1)
syscalls.seccomp_set_filter(load + b"".join(jumps) + refuse + rule(0x06, 0x7FFF0000))
"""
    found = elsewhere(NOBODY, code + REPORT)
    assert found["namespace.user"][0] is False
    assert "EPERM; this process runs under a seccomp filter" in found["namespace.user"][1]
    assert "seccomp=unconfined" in found["namespace.user"][2]
    assert found["outer seccomp"][:2] == [False, "Seccomp: 2 in /proc/self/status"]
    assert found["no_new_privs"][0] is False


@pytest.mark.needs_root
def test_a_chroot_is_recognized(user_source, tmp_path):
    binds = "".join(
        f"[ ! -d {folder} ] || {{ mkdir -p {tmp_path}{folder}; mount --rbind {folder} {tmp_path}{folder}; }}; "
        for folder in ("/usr", "/lib", "/lib64", "/bin", "/proc", "/etc", "/sys", "/dev", user_source)
    )
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no /usr/bin/python3, and another one may not find its library inside the chroot")
    code = f"import sys, json; sys.path.append({str(user_source)!r}); from sandbox import host; {REPORT}"
    script = f'{binds} exec chroot {tmp_path} /usr/bin/python3 -I -c "$1"'
    done = subprocess.run(["unshare", "-m", "sh", "-ec", script, "sh", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    possible, detail, _ = json.loads(done.stdout)["namespace.user"]
    assert not possible
    assert "this process is in a chroot" in detail


# --- the quick answers ----------------------------------------------------------------------------------------------


def test_tmpfs_keeps_user_attributes_just_as_the_trial_says():
    report = host.report()
    if not report.can("mount.tmpfs"):
        pytest.skip(report.why_not("mount.tmpfs"))
    assert host.tmpfs_user_xattr() == report.can("tmpfs.xattr")


@pytest.mark.needs_root
def test_proc_can_never_be_seen_through_an_id_map():
    assert not host.can_idmap("/proc")
    assert quickest(lambda: host.can_idmap("/proc")) < 0.005


@pytest.mark.needs_root
def test_a_disk_can_be_seen_through_an_id_map(tmp_path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True).stdout.strip()
    if kind not in ("ext2/ext3", "xfs", "btrfs") or not host.report().can("kernel"):
        pytest.skip(f"{tmp_path} lies on {kind}, which may not allow it")
    assert host.can_idmap(str(tmp_path))


@pytest.mark.needs_root
def test_root_claims_ranges_and_an_ordinary_user_is_alone(elsewhere):
    ask = "print(json.dumps([host.mapping_mode(), host.can_idmap('/')]))"
    assert host.mapping_mode() == "range"
    script = "mount --bind /dev/null /etc/subuid"
    assert elsewhere((*shell(script, "-m"), *NOBODY), ask) == ["single", False]


@pytest.mark.needs_root
def test_root_of_a_small_user_namespace_has_no_ranges_to_give(elsewhere):
    ask = "print(json.dumps(host.mapping_mode()))"
    assert elsewhere(("unshare", "--user", "--map-root-user"), ask) == "single"


@pytest.mark.needs_root
@pytest.mark.parametrize("name", ["nobody", "65534"])
def test_a_user_with_subordinate_ids_maps_them_through_newuidmap(elsewhere, tmp_path, name):
    if not host.report().can("newuidmap"):
        pytest.skip(host.report().why_not("newuidmap"))
    table = tmp_path / "subids"
    table.write_text(f"other:100000:65536\n{name}:200000:1000\n{name}:300000:65536\n")
    script = "; ".join(f"touch {path}; mount --bind {table} {path}" for path in ("/etc/subuid", "/etc/subgid"))
    code = "r = host.report(); print(json.dumps([host.mapping_mode(), r['newuidmap'].detail.split(), r['subuid'].detail]))"
    mode, seen, ranges = elsewhere((*shell(script, "-m"), *NOBODY), code)
    assert mode == "newuidmap"
    assert seen == ["0", "300000", "65536"]  # uid_map of a child that newuidmap really wrote
    assert ranges == "uids 300000 … 365535, gids 300000 … 365535"


@pytest.mark.needs_root
def test_under_no_new_privs_newuidmap_is_not_counted_on(elsewhere, tmp_path):
    table = tmp_path / "subids"
    table.write_text("nobody:300000:65536\n")
    script = "; ".join(f"touch {path}; mount --bind {table} {path}" for path in ("/etc/subuid", "/etc/subgid"))
    code = "r = host.report(); print(json.dumps([host.mapping_mode(), r.can('newuidmap'), r['no_new_privs'].detail]))"
    found = elsewhere((*shell(script, "-m"), *NOBODY, "setpriv", "--no-new-privs"), code)
    assert found == ["single", False, "NoNewPrivs: 1 in /proc/self/status"]


def test_broken_lines_of_subuid_are_passed_over(monkeypatch):
    tables = {"/etc/subuid": "# ours\nann\nann:1000:10\nann:5000:20", "/etc/subgid": "ann:7000:30\nann:x:y:z"}
    monkeypatch.setattr(host, "text", lambda path: tables[path])
    assert host.subid_ranges("ann") == (range(5000, 5020), range(7000, 7030))
    assert host.subid_ranges("bob") is None


def test_a_program_gets_privileges_by_its_mode_or_its_file_capabilities(tmp_path):
    program = tmp_path / "newuidmap"
    program.write_text("")
    assert not host.privileged(str(program), "uid")
    program.chmod(0o4755)
    assert host.privileged(str(program), "uid") == (os.geteuid() == 0)
    program.chmod(0o755)
    if os.geteuid() == 0:
        # struct vfs_cap_data, revision 2: CAP_SETUID (bit 7) is permitted.
        os.setxattr(program, "security.capability", b"\1\0\0\2" + (1 << 7).to_bytes(4, "little") + bytes(12))
        assert host.privileged(str(program), "uid")
        assert not host.privileged(str(program), "gid")


def test_mapping_mode_is_quick_enough_for_every_start():
    assert quickest(host.mapping_mode) < 0.005
