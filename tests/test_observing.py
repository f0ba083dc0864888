"""What is read of a process from the outside, and how two looks are compared."""

import os
import subprocess

import pytest

from sandbox import observing
from sandbox.linux import files
from sandbox.observing import Change


def test_of_a_process_that_is_not_there_nothing_is_told() -> None:
    assert {what for what, fact in observing.observe(2**22 + 1).items() if fact} == {"process"}


def test_of_a_process_that_has_ended_nothing_is_told_though_some_of_it_is_still_there() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert files.status(sleeper.pid)["Name"] == "sleep"
        facts = observing.observe(sleeper.pid)
        assert not {what for what in facts if "namespace" in what or what == "program"}


def test_two_looks_at_a_process_that_does_nothing_are_the_same() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            assert observing.difference(observing.observe(sleeper.pid), observing.observe(sleeper.pid)) == []
        finally:
            sleeper.kill()


def test_its_own_facts_are_true() -> None:
    facts = observing.observe(os.getpid())
    assert facts["working directory"] == os.getcwd()
    assert facts["hostname"] == os.uname().nodename
    assert facts["session"] == str(os.getsid(0))
    assert str(facts["user namespace"]).endswith("(the host's)")
    assert set(os.listdir("/")) == facts["root directory holds"]


@pytest.mark.needs_userns
def test_the_hostname_is_that_of_its_own_namespace() -> None:
    script = "hostname elsewhere; echo ready; exec sleep 60"
    with subprocess.Popen(["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", script], stdout=-1) as away:
        try:
            assert away.stdout
            assert away.stdout.readline() == b"ready\n"
            assert observing.observe(away.pid)["hostname"] == "elsewhere"
        finally:
            away.kill()


def test_values_words_and_lines_are_compared_each_in_its_way() -> None:
    before = {"name": "a", "gone": "x", "set": frozenset("abc"), "lines": ("one", "two")}
    after = {"name": "b", "set": frozenset("bcd"), "lines": ("two", "three", "four"), "new": "y"}
    assert observing.difference(before, after) == [
        Change("name", "a", "b"),
        Change("gone", "x", ""),
        Change("set", "a", ""),
        Change("set", "", "d"),
        Change("lines", "one", ""),
        Change("lines", "", "three"),
        Change("lines", "", "four"),
        Change("new", "", "y"),
    ]


def test_what_took_the_place_of_a_line_is_told_with_it() -> None:
    before = {"mount": {"/new/proc  proc rw": "7", "/etc  ext4 rw": "8", "/old  ext4 rw": "9", "/same  tmpfs rw": "10"}}
    after = {"mount": {"/proc  proc rw": "7", "/etc  ext4 ro": "8", "/come  tmpfs rw": "11", "/same  tmpfs rw": "12"}}
    assert observing.difference(before, after) == [
        Change("mount", "/new/proc", "/proc  proc rw"),
        Change("mount", "/etc  ext4 rw", "/etc  ext4 ro"),
        Change("mount", "/old  ext4 rw", ""),
        Change("mount", "", "/come  tmpfs rw"),
    ]


def test_a_change_shows_what_it_is() -> None:
    assert str(Change("hostname", "vm", "box")) == "~ hostname: vm → box"
    assert str(Change("mount", "", "/proc")) == "+ mount: /proc"
    assert str(Change("mount", "/proc", "")) == "- mount: /proc"
