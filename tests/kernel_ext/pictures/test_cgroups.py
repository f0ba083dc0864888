"""The plots without a browser: what the page is told, what it asks for, the still and the text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")

from kernel_ext.pictures.cgroups import CgroupsView
from kernel_ext.pictures.picture import AHEAD
from kernel_ext.pictures.ticker import ticker
from kernel_ext.pictures.top import TopView
from sandbox.launcher.ledger import directories
from sandbox.primitives import cgroups
from tests.shell import until

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup("memory"), pytest.mark.needs_cgroup("pids")]


@pytest.fixture
def box(home: Path) -> Iterator[sandbox.Container]:
    box, _ = sandbox.launch("busybox", ["sleep", "600"], name="box", memory="64m", pids=30)
    yield box
    if box.entry:
        box.kill()


@pytest.fixture
def sent() -> list[Any]:
    """What went to the page."""
    return []


@pytest.fixture
def view(box: sandbox.Container, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[CgroupsView]:
    def noted(self: CgroupsView, content: Any, buffers: Any = None) -> None:
        sent.append(json.loads(json.dumps(content, allow_nan=False)))
        if content["do"] == "frame":
            self._heard(self, {"do": "seen"}, [])

    monkeypatch.setattr(CgroupsView, "send", noted)
    with sandbox.Sampler() as sampler:
        view = CgroupsView(sampler)
        yield view
        view.paused = True
        until(lambda: not view._going, "the last round should be over")


def frames(sent: list[Any]) -> list[Any]:
    return [message for message in sent if message["do"] == "frame"]


def answer(view: CgroupsView, sent: list[Any], **message: object) -> Any:
    """As a page asks, and what it hears."""
    number = len(sent)
    view._heard(view, {**message, "number": number}, [])
    return until(lambda: next((m for m in sent if m["do"] == "done" and m["number"] == number), None), f"answer to {message}")


def test_each_frame_brings_the_moments_since_the_last_one(view: CgroupsView, sent: list[Any]) -> None:
    until(lambda: len(frames(sent)) > 3, "frames should come")
    times = [row[0] for frame in frames(sent) for row in frame["series"]["box"]]
    assert times == sorted(set(times))
    row = dict(zip(view.data["columns"], frames(sent)[-1]["series"]["box"][-1], strict=True))
    assert row["memory_limit"] == 64 << 20
    assert row["cpu_limit"] is None
    assert view.data["states"] == {"box": "RUNNING"}


def test_a_page_that_does_not_answer_gets_nothing_more_and_later_what_it_missed(
    view: CgroupsView, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: frames(sent), "frames should come")
    monkeypatch.setattr(view, "frame", lambda content: False)
    count, before = len(frames(sent)), len(view.sampler.histories["box"].at)
    until(lambda: len(view.sampler.histories["box"].at) > before + 8, "it should go on looking")
    assert len(frames(sent)) <= count + 1
    monkeypatch.undo()
    assert view._late >= 8


def test_the_page_turns_limits_freezes_and_makes_load(view: CgroupsView, sent: list[Any], box: sandbox.Container) -> None:
    assert answer(view, sent, do="limit", name="box", limit="memory", value=48 << 20)["notice"] == ""
    assert answer(view, sent, do="limit", name="box", limit="cpus", value=0.5)["notice"] == ""
    assert box.entry
    used = cgroups.usage(directories(box.entry))
    assert (used.memory_limit, used.cpu_limit) == (48 << 20, 0.5)
    answer(view, sent, do="freeze", name="box", on=True)
    assert box.state == "FROZEN"
    answer(view, sent, do="freeze", name="box", on=False)
    answer(view, sent, do="load", name="box", kind="fork", amount=5)
    assert view.data["loads"] == {"box": ["forks 5 processes that sleep for 30 s"]}
    answer(view, sent, do="unload", name="box")
    assert view.data["loads"] == {}


def test_a_load_that_can_not_begin_is_told_in_the_picture(view: CgroupsView, sent: list[Any], box: sandbox.Container) -> None:
    box.freeze()
    said = answer(view, sent, do="load", name="box", kind="cpu", amount=5)
    assert said["notice"].startswith("the container 'box' is frozen\n  → ")
    assert view.data["loads"] == {}
    box.unfreeze()


def test_what_can_not_be_done_is_told_in_the_picture(view: CgroupsView, sent: list[Any]) -> None:
    assert "6m" in answer(view, sent, do="limit", name="box", limit="memory", value=1)["notice"]
    assert "not shown here" in answer(view, sent, do="freeze", name="../etc", on=True)["notice"]
    assert "can't be turned" in answer(view, sent, do="limit", name="box", limit="hostname", value=1)["notice"]
    assert "do not know" in answer(view, sent, do="explode")["notice"]


def test_pause_stops_all_and_it_goes_on_after(view: CgroupsView, sent: list[Any]) -> None:
    answer(view, sent, do="pause", on=True)
    until(lambda: not view._going, "the last round should be over")
    moments = len(view.sampler.histories["box"].at)
    assert view.data["paused"] is True
    answer(view, sent, do="pause", on=False)
    until(lambda: len(view.sampler.histories["box"].at) > moments, "it should go on")


def test_a_page_that_opens_gets_what_was_before_and_the_csv(view: CgroupsView, sent: list[Any]) -> None:
    until(lambda: len(view.sampler.histories["box"].at) > 3, "a few rounds")
    said = answer(view, sent, do="history")["said"]
    assert len(said["series"]["box"]) > 3
    assert answer(view, sent, do="csv")["said"].startswith("time,container,cpu,")


def test_the_still_and_the_text_say_the_same(view: CgroupsView, box: sandbox.Container) -> None:
    until(lambda: len(view.sampler.histories["box"].at) > 3, "a few rounds")
    assert str(view).splitlines()[1].startswith("box")
    assert "box uses" in view.summary()
    assert "of 64.0 MiB" in view.summary()
    still = view._still()
    assert "data:image/png" in still["text/html"]
    box.kill()
    until(lambda: view.data["states"]["box"] == "STOPPED", "its end should be seen")
    assert view.summary() == "box has ended."


def answered(self: TopView, content: Any, buffers: Any = None) -> None:
    """A page that takes each frame."""
    self._heard(self, {"do": "seen"}, [])


def test_the_table_of_lxc_top_is_renewed_and_sorted(box: sandbox.Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TopView, "send", answered)
    view = TopView(box.home, "n", False, 0.1)
    assert view.data["lines"][0].startswith("box")
    assert str(view).splitlines()[0].startswith("Container")
    view.heard({"do": "sort", "order": "c"})
    assert view.data["order"] == "c"
    box.kill()
    until(lambda: view.data["lines"][0].startswith("TOTAL 0 of 0"), "its end should be seen")
    view.heard({"do": "pause", "on": True})
    assert view.data["paused"] is True
    view.close()


def test_the_table_is_not_renewed_for_nobody_but_when_a_cell_ends(box: sandbox.Container) -> None:
    view = TopView(box.home, "n", False, 0.05)
    until(lambda: view._sent == AHEAD and not view.frame({}), "the last frame that nobody answers should go")
    box.kill()
    ticks: list[bool] = []
    ticker.every(0.05, lambda: ticks.append(True) or len(ticks) < 5)  # type: ignore[func-returns-value]
    until(lambda: len(ticks) == 5, "some rounds should be over")
    assert view.data["lines"][0].startswith("box")
    view.catch_up()
    assert view.data["lines"][0].startswith("TOTAL 0 of 0")
    view.close()
