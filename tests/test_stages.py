"""A step on its way, as it is shown."""

import pytest

import sandbox
from sandbox.stages import Stage


def test_a_cell_that_ends_with_a_step_shows_what_print_shows() -> None:
    pretty = pytest.importorskip("IPython.lib.pretty", reason="needs IPython")
    step = next(iter(sandbox.plan(sandbox.spec_for("busybox", "true"))))
    stage = Stage(1, "outside", 0, step)
    assert pretty.pretty(stage) == str(stage)
