"""Untrusted text: what a container writes may be made to trick a terminal or a reader. None of it acts, all of it shows.

Escape sequences (colours, OSC 52, titles), C1 controls and backspaces become visible characters; so do the invisible ones
that turn the direction of writing around (U+202E and the like). Only newline and tab stay. HTML is text to a stream's
renderer; cards escape it.
"""

import codecs
import io
import re
import unicodedata

import sandbox

#: Invisible, but needed to write Persian, Hindi, or a family as one emoji.
_JOINERS = "\u200c\u200d"


class _Shown(dict[int, str]):
    """How each character is shown, for str.translate; found out when it is first met."""

    def __missing__(self, number: int) -> str:
        char = chr(number)
        shown = char
        if number < 0x20 and char not in "\n\t":
            shown = chr(0x2400 + number)  # the pictures of control characters: ␛ for ESC
        elif number == 0x7F:
            shown = "␡"
        elif unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in _JOINERS + "\n\t":
            shown = char.encode("unicode_escape", "backslashreplace").decode()
        self[number] = shown
        return shown


_shown = _Shown()


def visible(text: str) -> str:
    """The text with nothing in it that a terminal, a browser or an eye would take for more than text."""
    return text.translate(_shown)


class Decoder:
    """Bytes of one stream, piece by piece, as visible text. What is not UTF-8 shows as U+FFFD; \\r\\n and \\r are newlines."""

    def __init__(self) -> None:
        # A sequence, or a \r\n, may be cut in two by the end of a piece: both wait for the next one.
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)

    def __call__(self, data: bytes, final: bool = False) -> str:
        return visible(self._decoder.decode(data, final))


class TerminalDecoder:
    """Bytes that were meant for a terminal, as text for a cell: colours stay colours, and nothing else acts."""

    _COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")

    def __init__(self) -> None:
        self._plain = sandbox.console.Plain(colours=True)

    def __call__(self, data: bytes, final: bool = False) -> str:
        parts = self._COLOUR.split(self._plain(data, final))
        return "".join(part if number % 2 else visible(part) for number, part in enumerate(parts))
