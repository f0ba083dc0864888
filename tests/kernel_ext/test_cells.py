"""Pictures and the cells that show them, in a real kernel: what is closed when one runs again, what is current at its end."""

import pytest

from tests.kernel_ext.conftest import Kernel

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")
pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[lab]'")

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup("memory"), pytest.mark.needs_cgroup("pids")]

BOX = "box, _ = sandbox.launch('busybox', ['sleep', '600'], name='box', memory='64m')"


@pytest.fixture(scope="module")
def open_widgets(kernel: Kernel) -> str:
    """The expression for how many widgets are open."""
    kernel.run("import os, time, sandbox, ipywidgets\nfrom kernel_ext.pictures.ticker import ticker")
    return "(ticker.flush(20), len(ipywidgets.Widget.widgets))[1]"


def test_a_cell_that_runs_again_closes_what_it_has_shown(kernel: Kernel, open_widgets: str) -> None:
    kernel.run(BOX)
    descriptors = "(ticker.flush(20), len(os.listdir('/proc/self/fd')))[1]"
    for cell, code in (
        ("plots", "%cgroups"),
        ("table", "%lxc_top -d 0.1"),
        ("map", "%namespaces"),
        ("own", "sandbox.Sampler()"),
    ):
        widgets = int(kernel.value(open_widgets))
        assert kernel.run(code, cell=f"cell-{cell}").status == "ok"
        once, held = int(kernel.value(open_widgets)), int(kernel.value(descriptors))
        assert once > widgets
        for _ in range(4):
            kernel.run(code, cell=f"cell-{cell}")
        assert int(kernel.value(open_widgets)) == once
        assert int(kernel.value(descriptors)) <= held
    kernel.run(code, cell="cell-9")  # the same code in another cell
    assert int(kernel.value(open_widgets)) > once
    kernel.run("for widget in list(ipywidgets.Widget.widgets.values()): widget.close()")
    kernel.run("box.kill()")


def test_nothing_moves_of_a_picture_that_was_closed(kernel: Kernel, open_widgets: str) -> None:
    kernel.run("from kernel_ext.pictures import cgroups, top\nsampler = sandbox.Sampler()")
    kernel.run("plots, table = cgroups.CgroupsView(sampler), top.TopView(sampler.home, 'n', False, 0.1)")
    kernel.run("plots.close(); table.close(); ticker.later(1.0, lambda: None)")
    kernel.run("while ticker.flush(20) and ticker._due: time.sleep(0.05)")
    assert kernel.value("(plots._going, table._going, ticker._due)") == "(False, False, [])"


def test_the_still_picture_is_current_when_a_cell_has_ended(kernel: Kernel, open_widgets: str) -> None:
    def still(code: str) -> str:
        """What the still picture shows when the cell has ended."""
        kernel.run(code)
        return kernel.updates[-1]

    kernel.run(f"{BOX}\n%cgroups box")
    assert "FROZEN" in still("box.freeze()")
    assert "RUNNING" in still("box.unfreeze()")
    assert "ended (137)" in still("box.kill()")
    kernel.run("for widget in list(ipywidgets.Widget.widgets.values()): widget.close()")
    kernel.run("s = sandbox.Stepper('busybox', 'true', name='steps')\ns")
    assert "▸  2" in still("s.next()")
    assert "ledger: empty" in still("s.reset()")
    kernel.run("for widget in list(ipywidgets.Widget.widgets.values()): widget.close()")
