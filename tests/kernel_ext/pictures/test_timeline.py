"""The timeline's picture without a browser, and its magic in a real kernel."""

import pytest

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")

import sandbox
from kernel_ext.pictures.timeline import COLOURS, TimelinePicture
from sandbox.timelines import OTHER_TOPIC, TOPICS
from tests.kernel_ext.conftest import Kernel
from tests.test_timelines import TRACE


def test_every_topic_has_a_colour_of_its_own() -> None:
    assert set(COLOURS) == {*TOPICS.values(), OTHER_TOPIC}
    assert len({page for page, _ in COLOURS.values()}) == len({still for _, still in COLOURS.values()}) == len(COLOURS)


def test_still_text_and_widget_say_the_same() -> None:
    line = sandbox.timeline(TRACE, TRACE, ("one", "two"))
    picture = TimelinePicture(line)
    assert picture.text() == str(line)
    assert [track["label"] for track in picture.data["tracks"]] == ["one", "two"]
    assert [axes.get_title().split(":")[0] for axes in picture.figure().axes] == ["one", "two"]
    assert "two: 0.5 ms until the program ran, 5 steps" in picture.summary()


@pytest.mark.needs_userns
def test_the_last_run_a_named_one_and_two_are_shown(kernel: Kernel) -> None:
    assert "nothing was run yet" in kernel.run("%timeline").error
    assert kernel.run("%%container --out first\ntrue").status == "ok"
    shown = kernel.run("%timeline")
    assert "last run: " in shown.cards[0]
    assert [sorted(each["data"])[0] for each in shown.of("display_data")] == [
        "text/html",
        "application/vnd.jupyter.widget-view+json",
    ] or "▲" in shown.cards[0]
    below = kernel.run("%%container --timeline --calls --out second\necho hello")
    assert below.stream("stdout") == "hello\n"
    assert "openat2(" in below.cards[0]
    two = kernel.run("%timeline first second").cards[0]
    assert "compared step by step, in µs: first (1), second (2)" in two
    assert "did you mean second?" in kernel.run("%timeline secnd").error
    assert "two runs at most" in kernel.run("%timeline first second --runc").error
    assert "is of type int" in kernel.run("three = 3\n%timeline three").error
