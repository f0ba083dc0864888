"""The step debugger: a container that is made when, and in the order, that somebody says."""

import ast
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import sandbox
from sandbox import InvalidOption, KernelRefused, NotFound, SandboxError, Stepper
from sandbox.errors import AlreadyExists, WrongState
from sandbox.home import home as open_home
from sandbox.launcher import client
from sandbox.stages import DONE, FAILED, PENDING, SKIPPED, order
from tests.conftest import REPOSITORY, as_nobody
from tests.shell import until

pytestmark = pytest.mark.needs_userns


def launcher() -> int:
    return int(client.ask(open_home(), {"do": "hello"})[0]["pid"])


def changes(stepper: Stepper, name: str) -> str:
    """Make all steps up to this one, and say what it changed."""
    stepper.to(name)
    stage = stepper.next()
    assert stage.name == name
    assert stage.error is None
    return "\n".join(map(str, stage.changed))


def test_the_steps_come_in_an_order_in_which_none_waits_for_a_later_one(home: Path) -> None:
    plan = sandbox.plan(sandbox.spec_for("busybox", "true"))
    names = [stage.name for stage in order(plan)]
    assert sorted(names) == sorted(step.name for step in plan)
    assert names.index("Clone") < names.index("SetHostname") < names.index("Go") < names.index("WaitForGo")
    assert names[-1] == "Exec"
    assert [stage.number for stage in order(plan)] == list(range(1, len(plan) + 1))


def test_nothing_is_made_before_the_first_step(home: Path) -> None:
    stepper = Stepper("busybox", "true")
    assert stepper.pid == 0
    assert stepper.held == []
    assert {stage.state for stage in stepper.stages} == {PENDING}
    assert sandbox.ledger() == []


def test_step_by_step_the_same_container_is_made_as_at_once(home: Path) -> None:
    script = "hostname; id; cat /proc/self/uid_map; ls /; grep -E 'Cap|Seccomp:|NoNew' /proc/self/status; mount | sort"
    at_once = sandbox.run("busybox", script, hostname="box").text.splitlines()
    with Stepper("busybox", script, hostname="box") as stepper:
        for _ in range(len(stepper.stages)):
            assert stepper.next().error is None
        result = stepper.run()
    assert result.exit_code == 0
    # Which ids and which folders it was given differs each time.
    given = re.compile(r"\d{5,}|(lower|upper|work)dir=\S*")
    seen = [[given.sub("…", line).split() for line in lines] for lines in (result.text.splitlines(), at_once)]
    assert seen[0] == seen[1]
    assert len(result.trace) == len(stepper.stages)
    assert any(call.name == "pivot_root" for entry in result.trace for call in entry.calls)


def test_each_step_shows_what_it_changed(home: Path) -> None:
    with Stepper("busybox", "true", hostname="box") as stepper:
        born = changes(stepper, "Clone")
        for kind in ("mount", "pid", "network", "ipc", "uts", "user"):
            assert f"~ {kind} namespace: " in born
        assert "(the host's)" in born
        assert "hostname: " in changes(stepper, "SetHostname")
        assert "→ box" in stepper.stage("SetHostname").changed[0].__str__()
        assert "127.0.0.1" in changes(stepper, "BringUpLoopback")
        assert "CAP_SYS_ADMIN" in changes(stepper, "DropBoundingSet")
        assert "uid_map: (empty) → 0→" in changes(stepper, "MapIds")
        assert "cgroup namespace" in changes(stepper, "UnshareCgroupNamespace")
        assert "overlay" in changes(stepper, "MountOverlay")
        turned = changes(stepper, "PivotRoot")
        assert "root directory: inode" in turned
        assert re.search("~ mount: /.+/proc → /proc  proc ", turned)
        assert not re.search("[+] mount: /proc ", turned)
        assert "no_new_privs: 0 → 1" in changes(stepper, "SetNoNewPrivileges")
        assert "seccomp: off → filter" in changes(stepper, "InstallSeccomp")


@pytest.mark.needs_cgroup("memory")
def test_limits_and_membership_are_seen_in_the_groups_own_files(home: Path) -> None:
    with Stepper("busybox", "true", memory="32m") as stepper:
        assert str(32 << 20) in changes(stepper, "SetLimits")
        stepper.run()
        members = [
            str(change) for stage in stepper.stages for change in stage.changed if change.what.startswith("control group")
        ]
        assert any(stepper.name in line for line in members)


def test_while_it_stands_still_the_child_waits_and_has_done_nothing_more(home: Path) -> None:
    with Stepper("busybox", "true", hostname="box") as stepper:
        stepper.to("PivotRoot")
        before = Path(f"/proc/{stepper.pid}/mountinfo").read_text()
        assert "overlay" in before
        time.sleep(0.3)
        assert Path(f"/proc/{stepper.pid}/mountinfo").read_text() == before
        assert stepper.upcoming is stepper.stage("PivotRoot")


def test_a_step_that_is_left_out_is_not_made_and_what_needs_it_says_so(home: Path) -> None:
    with Stepper("busybox", "hostname", hostname="box") as stepper:
        stepper.skip("SetHostname")
        assert stepper.run().text == os.uname().nodename + "\n"
        stepper.reset()
        stepper.skip("MountOverlay")
        with pytest.raises(KernelRefused, match="MountOverlay was left out"):
            stepper.run()
        assert [stage.state for stage in stepper.stages if stage.name in ("MountOverlay", "MakeDev")] == [SKIPPED, FAILED]
    assert sandbox.ledger() == []


def test_what_was_refused_can_be_made_later_when_its_condition_is_there(home: Path) -> None:
    with Stepper("busybox", "echo done") as stepper:
        stepper.move("PivotRoot", before="MountOverlay")
        refused = stepper.to("SetUser")
        assert refused.name == "PivotRoot"
        assert "there is no new root yet" in str(refused.error)
        assert stepper.next().error  # it stays the next one
        stepper.move("PivotRoot", before="SetUser")
        assert stepper.run().text == "done\n"


def test_to_stops_before_its_goal_and_makes_nothing_after_it(home: Path) -> None:
    with Stepper("busybox", "true") as stepper:
        mask = stepper.skip("Mask")
        assert stepper.to("Mask") is mask
        assert [stage.state == DONE for stage in stepper.stages] == [stage.number < mask.number for stage in stepper.stages]
        with pytest.raises(WrongState, match="Clone is done already"):
            stepper.to("Clone")
        assert stepper.upcoming is stepper.stages[mask.number]


def test_moving_a_step_moves_its_effect(home: Path) -> None:
    with Stepper("busybox", "hostname", hostname="box") as stepper:
        stepper.move("SetHostname", before="PivotRoot")
        stepper.to("SetHostname")
        assert [stage.name for stage in stepper.stages][-9:-7] == ["SetHostname", "PivotRoot"]
        assert "hostname" in str(stepper.next())
        assert stepper.run().text == "box\n"


@pytest.mark.parametrize("name", ["Clone", "Go", "WaitForGo", "Exec"])
def test_without_these_there_is_no_container(home: Path, name: str) -> None:
    stepper = Stepper("busybox", "true")
    with pytest.raises(InvalidOption, match="nothing left to run"):
        stepper.skip(name)


@pytest.mark.needs_root
def test_in_the_hosts_user_namespace_nothing_may_be_left_out_or_moved(home: Path) -> None:
    stepper = Stepper("busybox", "true", share=["user"])
    with pytest.raises(InvalidOption, match="user namespace"):
        stepper.skip("PivotRoot")
    with pytest.raises(InvalidOption, match="user namespace"):
        stepper.move("PivotRoot", before="MountOverlay")


def test_wrong_names_and_wrong_times_are_refused_with_what_there_is(home: Path) -> None:
    with Stepper("busybox", "true") as stepper:
        with pytest.raises(InvalidOption, match="PivotRoot"):
            stepper.to("PivotRot")
        with pytest.raises(InvalidOption):
            stepper.next(0)
        stepper.run()
        with pytest.raises(WrongState, match="all steps are made"):
            stepper.next()
        with pytest.raises(WrongState, match="done already"):
            stepper.skip("Mask")
    with pytest.raises(NotFound):
        Stepper("no-such-image", "true")


def test_reset_undoes_all_and_the_ledger_proves_it(home: Path) -> None:
    stepper = Stepper("busybox", "echo again", memory="32m") if os.geteuid() == 0 else Stepper("busybox", "echo again")
    for _ in range(3):
        stepper.to("PivotRoot")
        pid = stepper.pid
        assert len(sandbox.ledger()) == 1
        stepper.reset()
        assert sandbox.ledger() == []
        assert not os.path.exists(f"/proc/{pid}")
        assert stepper.pid == 0
        assert {stage.state for stage in stepper.stages} == {PENDING}
    assert stepper.run().text == "again\n"
    stepper.reset()


@pytest.mark.parametrize("where", ["MakeCgroups", "Clone", "Go", "PivotRoot", "Exec"])
def test_a_process_that_is_killed_while_it_steps_leaves_nothing(home: Path, where: str) -> None:
    script = f"import os, sandbox; s = sandbox.Stepper('busybox', 'sleep 60'); s.to('{where}'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until(lambda: not sandbox.ledger(), "all should be undone")


def test_a_child_that_is_killed_is_told_and_reset_begins_again(home: Path) -> None:
    with Stepper("busybox", "echo new") as stepper:
        stepper.to("PivotRoot")
        os.kill(stepper.pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="ended"):
            stepper.next()
        with pytest.raises(WrongState, match="it has ended"):
            stepper.next()
        stepper.reset()
        assert stepper.run().text == "new\n"


def test_a_program_that_is_not_there_is_refused_by_the_last_step(home: Path) -> None:
    with Stepper("busybox", ["no-such-program"]) as stepper:
        with pytest.raises(KernelRefused, match="no-such-program"):
            stepper.run()
        assert stepper.stage("Exec").state == FAILED
        assert stepper.pid  # and it still waits


def test_two_are_stepped_side_by_side_and_one_name_is_one_container(home: Path) -> None:
    with Stepper("busybox", "hostname", name="one") as one, Stepper("busybox", "hostname", name="two") as two:
        one.to("Go")
        two.to("PivotRoot")
        assert one.run().text == "one\n"
        assert two.run().text == "two\n"
    first, second = Stepper("busybox", "true", name="same"), Stepper("busybox", "true", name="same")
    first.next()
    with pytest.raises(AlreadyExists):
        second.next()
    assert len(first.held) == 1
    second.reset()
    first.reset()


def test_the_time_limit_begins_with_the_program(home: Path) -> None:
    with Stepper("busybox", "sleep 60", timeout=0.3) as stepper:
        stepper.to("PivotRoot")
        time.sleep(0.5)
        assert "timeout" in stepper.run().reason


def test_what_the_program_writes_comes_while_it_runs(home: Path) -> None:
    with Stepper("busybox", "echo first; sleep 0.2; echo second") as stepper:
        stepper.next(len(stepper.stages))
        seen = b""
        while stepper.result is None:
            seen += b"".join(data for _, data in stepper.poll(0.1))
        assert seen == b"first\nsecond\n"
        assert stepper.result.stdout == seen


def test_print_shows_the_plan_with_marks_and_a_step_with_its_calls(home: Path) -> None:
    with Stepper("busybox", "true", hostname="box") as stepper:
        stepper.skip("Mask")
        stepper.to("SetHostname")
        lines = str(stepper).splitlines()
        assert lines[0].startswith("outside: the launcher")
        assert any(line.startswith(" ✓") and "Clone" in line for line in lines)
        assert any(line.startswith(" ▸") and "SetHostname" in line for line in lines)
        assert any(line.startswith(" -") and "Mask" in line for line in lines)
        assert lines[-1].startswith("ledger: ")
        text = str(stepper.next())
        assert "sethostname('box') = 0" in text
        assert "see it yourself: hostname" in text


def test_an_ordinary_user_steps_and_sees_what_each_step_changed(user_python: str, user_source: Path) -> None:
    script = """if True:
        import sandbox
        from sandbox.home import home
        from sandbox.launcher import client
        with sandbox.Stepper("busybox", "hostname; id -u", hostname="mine") as stepper:
            said = [stepper.run().text, *(str(stepper.stage(name).changed[0]) for name in ("SetHostname", "MapIds"))]
        print([*said, sandbox.ledger()])
        client.end(home())
    """
    with tempfile.TemporaryDirectory(prefix="sandbox-user-") as folder:  # pytest's own lie below one that is closed to others
        os.chmod(folder, 0o777)
        env = {"PATH": os.environ["PATH"], "SANDBOX_HOME": f"{folder}/shelf", "PYTHONPATH": str(user_source)}
        command = as_nobody(user_python, "-c", script)
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=100)
        assert done.returncode == 0, done.stderr
        said, name, ids, left = ast.literal_eval(done.stdout)
    assert said == "mine\n0\n"
    assert name.endswith("→ mine")
    assert ids.startswith("~ uid_map: (empty) → 0→")
    assert left == []
