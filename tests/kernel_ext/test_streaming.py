"""Batches, pace, beginning and end: without a kernel."""

import json
import tracemalloc
from types import SimpleNamespace

import pytest

from kernel_ext import card, streaming
from kernel_ext.streaming import Printer


class Clock:
    """In the place of the module time: nobody really waits."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Recorder:
    """In the place of sys.stdout or sys.stderr: each flush is a message, at a time."""

    def __init__(self, name, messages, clock):
        self.name, self.messages, self.clock, self.text = name, messages, clock, ""

    def write(self, text):
        self.text += text

    def flush(self):
        self.messages.append((self.clock.now, self.name, self.text))
        self.text = ""


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(streaming, "time", found)
    monkeypatch.setattr(streaming, "pace", streaming.Pace())
    return found


@pytest.fixture
def messages(monkeypatch, clock):
    """(time, stream or "card", text) of everything that is shown."""
    sent = []
    streams = {name: Recorder(name, sent, clock) for name in ("stdout", "stderr")}
    monkeypatch.setattr(streaming, "sys", SimpleNamespace(**streams))
    monkeypatch.setattr(card, "publish_display_data", lambda data, **how: sent.append((clock.now, "card", data["text/plain"])))
    return sent


def test_the_first_piece_is_shown_at_once(messages):
    printer = Printer(1000, "")
    printer.feed("stdout", b"hello\n")
    printer.show()
    assert [message[1:] for message in messages] == [("stdout", "hello\n")]


def test_what_fits_is_shown_whole_and_in_order(messages):
    printer = Printer(100, "")
    for number in range(10):
        printer.feed("stdout" if number % 2 else "stderr", f"{number:09}\n".encode())
    printer.finish()
    assert {name for _, name, _ in messages} == {"stdout", "stderr"}
    assert "".join(text for _, name, text in messages if name == "stdout").split() == [f"{n:09}" for n in range(1, 10, 2)]
    assert "".join(text for _, name, text in messages if name == "stderr").split() == [f"{n:09}" for n in range(0, 10, 2)]


def test_of_long_output_beginning_and_end_are_shown_and_what_is_between_is_counted(messages):
    printer = Printer(20, "look there")
    data = b"".join(b"%03d\n" % number for number in range(100))
    for start in range(0, len(data), 7):
        printer.feed("stdout", data[start : start + 7])
    printer.finish()
    kinds = [name for _, name, _ in messages]
    assert kinds == ["stdout", "card", "stdout"]
    assert messages[0][2] == "000\n001\n00"
    assert messages[2][2] == "7\n098\n099\n"
    assert messages[1][2].startswith("380 bytes left out here")
    assert "look there" in messages[1][2]


def test_a_character_that_is_cut_by_what_is_left_out_is_dropped(messages):
    printer = Printer(8, "")
    printer.feed("stdout", "ö".encode() * 11 + b"x")
    printer.finish()
    assert [text for _, name, text in messages if name == "stdout"] == ["öö", "öx"]


def test_with_a_limit_of_zero_all_is_left_out(messages):
    printer = Printer(0, "")
    printer.feed("stderr", b"much")
    printer.finish()
    assert [text for _, _, text in messages] == ["4 bytes left out here: more than a cell should hold"]


def test_memory_stays_flat_however_much_comes(messages):
    printer = Printer(100_000, "")
    piece = b"y\n" * 32768
    tracemalloc.start()
    for _ in range(1000):
        printer.feed("stdout", bytes(piece))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "piece", [b"y\n", b"\xff", b"\x1b", b'"\\', "😀".encode()], ids=["yes", "no UTF-8", "ESC", "JSON", "emoji"]
)
def test_no_second_holds_more_than_jupyter_carries(messages, piece):
    printer = Printer(2_000_000, "")
    printer.feed("stdout", piece * (400_000 // len(piece)))
    printer.feed("stderr", piece * (400_000 // len(piece)))
    printer.finish()
    assert sum(len(text) for _, _, text in messages) >= 800_000 // 4
    assert messages[-1][0] > messages[0][0] + 0.5
    for begin, _, _ in messages:
        window = [text for at, _, text in messages if begin <= at < begin + 1]
        assert sum(len(json.dumps(text, ensure_ascii=False).encode()) + 500 for text in window) < 1_000_000
        assert len(window) < 1000


def test_streams_that_take_turns_quickly_do_not_become_thousands_of_messages(messages):
    printer = Printer(1_000_000, "")
    for number in range(5000):
        printer.feed(("stdout", "stderr")[number % 2], b"x\n")
    printer.finish()
    assert sum(text.count("x") for _, _, text in messages) == 5000
    assert len(messages) <= streaming.TURNS


def test_who_wants_no_more_is_not_kept_waiting(messages, clock):
    printer = Printer(10_000_000, "")
    printer.feed("stdout", b"x" * 5_000_000)
    begun = clock.now
    printer.finish(stop=lambda: clock.now > begun + 0.1)
    assert clock.now - begun < 0.3
    assert sum(len(text) for _, _, text in messages) < 1_000_000
