"""What a configuration becomes as a plan, where that is not what it is for other containers."""

from pathlib import Path

import pytest

from sandbox.errors import NotFound
from sandbox.lanes import Plan
from sandbox.plans import compile
from sandbox.primitives.mounts import MountFilesystem
from sandbox.primitives.seccomp import InstallSeccomp
from sandbox.primitives.seccomp_program import listing
from tests.lxc_config.asking import said


def filters(plan: Plan) -> list[InstallSeccomp]:
    return [step for step in plan if isinstance(step, InstallSeccomp)]


def test_the_filter_is_the_policy_that_the_file_holds_now(tmp_path: Path) -> None:
    line = f"lxc.seccomp.profile = {tmp_path}/policy"
    for call in ("mount", "chroot"):  # read again, not remembered by its name
        (tmp_path / "policy").write_text(f"2\ndenylist\n{call} errno 1\n")
        (step,) = filters(compile(said(line)))
        assert step.profile == f"{tmp_path}/policy"
        assert call in listing(step.program)
    (tmp_path / "policy").unlink()
    with pytest.raises(NotFound, match="policy can't be read"):
        compile(said(line))


def test_a_sys_that_may_be_written_to_takes_the_place_of_the_usual_one() -> None:
    for mode, options in (("ro", ("ro", "nosuid", "nodev", "noexec")), ("rw", ("nosuid", "nodev", "noexec"))):
        plan = compile(said(f"lxc.mount.auto = sys:{mode}"))
        assert [step.options for step in plan if isinstance(step, MountFilesystem) and step.type == "sysfs"] == [options]
