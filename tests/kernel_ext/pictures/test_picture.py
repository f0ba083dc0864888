"""What all pictures have in common, without a browser."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")
pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[lab]'")

from matplotlib.figure import Figure

from kernel_ext.cells import cells
from kernel_ext.pictures import picture
from kernel_ext.pictures.picture import AHEAD, JS, Picture
from kernel_ext.pictures.ticker import Ticker
from sandbox import InvalidOption
from tests.shell import until


class Sample(Picture):
    """A picture of nothing."""

    script = "stepper"

    def __init__(self) -> None:
        super().__init__(title="a <sample>")
        self.sent: list[dict[str, Any]] = []

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append(content)

    def text(self) -> str:
        return "one \x1b[31m& two"

    def summary(self) -> str:
        return 'a "summary"'

    def figure(self) -> Figure:
        return Figure(figsize=(1, 1))

    def heard(self, message: dict[str, Any]) -> object:
        if message["do"] == "refuse":
            raise InvalidOption("no", cure="yes")
        return message["do"], threading.current_thread().name


def test_the_page_gets_one_text_with_what_all_share_in_front() -> None:
    assert Sample._esm.startswith((JS / "shared.js").read_text())
    assert Sample._esm.endswith((JS / "stepper.js").read_text())
    assert (JS / "shared.css").read_text() in Sample._css


SHEETS = sorted(sheet for sheet in JS.glob("*.css") if sheet.stem != "shared")


@pytest.mark.parametrize("sheet", SHEETS, ids=[sheet.stem for sheet in SHEETS])
def test_a_rule_of_one_picture_can_not_change_another_one(sheet: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", text) if "@" not in rule for one in rule.split(",")]
    assert len(selectors) > 10
    # begin() in shared.js gives each picture a class of its name, and all pictures of a page share their sheets.
    assert [one for one in selectors if not re.match(rf"\.sandbox-{sheet.stem}\b", one)] == []


def test_the_still_is_text_for_a_browser_whatever_is_in_it() -> None:
    still = Sample()._still()
    assert 'alt="a &lt;sample&gt;: a &quot;summary&quot;"' in still["text/html"]
    assert "\x1b" not in still["text/html"] + still["text/plain"]
    assert "one ␛[31m&amp; two" in still["text/html"]


def test_in_a_terminal_it_is_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    Sample()._ipython_display_()
    assert capsys.readouterr().out == "one ␛[31m& two\n"


def test_a_page_that_does_not_answer_is_sent_no_more_than_a_few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample()
    assert [sample.frame({"x": number}) for number in range(AHEAD + 2)] == [True] * AHEAD + [False] * 2
    sample._heard(sample, {"do": "seen"}, [])
    assert sample.frame({})
    monkeypatch.setattr(picture, "PROBE", 0.0)
    assert all(sample.frame({}) for _ in range(10))  # from time to time, to see whether it is back


def test_while_a_cell_runs_the_answers_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample()
    monkeypatch.setattr(cells, "running", True)
    assert all(sample.frame({}) for _ in range(3 * AHEAD))


def test_a_page_that_answered_during_a_cell_and_is_gone_gets_no_more_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample()
    monkeypatch.setattr(cells, "running", True)
    sample._heard(sample, {"do": "seen"}, [])
    assert all(sample.frame({}) for _ in range(3 * AHEAD))  # it may be slow
    monkeypatch.setattr(picture, "GONE", 0.0)
    assert not sample.frame({})
    sample._heard(sample, {"do": "seen"}, [])  # it is back
    assert sample.frame({})


def test_what_a_page_asks_for_is_done_by_the_ticker_and_answered() -> None:
    sample = Sample()
    sample._heard(sample, {"do": "thing", "number": "7"}, [])
    done = until(lambda: next((each for each in sample.sent if each["do"] == "done"), None), "it should be answered")
    assert done["number"] == "7"
    assert done["said"] == ("thing", "pictures")
    sample._heard(sample, {"do": "refuse", "number": "8"}, [])
    until(lambda: sample.notice, "the refusal should be shown")
    assert sample.notice == "no\n  → yes"
    sample._heard(sample, "rubbish", [])  # which no page of ours sends


def test_a_mistake_of_ours_is_told_in_the_picture_and_the_page_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, sent = Sample(), list[dict[str, Any]]()
    monkeypatch.setattr(sample, "send", sent.append)
    monkeypatch.setattr(sample, "heard", lambda message: 1 // 0)
    sample._obey({"do": "anything", "number": "1"})
    assert sample.notice.startswith("ZeroDivisionError: ")
    assert "test_picture.py, line " in sample.notice
    assert "please report it" in sample.notice
    assert [message["do"] for message in sent if message.get("do") == "done"] == ["done"]


def test_tasks_are_done_in_the_order_of_their_time_and_one_that_fails_stops_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticker, done = Ticker(), list[str]()
    ticker.later(0.2, lambda: done.append("late"))
    ticker.post(lambda: 1 // 0)
    ticker.post(lambda: done.append("first"))
    ticker.later(0.1, lambda: done.append("second"))
    until(lambda: len(done) == 3, "all should be done")
    assert done == ["first", "second", "late"]
    told = capsys.readouterr().err
    assert told.startswith("ZeroDivisionError: ")
    assert "Traceback" not in told


def test_what_is_done_again_and_again_ends_when_it_says_so() -> None:
    ticker, times = Ticker(), list[int]()

    def once_more() -> bool:
        times.append(1)
        return len(times) < 3

    ticker.every(0.01, once_more)
    until(lambda: len(times) == 3, "it should be done three times")
    ticker.later(0.1, lambda: times.append(9))
    until(lambda: times[-1] == 9, "the ticker should go on")
    assert times == [1, 1, 1, 9]
