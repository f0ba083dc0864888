"""Every kind of step: what it says of itself, and what is refused where one is read."""

from typing import get_type_hints

import pytest

from sandbox.plans import compile
from sandbox.primitives.process import ChangeDirectory, SetUser
from sandbox.spec import NAMESPACES, Spec
from sandbox.step import KINDS, Step
from tests.test_plans import MOUNTING

BOX = Spec(name="box")


def test_bytes_and_defaults_are_short_in_the_text_of_a_step() -> None:
    assert str(SetUser("0:0")) == "SetUser(user='0:0')"
    assert str(ChangeDirectory("/")) == "ChangeDirectory(path='/')"
    assert "bytes>" in str(next(step for step in compile(BOX) if step.name == "InstallSeccomp"))


def test_a_cgroup_that_is_not_ours_is_refused_where_the_plan_is_read() -> None:
    data = {"step": "OpenCgroups", "group": "", "directories": [["pids", "/sys/fs/cgroup/pids/system.slice"]]}
    with pytest.raises(ValueError, match="not a control group of ours"):
        Step.from_json(data)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_step_says_what_it_does_where_and_where_to_read_on(kind: str) -> None:
    step = KINDS[kind]
    assert step.__doc__
    assert not step.__doc__.startswith(f"{kind}("), "a dataclass without a docstring gets its signature as one"
    first = step.__doc__.split("\n", 1)[0]
    assert first.endswith((".", ")")), first
    assert step.man, "which page tells more?"
    assert step.lane in ("outside", "inside")
    assert step.apply is not Step.apply
    assert step.touches in ("", *NAMESPACES)
    assert "world" not in get_type_hints(step)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_step_that_changes_a_namespace_for_everybody_in_it_says_so(kind: str) -> None:
    """The interpreter refuses it in the launcher's own. Forgetting the word would endanger the host."""
    mounting = kind.startswith(MOUNTING) or kind in ("MakePrivate", "ReadOnlyRoot", "WriteEtc", "SetSysctls")
    others = {"SetHostname": "uts", "BringUpLoopback": "network", "ConfigureLink": "network"}
    expected = others.get(kind, "mount" if mounting else "")
    assert KINDS[kind].touches == expected
