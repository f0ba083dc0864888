"""What a container writes does nothing to the page that shows it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_ext.untrusted import Decoder, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]52;c;cm0gLXJm\x07", "␛]52;c;cm0gLXJm␇"),
        ("\x9b31m", r"\x9b31m"),
        ("safe\b\b\b\bevil", "safe␈␈␈␈evil"),
        ("exe.\u202efdp", r"exe.\u202efdp"),
        ("a\u2028b\u2066c\ufeff", r"a\u2028b\u2066c\ufeff"),
        ("tab\tnew\nline", "tab\tnew\nline"),
        ("grüße 容器 👩\u200d👩\u200d👧", "grüße 容器 👩\u200d👩\u200d👧"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # text; cards escape it
    ],
)
def test_what_would_act_is_shown_instead(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys_or_that_turns_text_around(text):
    left = {char for char in visible(text) if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert left <= {"\n", "\t", "\u200c", "\u200d"}


@given(st.binary(), st.lists(st.integers(0, 40)))
def test_it_does_not_matter_where_a_stream_is_cut_into_pieces(data, cuts):
    whole, pieces = Decoder(), Decoder()
    shown, rest = "", data
    for cut in cuts:
        shown += pieces(rest[:cut])
        rest = rest[cut:]
    assert shown + pieces(rest, final=True) == whole(data, final=True)


def test_progress_bars_and_windows_line_ends_become_lines():
    decoder = Decoder()
    assert decoder(b"10%\r20%\r") + decoder(b"\ndone\r\n", final=True) == "10%\n20%\ndone\n"
