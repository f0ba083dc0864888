"""Plans are plain data: made, compared, sent and edited without any privilege."""

import dataclasses
import json
import os
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import InvalidOption, SandboxError
from sandbox.images.image import Image
from sandbox.lanes import Plan
from sandbox.options import spec_from
from sandbox.plans import Running, Where, compile, compile_exec
from sandbox.primitives import mounts, namespaces
from sandbox.primitives.process import Exec
from sandbox.spec import NAMESPACES, IdMapping, Mount, Process, Resources, Root, Spec
from sandbox.step import Step
from tests.conftest import as_nobody

IMAGE = Image("tiny", ("/layers/one",))
BOX = Spec(name="box", root=Root(layers=("/layers/one",)))
NUMBERS = (IdMapping(0, 1000, 1),)


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


# --- the list that reads like the lesson ----------------------------------------------------------------------------


def test_the_plan_of_a_default_container_reads_like_the_lesson() -> None:
    plan = compile(BOX)
    assert names(plan.outside) == [
        "ClaimIds", "MakeCgroups", "SetLimits", "Clone", "MapIds", "GiveStreams", "OpenTree", "OpenCgroups", "Go",
    ]  # fmt: skip
    assert names(plan.inside) == [
        "MakePrivate", "SetHostname", "BringUpLoopback", "DropBoundingSet", "WaitForGo", "JoinCgroups", "BecomeRoot",
        "UnshareCgroupNamespace", "MountScratch", "MountOverlay", "MakeDev", "MountFilesystem", "MountFilesystem",
        "MountFilesystem", "MountFilesystem", "MountFilesystem", "Mask", "MakeReadOnly", "PivotRoot", "SetUser",
        "SetCapabilities", "ChangeDirectory", "ResetProcess", "SetNoNewPrivileges", "InstallSeccomp", "Exec",
    ]  # fmt: skip
    kinds = [(step.type, step.destination) for step in plan if isinstance(step, mounts.MountFilesystem)]
    assert kinds == [
        ("devpts", "/dev/pts"), ("tmpfs", "/dev/shm"), ("mqueue", "/dev/mqueue"), ("proc", "/proc"), ("sysfs", "/sys"),
    ]  # fmt: skip


def test_a_plan_without_privileges_takes_its_trees_inside() -> None:
    """Only in its own mount namespace may an ordinary user take a mount; and it can't see them through an id map."""
    plan = compile(dataclasses.replace(BOX, uid_mappings=NUMBERS, gid_mappings=NUMBERS), Where(privileged=False))
    assert names(plan.outside) == ["MakeCgroups", "SetLimits", "Clone", "MapIds", "OpenCgroups", "Go"]
    order = names(plan.inside)
    assert order.index("MakePrivate") < order.index("OpenTree") < order.index("MountOverlay")
    assert not any(step.idmap for step in plan if isinstance(step, mounts.OpenTree))
    assert [step.helper for step in plan if step.name == "MapIds"] == [False]
    assert [step.groups for step in plan if step.name in ("BecomeRoot", "SetUser")] == [False, False]


def test_newuidmap_maps_many_ids_and_so_groups_can_be_dropped() -> None:
    plan = compile(dataclasses.replace(BOX, uid_mappings=NUMBERS, gid_mappings=NUMBERS), Where(False, newuidmap=True))
    assert [step.helper for step in plan if step.name == "MapIds"] == [True]
    assert [step.groups for step in plan if step.name in ("BecomeRoot", "SetUser")] == [True, True]
    assert not any(step.idmap for step in plan if isinstance(step, mounts.OpenTree))


def test_exec_is_a_plan_with_the_same_confinement_in_the_same_order() -> None:
    running = Running(4711, 99, 65536, (("pids", "/sys/fs/cgroup/container-sandbox/box"),))
    plan = compile_exec(BOX, Process(("id",), init=True), running)
    assert names(plan.outside) == ["Enter", "OpenCgroups", "GiveStreams", "Go"]
    started, early = names(compile(BOX).inside), ["DropBoundingSet", "WaitForGo", "JoinCgroups", "BecomeRoot"]
    assert names(plan.inside) == early + started[started.index("SetUser") :]
    assert plan.inside[-1] == Exec(("id",), Process.env)  # an init is only for the first process
    assert plan.outside[0] == namespaces.Enter(4711, 99, NAMESPACES)


def test_exec_on_a_terminal_opens_a_console_and_leaves_the_tree_alone() -> None:
    plan = compile_exec(BOX, Process(terminal=True), Running(1, 1))
    assert [step.bind for step in plan if step.name == "OpenConsole"] == [False]
    assert "JoinCgroups" not in names(plan.inside)
    order = names(plan.inside)
    assert order.index("OpenConsole") < order.index("TakeTerminal") < order.index("SetUser")


@pytest.mark.parametrize("shared", NAMESPACES)
def test_a_shared_namespace_takes_its_steps_out_of_the_plan(shared: str) -> None:
    own = tuple(name for name in NAMESPACES if name != shared)
    plan = compile(dataclasses.replace(BOX, namespaces=own))
    gone = set(names(tuple(compile(BOX)))) - set(names(tuple(plan)))
    expected = {
        "user": {"ClaimIds", "MapIds", "GiveStreams", "BecomeRoot"}, "uts": {"SetHostname"}, "network": {"BringUpLoopback"},
        "cgroup": {"UnshareCgroupNamespace"},
    }  # fmt: skip
    assert gone == expected.get(shared, set())
    filesystems = {step.type for step in plan if isinstance(step, mounts.MountFilesystem)}
    attached = [step.destination for step in plan if isinstance(step, mounts.AttachTree)]
    assert attached == {"pid": ["/proc"], "network": ["/sys"]}.get(shared, [])
    assert ("mqueue" in filesystems) == (shared != "ipc")
    assert next(step.namespaces for step in plan if isinstance(step, namespaces.Clone)) == own


def test_a_volume_is_taken_outside_and_attached_inside() -> None:
    spec = dataclasses.replace(BOX, mounts=(Mount("/data", "bind", "/srv", ("ro", "nodev")), Mount("/run", "tmpfs")))
    plan = compile(spec)
    taken = [step for step in plan.outside if isinstance(step, mounts.OpenTree)]
    assert taken[1:] == [mounts.OpenTree("volume0", "/srv", ("ro", "nodev"), idmap=True, lenient=True)]
    assert mounts.AttachTree("volume0", "/data") in plan.inside
    assert mounts.MountFilesystem("tmpfs", "/run") in plan.inside


def test_a_read_only_root_is_sealed_after_the_pivot() -> None:
    order = names(compile(dataclasses.replace(BOX, root=Root(layers=("/l",), readonly=True))).inside)
    assert order[order.index("PivotRoot") + 1] == "ReadOnlyRoot"


def test_without_no_new_privileges_the_filter_comes_before_the_capabilities_go() -> None:
    order = names(compile(dataclasses.replace(BOX, process=Process(no_new_privileges=False))).inside)
    assert "SetNoNewPrivileges" not in order
    assert order.index("DropBoundingSet") < order.index("InstallSeccomp") < order.index("SetUser")


# --- what is true of every plan -------------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
OPTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional={
    "name": st.from_regex(r"\A[a-z][a-z0-9-]{0,9}\Z"),
    "memory": st.integers(6 << 20, 1 << 40), "swap": st.integers(0, 1 << 30), "cpus": st.floats(0.01, 2),
    "cpu_weight": st.integers(1, 10000), "pids": st.integers(1, 1000), "cpuset": st.just("0"),
    "env": st.dictionaries(st.from_regex(r"\A[A-Z]{1,5}\Z"), WORDS, max_size=3), "workdir": st.just("/tmp"),
    "user": st.sampled_from(["root", "1000", "7:8", "www:www"]), "read_only": st.booleans(), "tty": st.booleans(),
    "init": st.booleans(), "share": st.lists(st.sampled_from(sorted({*NAMESPACES} - {"mount", "user"})), max_size=3),
    "cap_add": st.lists(st.sampled_from(["NET_ADMIN", "ALL", "chown"]), max_size=2),
    "cap_drop": st.lists(st.sampled_from(["ALL", "MKNOD"]), max_size=2),
    "seccomp": st.sampled_from(["default", "unconfined"]), "timeout": st.integers(1, 100),
})  # fmt: skip
SPECS = st.builds(lambda options, words: spec_from(IMAGE, words, **options), OPTIONS, st.lists(WORDS, min_size=1, max_size=3))
PLACES = st.builds(Where, st.booleans(), st.booleans(), st.sampled_from(["", "home_box"]))
PLANS = st.builds(compile, SPECS, PLACES) | st.builds(
    compile_exec, SPECS, st.just(Process()), st.builds(Running, st.integers(1), st.integers(0), st.integers(0)), PLACES
)
MOUNTING = ("Mount", "Attach", "MakeDev", "Mask", "MakeReadOnly", "Pivot", "OpenConsole")


@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_a_plan_comes_back_from_json_as_it_was(plan: Plan) -> None:
    assert Plan.from_json(json.dumps(plan.to_json())) == plan
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@settings(max_examples=60, deadline=None)
@given(SPECS, PLACES)
def test_every_plan_keeps_the_order_that_safety_rests_on(spec: Spec, where: Where) -> None:
    plan = compile(spec, where)
    outside, inside = names(plan.outside), names(plan.inside)
    assert outside[-1] == "Go"
    assert inside[-1] == "Exec"
    first_mount = next(i for i, name in enumerate(inside) if name.startswith(MOUNTING))
    assert inside.index("MakePrivate") < first_mount
    assert max(i for i, name in enumerate(inside) if name.startswith(MOUNTING)) == inside.index("PivotRoot")
    if "user" in spec.namespaces:
        assert outside.index("Clone") < outside.index("MapIds")
        assert inside.index("BecomeRoot") == inside.index("JoinCgroups") + 1
    if spec.seccomp != "unconfined":
        assert inside[-2] == "InstallSeccomp"
        assert inside[-3] == "SetNoNewPrivileges"
    order = [outside.index(name) for name in ("MakeCgroups", "SetLimits", "Clone", "OpenCgroups")]
    assert order == sorted(order)
    assert inside.index("JoinCgroups") == inside.index("WaitForGo") + 1  # the limits hold for whatever it does next
    assert "cgroup" not in spec.namespaces or "UnshareCgroupNamespace" in inside[inside.index("JoinCgroups") :]
    # What comes before the barrier needs no ids and no limits, and shows the host nothing.
    early = inside[: inside.index("WaitForGo")]
    assert set(early) <= {"MakePrivate", "SetHostname", "BringUpLoopback", "DropBoundingSet"}
    order = [inside.index(name) for name in ("DropBoundingSet", "SetUser", "SetCapabilities", "ChangeDirectory", "Exec")]
    assert order == sorted(order)


@settings(max_examples=30, deadline=None)
@given(SPECS, PLACES)
def test_every_step_stands_in_its_lane_and_every_tree_is_taken_before_it_is_attached(spec: Spec, where: Where) -> None:
    plan = compile(spec, where)
    for lane in ("outside", "inside"):
        steps = getattr(plan, lane)
        assert {step.lane for step in steps if not isinstance(step, mounts.OpenTree)} == {lane}
    taken: set[str] = set()
    for step in plan:
        if isinstance(step, mounts.OpenTree):
            assert step.tree not in taken
            taken.add(step.tree)
        elif isinstance(step, mounts.AttachTree):
            assert step.tree in taken


@settings(max_examples=20, deadline=None)
@given(SPECS)
def test_a_plan_is_the_same_every_time_it_is_made(spec: Spec) -> None:
    assert compile(spec) == compile(spec)
    assert str(compile(spec)) == str(compile(spec))


def test_limits_reach_their_step_and_a_cpuset_is_joined_only_when_it_is_asked_for() -> None:
    limits = Resources(memory=64 << 20, swap=1 << 20, cpus=0.5, cpu_weight=200, cpuset="0-1", pids=20)
    plan = compile(dataclasses.replace(BOX, resources=limits, annotations=(("explicit", "memory,cpuset"),)))
    set_limits = next(step for step in plan if step.name == "SetLimits")
    assert {name: getattr(set_limits, name) for name in vars(limits)} == vars(limits)
    assert set_limits.explicit == ("memory", "cpuset")
    assert [step.extra for step in plan if step.name in ("MakeCgroups", "OpenCgroups")] == [("cpuset",), ("cpuset",)]
    assert [step.extra for step in compile(BOX) if step.name in ("MakeCgroups", "OpenCgroups")] == [(), ()]


# --- leaving a step out ---------------------------------------------------------------------------------------------


def test_leaving_out_a_step_takes_all_of_its_name_and_nothing_else() -> None:
    plan = compile(BOX)
    less = plan.without("MountFilesystem", "Mask")
    assert list(less) == [step for step in plan if step.name not in ("MountFilesystem", "Mask")]
    assert plan.without() == plan


def test_leaving_out_a_step_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(InvalidOption, match="PivotRoot") as refusal:
        compile(BOX).without("PivotRooot")
    assert "'PivotRooot'" in refusal.value.message


@pytest.mark.parametrize("name", ["Clone", "Go", "WaitForGo", "Exec"])
def test_the_child_the_barrier_and_the_program_can_not_be_left_out(name: str) -> None:
    with pytest.raises(InvalidOption, match="nothing left to run"):
        compile(BOX).without(name)


def test_without_a_user_namespace_no_step_may_be_left_out() -> None:
    bare = compile(dataclasses.replace(BOX, namespaces=tuple(name for name in NAMESPACES if name != "user")))
    with pytest.raises(InvalidOption, match="user namespace") as refusal:
        bare.without("MakePrivate")
    assert "--userns host" in refusal.value.cure
    assert bare.without() == bare


def test_every_other_step_can_be_left_out_on_paper() -> None:
    plan = compile(dataclasses.replace(BOX, process=Process(terminal=True)))
    for name in {step.name for step in plan} - {"Clone", "Go", "WaitForGo", "Exec"}:
        assert name not in names(tuple(plan.without(name)))


# --- what is no plan ------------------------------------------------------------------------------------------------

GO = {"step": "Go"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "lists outside and inside"),
        ({"outside": []}, "lists outside and inside"),
        ({"outside": [], "inside": [], "more": []}, "lists outside and inside"),
        ({"outside": [{"step": "Explode"}], "inside": []}, "'Explode'"),
        ({"outside": [{}], "inside": []}, "None"),
        ({"outside": [{"step": "Step"}], "inside": []}, "'Step'"),
        ({"outside": [{**GO, "speed": 9}], "inside": []}, "speed"),
        ({"outside": [], "inside": [{"step": "SetHostname"}]}, "hostname"),
        ({"outside": [], "inside": [GO]}, "outside lane"),
        ({"outside": [{"step": "PivotRoot"}], "inside": []}, "inside lane"),
        ({"outside": 5, "inside": []}, "outside"),
        ({"outside": ["Go"], "inside": []}, "Go"),
        ({"outside": [None], "inside": []}, "None"),
        ({"outside": [{"step": ["Go"]}], "inside": []}, "Go"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_value_error(data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Plan.from_json(data)


def test_text_that_is_no_json_is_refused_with_a_value_error() -> None:
    with pytest.raises(ValueError, match="char 0"):
        Plan.from_json("Go")


# --- the text -------------------------------------------------------------------------------------------------------


def test_a_plan_prints_one_numbered_line_a_step_with_purpose_and_man_page() -> None:
    plan = compile(BOX)
    text = str(plan)
    assert text.count("\n") == 2 * len(plan) + 1
    assert text.startswith("outside: the launcher, on the host\n   1  ClaimIds(seed='box')\n      Take 65,536 host ids")
    assert f"  {len(plan)}  Exec(args=['/bin/sh'], env=['PATH=" in text
    assert "[pivot_root(2)]" in text or "pivot_root(2)" in text
    assert "InstallSeccomp(" in text
    assert "base64" not in text  # 2 KB of machine code are for the kernel


# --- where --------------------------------------------------------------------------------------------


def test_a_plan_is_made_and_read_by_an_ordinary_user(user_python: str, user_source: object) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from sandbox.lanes import Plan
from sandbox.plans import compile
from sandbox.spec import Spec
print(len(Plan.from_json(compile(Spec(name="box")).to_json())))
"""
    done = subprocess.run(as_nobody(user_python, "-I", "-c", code, str(user_source)), capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == str(len(compile(Spec(name="box")))), done.stderr


def test_a_spec_of_root_only_options_is_refused_for_others() -> None:
    if os.geteuid() == 0:
        assert "user" not in spec_from(IMAGE, userns="host").namespaces
        return
    with pytest.raises(SandboxError, match="only root"):
        spec_from(IMAGE, userns="host")
