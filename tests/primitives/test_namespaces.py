"""Namespaces: made, entered, named, and refused."""

import errno
import os
import subprocess

import pytest

from sandbox.errors import WrongState
from sandbox.linux import files
from sandbox.primitives import namespaces
from sandbox.primitives.namespaces import Clone, Enter, SetHostname
from sandbox.spec import NAMESPACES
from sandbox.step import World
from tests.conftest import NOBODY
from tests.primitives.staging import ALL, Refused, play

pytestmark = pytest.mark.needs_userns


def test_the_flags_of_all_eight_kinds_are_those_of_the_header() -> None:
    assert namespaces.flags(NAMESPACES) == 0x7E020080
    assert namespaces.flags(()) == 0


def test_ones_own_namespaces_are_read_by_name() -> None:
    assert set(namespaces.read()) == set(NAMESPACES)
    assert namespaces.read(os.getpid())["user"].startswith("user:[")
    assert namespaces.read("no such process") == {}


def test_a_child_is_born_in_new_namespaces_of_exactly_the_kinds_asked_for() -> None:
    ours = namespaces.read()
    for wanted in (ALL, ("user", "uts")):
        theirs = play("said = namespaces.read()", namespaces=wanted)
        assert {kind for kind in NAMESPACES if theirs[kind] != ours[kind]} == set(wanted)


def test_a_child_is_pid_1_of_its_own_world() -> None:
    assert play("said = [os.getpid(), os.getppid()]") == [1, 0]


def test_the_cgroup_namespace_is_made_by_the_child_after_it_has_joined() -> None:
    before, after = play("""
        before = files.read("/proc/self/cgroup")
        do(UnshareCgroupNamespace(), world)
        said = [before, files.read("/proc/self/cgroup")]
    """)
    assert {line.split(":", 2)[2] for line in after.splitlines()} == {"/"}
    assert before == files.read("/proc/self/cgroup")


def test_a_hostname_changes_inside_only() -> None:
    ours = os.uname().nodename
    assert play("do(SetHostname('elsewhere'), world); said = os.uname().nodename") == "elsewhere"
    assert os.uname().nodename == ours


def test_the_hosts_name_can_not_be_set_from_a_user_namespace_and_the_refusal_says_why() -> None:
    with pytest.raises(Refused, match=r"SetHostname: sethostname: EPERM") as refusal:
        play("do(SetHostname('mine'), world)", namespaces=("user", "mount"))
    assert "CAP_SYS_ADMIN is missing over this uts namespace" in refusal.value.condition
    assert SetHostname("x").touches == "uts"


def test_a_name_that_is_too_long_is_refused_by_the_kernel() -> None:
    with pytest.raises(Refused) as refusal:
        play("do(SetHostname('x' * 65), world)")
    assert refusal.value.errno == errno.EINVAL


# --- refusals of clone ----------------------------------------------------------------------------------------------

LIMITED = """
    files.write("/proc/sys/user/max_uts_namespaces", "1")
    if os.fork() == 0:
        for _ in range(2):  # the first is allowed
            child = World()
            do(Clone(("uts",)), child)
            if child.pid == 0:
                signal.pause()
    os.wait()
    os._exit(0)
"""


def test_too_many_namespaces_is_explained_with_the_limits_of_this_machine() -> None:
    with pytest.raises(Refused, match="Clone: clone3: ENOSPC") as refusal:
        play(LIMITED, namespaces=("user", "mount", "pid"))
    assert "max_*_namespaces: user=" in refusal.value.condition
    assert "sysctl user.max_user_namespaces" in refusal.value.cure


@pytest.mark.needs_root
def test_an_ordinary_user_may_make_no_namespace_but_a_user_namespace(user_python: str, user_source: object) -> None:
    with pytest.raises(Refused, match="Clone: clone3: EPERM") as refusal:
        play("", namespaces=("uts",), user=NOBODY, python=user_python, source=user_source)
    assert refusal.value.condition
    assert refusal.value.cure


@pytest.mark.needs_root
def test_an_ordinary_user_makes_all_of_them_at_once(user_python: str, user_source: object) -> None:
    kinds = play("said = namespaces.read()", user=NOBODY, python=user_python, source=user_source)
    ours = namespaces.read()
    assert {kind for kind in NAMESPACES if kinds[kind] != ours[kind]} == set(ALL)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM, errno.EINVAL, errno.EAGAIN])
def test_every_usual_errno_of_clone_has_a_condition_and_a_cure(number: int) -> None:
    condition, cure = Clone(NAMESPACES).explain(OSError(number, ""), World())
    assert condition
    assert cure


# --- entering -------------------------------------------------------------------------------------------------------


def test_entering_a_process_that_has_ended_is_refused_as_such() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        born = files.start_time(sleeper.pid)
        with pytest.raises(WrongState, match=f"process {sleeper.pid} of the container has ended"):
            Enter(sleeper.pid, born - 1, ("uts",)).apply(World())  # the number now belongs to somebody else
        sleeper.kill()
    with pytest.raises(WrongState, match="has ended"):
        Enter(sleeper.pid, born, ("uts",)).apply(World())


ENTER = """
    go, started = os.pipe()
    stop, ended = os.pipe()
    if (box := os.fork()) == 0:
        socket.sethostname("inner"); syscalls.unshare(c.CLONE_NEWUTS); socket.sethostname("innermost")
        os.write(started, b"x"); os.read(stop, 1); os._exit(0)
    os.close(started)
    os.read(go, 1)
    hear, tell = os.pipe()
    if os.fork() == 0:
        other = World()
        do(Enter(box, files.start_time(box), ("uts",)), other)
        if other.pid == 0:
            dumpable = syscalls.prctl(3)  # PR_GET_DUMPABLE
            os.write(tell, json.dumps([os.uname().nodename, dumpable, os.getppid()]).encode())
            os._exit(0)
        os.write(tell, b"")
        os._exit(0)
    os.close(tell)
    text = b""
    while data := os.read(hear, 4096):
        text += data
    said = [json.loads(text), os.uname().nodename]
    os.kill(box, 9)
"""


@pytest.mark.needs_root
def test_a_process_is_born_inside_another_world_undumpable_and_as_a_child_of_the_keeper() -> None:
    (hostname, dumpable, parent), ours = play(ENTER, namespaces=("pid", "uts"))
    assert hostname == "innermost"
    assert ours == "inner"
    assert dumpable == 0  # else root of the container could ptrace it between setns and exec
    assert parent == 1  # CLONE_PARENT: not the launcher's child, but its parent's


def test_entering_without_power_over_the_namespaces_is_explained() -> None:
    condition, cure = Enter(1, 1, ("uts",)).explain(OSError(errno.EPERM, ""), World())
    assert "no capability over the namespaces of process 1" in condition
    assert cure


def test_entering_leaks_no_descriptor() -> None:
    born = files.start_time("self")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(WrongState):
            Enter(os.getpid(), born + 1, ("uts",)).apply(World())
    assert len(os.listdir("/proc/self/fd")) == before
