import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import InvalidOption
from sandbox.linux.constants import CAPABILITIES
from sandbox.primitives import capabilities
from sandbox.spec import DEFAULT_CAPABILITIES
from sandbox.step import Step

REPOSITORY = str(Path(capabilities.__file__).parents[2])


# --- words and masks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"])
def test_a_capability_may_be_named_with_or_without_its_prefix(word: str) -> None:
    assert capabilities.parse([word]) == ("CAP_NET_ADMIN",)


def test_names_come_once_and_in_the_order_of_their_bits() -> None:
    assert capabilities.parse(["SYS_ADMIN", "chown", "CAP_CHOWN"]) == ("CAP_CHOWN", "CAP_SYS_ADMIN")
    assert capabilities.parse(["ALL", "chown"]) == CAPABILITIES
    assert capabilities.parse([]) == ()


@pytest.mark.parametrize(
    ("word", "advice"), [("NETADMIN", "CAP_NET_ADMIN"), ("SYS_ADMIM", "CAP_SYS_ADMIN"), ("7", "capabilities")]
)
def test_a_misspelled_capability_is_refused_with_what_was_probably_meant(word: str, advice: str) -> None:
    with pytest.raises(InvalidOption, match=advice) as refusal:
        capabilities.parse([word])
    assert repr(word) in refusal.value.message


def test_spelling_advice_is_not_loaded_into_the_launcher() -> None:
    assert alone("show('difflib' in sys.modules)") == [False]


def test_masks_are_those_of_the_kernel() -> None:
    assert capabilities.mask(DEFAULT_CAPABILITIES) == 0xA80425FB  # what a container of Docker shows as CapEff
    assert capabilities.mask(CAPABILITIES) == (1 << 41) - 1
    assert capabilities.names(1 << 45 | 1) == ("CAP_CHOWN", "CAP_45")


@settings(deadline=None)
@given(st.integers(0, (1 << 41) - 1))
def test_names_and_masks_are_two_ways_of_writing_one_thing(bits: int) -> None:
    assert capabilities.mask(capabilities.names(bits)) == bits


def test_the_sets_of_a_process_are_read_as_names() -> None:
    sets = capabilities.read(os.getpid())
    assert set(sets) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert set(sets["CapEff"]) <= set(sets["CapPrm"])
    assert ("CAP_CHOWN" in sets["CapEff"]) == (os.geteuid() == 0)
    with pytest.raises(FileNotFoundError):
        capabilities.read(0)


# --- the steps, on the real kernel ----------------------------------------------------------------------------------

PRELUDE = """
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from sandbox.linux import files, syscalls
from sandbox.linux.constants import CAPABILITIES, CLONE_NEWUSER
from sandbox.primitives import capabilities as room
from sandbox.primitives.capabilities import DropBoundingSet, SetCapabilities
from sandbox.spec import DEFAULT_CAPABILITIES
from sandbox.step import World
world = World()
def become_root_of_a_user_namespace():
    uid = os.geteuid()
    syscalls.unshare(CLONE_NEWUSER)
    files.write("/proc/self/setgroups", "deny")
    files.write("/proc/self/uid_map", f"0 {uid} 1")
def after_exec():
    show = "import re; print(dict(re.findall(r'(Cap...):\\\\t(\\\\w+)', open('/proc/self/status').read())))"
    text = subprocess.run(["/usr/bin/python3", "-c", show], capture_output=True, text=True).stdout
    return {key: room.names(int(value, 16)) for key, value in eval(text).items()}
def show(*values):
    print(json.dumps(values))
"""


def inside(script: str) -> list[object]:
    """What a script shows, run in a process of its own that is root of its own user namespace."""
    return alone("become_root_of_a_user_namespace()\n" + script)


def alone(script: str) -> list[object]:
    command = [sys.executable, "-I", "-S", "-c", PRELUDE + script, REPOSITORY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr and done.returncode:
        pytest.skip(f"no user namespace here: {done.stderr.splitlines()[-1]}")
    assert not done.returncode, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, list)
    return shown


@pytest.mark.needs_userns
def test_after_both_steps_root_has_the_14_of_docker_and_exec_brings_nothing_back() -> None:
    before, result, kept, now, later = inside("""
before = room.read()
result = DropBoundingSet(DEFAULT_CAPABILITIES).apply(world)
kept = SetCapabilities(DEFAULT_CAPABILITIES).apply(world)
show(before, result, kept, room.read(), after_exec())
""")
    assert isinstance(before, dict)
    assert len(before["CapBnd"]) > len(DEFAULT_CAPABILITIES)
    assert result == f"{len(before['CapBnd']) - len(DEFAULT_CAPABILITIES)} dropped"
    assert kept == "14 kept"
    docker = sorted(DEFAULT_CAPABILITIES)
    expected = {"CapInh": [], "CapAmb": [], "CapPrm": docker, "CapEff": docker, "CapBnd": docker}
    for sets in (now, later):
        assert isinstance(sets, dict)
        assert {key: sorted(value) for key, value in sets.items()} == expected


@pytest.mark.needs_userns
def test_with_no_capability_kept_root_is_root_by_name_only() -> None:
    (sets,) = inside("""
DropBoundingSet(()).apply(world)
SetCapabilities(()).apply(world)
show(after_exec())
""")
    assert sets == {"CapInh": [], "CapAmb": [], "CapPrm": [], "CapEff": [], "CapBnd": []}


@pytest.mark.needs_userns
def test_inheritable_and_ambient_sets_are_emptied_even_when_all_is_kept() -> None:
    before, now = inside("""
everything = room.mask(room.read()["CapPrm"])
syscalls.capset(everything, everything, everything)
syscalls.prctl(47, 2, 7)
before = room.read()
DropBoundingSet(CAPABILITIES).apply(world)
SetCapabilities(CAPABILITIES).apply(world)
show(before, room.read())
""")
    assert isinstance(before, dict)
    assert isinstance(now, dict)
    assert before["CapAmb"] == ["CAP_SETUID"]
    assert (now["CapInh"], now["CapAmb"]) == ([], [])
    assert now["CapBnd"] == before["CapBnd"]
    assert now["CapEff"] == before["CapEff"]


@pytest.mark.needs_userns
def test_what_is_not_permitted_is_not_asked_for_and_is_told() -> None:
    result, now = inside("""
few = room.mask(["CAP_CHOWN", "CAP_KILL", "CAP_SETPCAP"])
syscalls.capset(few, few, 0)
result = SetCapabilities(("CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_TIME")).apply(world)
show(result, room.read())
""")
    assert result == "1 kept, not permitted here: CAP_SYS_RESOURCE, CAP_SYS_TIME"
    assert isinstance(now, dict)
    assert (now["CapPrm"], now["CapEff"]) == (["CAP_CHOWN"], ["CAP_CHOWN"])


@pytest.mark.needs_userns
def test_a_bounding_set_dropped_too_late_is_explained() -> None:
    number, condition, cure = inside("""
SetCapabilities(("CAP_CHOWN",)).apply(world)
step = DropBoundingSet(("CAP_CHOWN",))
try:
    step.apply(world)
except OSError as error:
    show(error.errno, *step.explain(error, world))
""")
    assert number == errno.EPERM
    assert condition == "CAP_SETPCAP is not effective (CapEff 0000000000000001)"
    assert "before the change of user" in str(cure)


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="changing to another user needs root")
def test_another_user_has_no_capability_whatever_was_kept() -> None:
    result, now, later = alone("""
DropBoundingSet(DEFAULT_CAPABILITIES).apply(world)
os.setgroups([])
os.setresgid(1000, 1000, 1000)
os.setresuid(1000, 1000, 1000)
result = SetCapabilities(DEFAULT_CAPABILITIES).apply(world)
show(result, room.read(), after_exec())
""")
    assert result == "0 kept"
    for sets in (now, later):
        assert isinstance(sets, dict)
        assert not sets["CapPrm"] + sets["CapEff"] + sets["CapInh"] + sets["CapAmb"]
        assert set(sets["CapBnd"]) <= set(DEFAULT_CAPABILITIES)


def test_the_steps_survive_the_wire() -> None:
    for step in (capabilities.DropBoundingSet(DEFAULT_CAPABILITIES), capabilities.SetCapabilities(("CAP_KILL",))):
        assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step
