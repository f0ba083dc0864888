"""A whole system in a container: its init, its terminals, its control groups; how it halts, reboots and is stopped."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import Container
from sandbox.errors import InvalidOption, KernelRefused, WrongState
from sandbox.launcher import client
from sandbox.linux import files
from sandbox.spec import Hook, Mount
from tests.shell import until
from tests.system import ask, make_system, read_until

pytestmark = [
    pytest.mark.needs_userns,
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a system has many users, an ordinary user may map but one"),
]


@pytest.fixture
def box() -> Iterator[Container]:
    made = make_system("sys")
    yield made
    if made.on_shelf:
        made.destroy(force=True)


def shown(box: Container) -> bytes:
    return b"".join(data for _, _, data in box.logs())


# --- its world ------------------------------------------------------------------------------------------------------


def test_an_init_boots_and_its_console_tells(box: Container) -> None:
    box.start()
    until(lambda: b"booted" in shown(box), "the console should be kept while nobody looks")
    assert box.exec("readlink /proc/1/exe").text == "/bin/busybox\n"


def test_its_root_is_the_folder_itself_and_belongs_to_root_inside_and_on_disk(box: Container) -> None:
    box.start()
    assert box.exec("echo hello > /root/note; stat -c %u /root/note /etc").text == "0\n0\n"
    note = Path(box.home.folder("sys"), "rootfs/root/note")
    assert note.read_text() == "hello\n"
    assert note.stat().st_uid == 0
    assert "user" in box.spec.namespaces


def test_root_inside_is_nobody_outside_also_here(box: Container) -> None:
    box.start()
    pid = box.running()["pid"]
    assert files.status(pid)["Uid"].split()[0] != "0"


def test_it_makes_control_groups_below_its_own_and_none_above(box: Container) -> None:
    box.start()
    make = "cd /sys/fs/cgroup; [ -d unified ] && cd unified; mkdir below && echo $$ > below/cgroup.procs"
    said = box.exec(f"{make} && cat /proc/self/cgroup")
    assert "0::/below\n" in said.text
    entry = box.running()
    box.kill()
    assert not sandbox.ledger()  # which waits for the clean-up
    assert not [path for _, path in entry["cgroups"] if os.path.exists(path)]


def test_a_command_joins_its_init_in_the_group_that_it_has_moved_to(box: Container) -> None:
    box.start()
    move = "cd /sys/fs/cgroup; [ -d unified ] && cd unified; mkdir -p init.scope && echo 1 > init.scope/cgroup.procs"
    assert box.exec(move)
    assert "0::/init.scope\n" in box.exec("cat /proc/self/cgroup").text


def test_the_limits_of_its_own_group_stay_out_of_its_reach() -> None:
    box = make_system("limits")
    box.start()
    said = box.exec("for f in /sys/fs/cgroup/*/memory.limit_in_bytes /sys/fs/cgroup/*/pids.max /sys/fs/cgroup/memory.max; do "
                    "[ -e $f ] && { echo 99999999999 > $f && echo changed $f; }; done; true")  # fmt: skip
    assert "changed" not in said.text
    assert b"ermission denied" in said.stderr
    box.destroy(force=True)


def test_without_the_wish_it_sees_its_groups_and_can_make_none() -> None:
    box = make_system("look", mounts=(Mount("/sys/fs/cgroup", "cgroup", options=("ro",)),))
    box.start()
    said = box.exec("ls -d /sys/fs/cgroup/* | head -1; mkdir /sys/fs/cgroup/x /sys/fs/cgroup/unified/x")
    assert said.text.startswith("/sys/fs/cgroup/")
    assert b"Read-only file system" in said.stderr
    box.destroy(force=True)


# --- its terminals --------------------------------------------------------------------------------------------------


def test_each_terminal_is_one_of_its_own_devpts(box: Container) -> None:
    box.start()
    console, first = box.attach(), box.attach(1)
    console.write(b"\n")
    first.write(b"\n")
    assert ask(console, "tty") == "/dev/console\n"
    assert ask(first, "tty") == "/dev/tty1\n"
    console.detach()
    first.detach()
    assert box.state == "RUNNING"


def test_two_may_log_in_at_once_and_a_third_is_told_that_all_are_taken(box: Container) -> None:
    box.start()
    jobs = [box.attach(-1), box.attach(-1)]
    for job in jobs:
        job.write(b"\n")  # what it showed before anybody looked is gone
        read_until(job, b"# ")
    assert [job.tty for job in jobs] == [1, 2]
    third = box.attach(-1)
    with pytest.raises(WrongState, match="all 2 terminals"):
        sandbox.starting.collect(third)
    jobs[0].detach()
    again = box.attach(-1)
    again.write(b"\n")
    read_until(again, b"# ")
    assert again.tty == 1
    for job in (jobs[1], again):
        job.detach()


def test_a_terminal_that_is_not_there_is_refused(box: Container) -> None:
    box.start()
    with pytest.raises(WrongState, match="has no tty7"):
        sandbox.starting.collect(box.attach(7))


def test_a_shell_that_ends_comes_back_and_the_terminal_goes_on(box: Container) -> None:
    box.start()
    console = box.attach()
    console.write(b"\n")
    read_until(console, b"# ")
    console.write(b"exit\n")
    read_until(console, b"# ")
    assert ask(console, "echo again") == "again\n"
    console.detach()


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_a_halt_from_inside_stops_it(box: Container) -> None:
    box.start()
    box.exec("halt -f")
    ended = box.wait()
    assert (ended.exit_code, ended.reason) == (0, "halted")
    assert box.state == "STOPPED"


def test_a_reboot_from_inside_starts_it_again(box: Container) -> None:
    box.start()
    before = box.running()["pid"]
    box.exec("reboot -f")
    until(lambda: box.entry is not None and box.entry.get("pid") not in (before, None), "it should run again")
    assert box.state == "RUNNING"
    assert box.exec("echo here").text == "here\n"


def test_who_looks_at_its_console_sees_the_reboot_and_what_comes_after(box: Container) -> None:
    console = box.start_job()
    read_until(console, b"booted")
    console.write(b"\n")
    read_until(console, b"# ")
    console.write(b"reboot -f\n")
    read_until(console, b"booted")
    console.write(b"\n")
    assert ask(console, "echo again") == "again\n"
    console.abandon()
    assert box.state == "STOPPED"


def test_a_reboot_that_nobody_hears_of_is_no_restart_of_what_is_stopped(box: Container) -> None:
    box.start()
    ended = box.stop(20.0, signal.SIGTERM)  # busybox's init reboots then
    assert ended is not None
    assert ended.reason == "stopped"
    assert box.state == "STOPPED"


def test_an_init_that_only_reboots_is_given_up() -> None:
    restless = make_system("restless", inittab="::sysinit:/bin/busybox reboot -f\n")
    restless.start()
    ended = restless.wait()
    assert ended.reason == "rebooted"
    assert restless.state == "STOPPED"


def test_stop_asks_its_init_by_the_signal_of_its_configuration(box: Container) -> None:
    box.start()
    until(lambda: b"booted" in shown(box), "it should have booted")
    ended = box.stop(30.0)
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (0, "stopped")  # halted, not killed: that would be 137


def test_stop_without_kill_leaves_alone_what_does_not_listen() -> None:
    deaf = make_system("deaf", inittab="::sysinit:/bin/sleep 1000\n", stop_signal=signal.SIGWINCH)
    deaf.start()
    until(lambda: "sleep" in deaf.exec("ps").text, "it should be busy")
    assert deaf.stop(0.2, kill=False) is None
    assert deaf.state == "RUNNING"
    deaf.destroy(force=True)


def test_a_frozen_system_can_be_stopped_and_destroyed(box: Container) -> None:
    box.start()
    box.freeze()
    assert box.state == "FROZEN"
    box.kill()
    assert box.state == "STOPPED"


@pytest.mark.needs_cgroup("freezer")
def test_what_an_init_has_frozen_in_a_group_of_its_own_dies_all_the_same(box: Container) -> None:
    box.start()
    made = "mkdir /sys/fs/cgroup/freezer/ice && cd /sys/fs/cgroup/freezer/ice; sleep 1000 & echo $! > tasks"
    said = box.exec(f"{made}; echo FROZEN > freezer.state; cat freezer.state")
    assert "FROZEN" in said.text or "FREEZING" in said.text
    box.kill()
    assert not sandbox.ledger()


# --- who dies meanwhile ---------------------------------------------------------------------------------------------


def test_the_console_and_a_reboot_outlive_the_launcher(box: Container) -> None:
    box.start()
    until(lambda: b"booted" in shown(box), "it should have booted")
    launcher, _ = client.ask(box.home, {"do": "hello"})
    os.kill(launcher["pid"], signal.SIGKILL)
    console = box.attach()
    console.write(b"\n")
    assert ask(console, "echo still") == "still\n"
    console.detach()
    before = box.running()["pid"]
    box.exec("reboot -f")
    until(lambda: box.entry is not None and box.entry.get("pid") not in (before, None), "it should run again")


# --- hooks, settings ------------------------------------------------------------------------------------------------


def test_hooks_run_at_their_moments(tmp_path: Path) -> None:
    note = tmp_path / "notes"
    host = [Hook(when, ("/bin/sh", "-c", f"echo {when} >> {note}")) for when in ("pre-start", "start-host", "post-stop")]  # type: ignore[arg-type]
    inside = Hook("start", ("/bin/sh", "-c", "echo $LXC_HOOK_TYPE > /root/inside"))
    before = Hook("mount", ("/bin/sh", "-c", 'echo $0 > "$LXC_ROOTFS_MOUNT/root/before"'))
    box = make_system("hooked", hooks=(*host, inside, before))
    box.start()
    assert note.read_text() == "pre-start\nstart-host\n"
    assert box.exec("cat /root/inside /root/before").text == "start\n/bin/sh\n"
    box.kill()
    until(lambda: "post-stop" in note.read_text(), "the hook should run when all is undone")
    box.destroy()


def test_a_hook_that_fails_keeps_it_from_starting() -> None:
    box = make_system("hooked", hooks=(Hook("pre-start", ("/bin/false",)),))
    with pytest.raises(KernelRefused, match="hook pre-start"):
        box.start()
    assert box.state == "STOPPED"
    box.destroy()


def test_settings_of_its_own_namespaces_are_set_and_the_machines_are_refused() -> None:
    box = make_system("set", sysctls=(("net.ipv4.ip_default_ttl", "17"),))
    box.start()
    assert box.exec("cat /proc/sys/net/ipv4/ip_default_ttl").text == "17\n"
    box.destroy(force=True)
    with pytest.raises(KernelRefused, match="SetSysctls"):
        make_system("panic", sysctls=(("kernel.panic", "17"),)).start()
    with pytest.raises(InvalidOption, match="no kernel setting"):
        make_system("odd", sysctls=(("net/../../../etc/passwd", "17"),)).start()
    assert not sandbox.ledger()
