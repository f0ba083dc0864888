"""A configuration file of LXC's: read, changed and written. What is not changed stays as it is, byte for byte.

    # a comment
    lxc.uts.name = web1
    lxc.include = /usr/share/lxc/config/common.conf     the lines of that file, or of a folder's *.conf, come here
    lxc.cap.drop =                                      an empty value takes back what the key was given before
    lxc.cap.drop = mac_admin sys_time

Nothing here knows what the keys mean. lxc.container.conf(5)
"""

import errno
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from .. import disk
from ..errors import InvalidOption, NotFound

#: How deep files may include one another, how many they may be, how many lines they may have, and how long one may be.
DEPTH, FILES, LINES, LENGTH = 16, 1000, 100_000, 1 << 16

#: Where LXC keeps what its templates include. Without LXC on the machine, these files are passed over: see keys.py.
LXCS_OWN = "/usr/share/lxc/config/"

_BLANK = " \t\r"
#: Keys that stand for all that begin with them, when they are emptied: `lxc.net =` and `lxc.net.1 =`.
_GROUP = re.compile(r"lxc\.(?:net\.[0-9]+|net|cgroup2?|hook|prlimit|proc|sysctl)(?=\.|$)")


def renamed(folder: str, name: str) -> str:
    """Where the config waits that a container in `folder` will have as soon as it is called `name`."""
    return f"{folder}/.config.{name}"


def finish_renaming(folder: str) -> None:
    """Let a container that has a new name have the new config, too: whoever renamed it was killed before."""
    with suppress(OSError):
        os.rename(renamed(folder, os.path.basename(folder)), f"{folder}/config")


class Line(NamedTuple):
    """A line that says something, and where it stands. A line that LXC passes over has no key, and all of it as value."""

    key: str
    value: str
    file: str
    number: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


class Config:
    """The lines of a file. `path` is its name in messages; from its folder, relative paths are looked for."""

    def __init__(self, text: str = "", path: str = "config") -> None:
        """Raises InvalidOption: a line makes no sense, or what it includes can't be read; it says which line."""
        self.path = path
        self._raw = text.split("\n")
        self._lines = _expanded(text, path)

    @classmethod
    def read(cls, path: str) -> "Config":
        """The file at `path`. Raises NotFound, and InvalidOption as the constructor does."""
        finish_renaming(os.path.dirname(path))
        try:
            return cls(disk.read_text(path), path)
        except OSError as error:
            raise NotFound(f"{path} can't be read", condition=error.strerror or "") from None

    def write(self, path: str = "") -> None:
        """Write it to `path`, or where it was read: all of it or nothing."""
        disk.write_text(path or self.path, self.text())

    def text(self) -> str:
        """The file itself, as it was written, with what was changed since. What it includes is not in it."""
        return "\n".join(self._raw)

    # --- what it says -----------------------------------------------------------------------------------------------

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line that says something, those of included files in place of their lxc.include."""
        return self._lines

    def effective(self) -> list[Line]:
        """The lines that count: those with a key and a value that no later empty value took back."""
        emptied: set[str] = set()
        found = []
        for line in reversed(self._lines):
            if not line.value:
                emptied.add(line.key)
            elif line.key and not emptied.intersection(_names(line.key)):
                found.append(line)
        return found[::-1]

    def items(self) -> list[tuple[str, str]]:
        """Key and value of every line that counts, in order."""
        return [(line.key, line.value) for line in self.effective()]

    def all(self, key: str) -> list[str]:
        """All values of a key, in order."""
        return [value for name, value in self.items() if name == key]

    def get(self, key: str, default: str = "") -> str:
        """The value that counts for a key that has one: the last."""
        return next(reversed(self.all(key)), default)

    def mentions(self, key: str) -> bool:
        """Whether the key stands there at all, be it to be emptied."""
        return any(line.key == key for line in self._lines)

    # --- change -----------------------------------------------------------------------------------------------------

    def set(self, key: str, value: str) -> None:
        """Make `value` the one that counts. It takes the place of the key's last line here; others of this file go."""
        text = _line(key, value)
        own = self._own(key)
        raw = self._without(own[:-1])
        if own:
            raw[own[-1] - len(own) + 1] = text
        self._take(raw if own else _ended(raw, text))
        if self.get(key) != value:  # a file that is included below says otherwise
            self._take(_ended(self._without(self._own(key)), text))

    def append(self, key: str, value: str) -> None:
        """Put one more line at the end."""
        self._take(_ended(self._raw, _line(key, value)))

    def remove(self, key: str) -> None:
        """Take out a key, or a group of them (`lxc.net`). An empty value at the end takes back what an included file says."""
        own = [n for n, raw in enumerate(self._raw) if (found := _parse(raw, "", 0)) and key in _names(found.key)]
        self._take(self._without(own))
        if any(key in _names(name) for name, _ in self.items()):
            self._take(_ended(self._raw, f"{key} ="))

    def _own(self, key: str) -> list[int]:
        """The places of a key in this file."""
        return [n for n, raw in enumerate(self._raw) if (found := _parse(raw, "", 0)) and found.key == key]

    def _without(self, places: list[int]) -> list[str]:
        return [raw for n, raw in enumerate(self._raw) if n not in places]

    def _take(self, raw: list[str]) -> None:
        lines = _expanded("\n".join(raw), self.path)
        self._raw, self._lines = raw, lines


def _names(key: str) -> set[str]:
    """The key, and the groups that it belongs to."""
    found = {key}
    while group := _GROUP.match(key):
        found.add(group[0])
        key = "lxc.net" if group[0].startswith("lxc.net.") else ""
    return found


def _ended(raw: list[str], text: str) -> list[str]:
    """`raw` with one more line at the end, behind a newline."""
    return [*(raw[:-1] if raw[-1] == "" else raw), text, ""]


def _line(key: str, value: str) -> str:
    """The line that is read as this key and this value."""
    if not re.fullmatch(r"lxc\.[^\s=]+", key):
        raise InvalidOption(f"{key!r} is no key", cure="lxc.container.conf(5) lists them")
    if "\n" in value or "\0" in value:
        raise InvalidOption(f"{key}: a value is one line, without NUL")
    bare = value.strip(_BLANK) == value and _unquoted(value) == value
    return f"{key} = {value}".rstrip() if bare else f'{key} = "{value}"'


# --- reading --------------------------------------------------------------------------------------------------------


def _unquoted(value: str) -> str:
    """Without the quotes around all of it. Others are a part of the value."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _parse(raw: str, file: str, number: int) -> Line | None:
    """One line; None for a comment and for an empty one."""
    if len(raw) > LENGTH:
        raise InvalidOption(f"{file}:{number}: the line is longer than {LENGTH} characters")
    if "\0" in raw:
        raise InvalidOption(f"{file}:{number}: there is a NUL byte", condition="this is no text")
    text = raw.strip(_BLANK)
    if not text or text[0] == "#":
        return None
    if not text.startswith("lxc."):
        return Line("", text, file, number)
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidOption(f"{file}:{number}: {text!r} has no '='", cure=f"write {text} = VALUE, or a '#' in front")
    return Line(key.rstrip(_BLANK), _unquoted(value.lstrip(_BLANK)), file, number)


def _expanded(text: str, path: str) -> tuple[Line, ...]:
    found: list[Line] = []
    for line in _read(text, path, (os.path.realpath(path),), itertools.count(1)):
        if len(found) == LINES:
            raise InvalidOption(f"{line.where}: these are more than {LINES} lines, with those of included files")
        found.append(line)
    return tuple(found)


def _read(text: str, path: str, above: tuple[str, ...], files: Iterator[int]) -> Iterator[Line]:
    """The lines of a file and of those it includes; `above` are the files that are being read, `files` counts all."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = _parse(raw, path, number)
        if line:
            yield line
        if line and line.key == "lxc.include" and line.value:
            for file, content in _included(line):
                real = os.path.realpath(file)
                if real in above:
                    raise InvalidOption(f"{line.where}: {file} includes itself", condition=f"by way of {path}")
                if len(above) > DEPTH or next(files) > FILES:
                    raise InvalidOption(f"{line.where}: files include one another more than {DEPTH} deep or {FILES} times")
                yield from _read(content, file, (*above, real), files)


def _included(line: Line) -> Iterator[tuple[str, str]]:
    """The file that an lxc.include names, or those of a folder that end in .conf, by name; each with its text."""
    named = path = os.path.join(os.path.dirname(line.file), line.value)
    try:
        if not os.path.isdir(named) and not named.endswith("/"):
            yield path, disk.read_text(path)
            return
        for name in sorted(os.listdir(named)):
            if name.endswith(".conf") and name != ".conf":
                path = os.path.join(named, name)
                yield path, disk.read_text(path)
    except OSError as error:
        # A folder may be missing, as for LXC; and LXC's own files, where it is not installed.
        if error.errno != errno.ENOENT or not (named.endswith("/") or named.startswith(LXCS_OWN)):
            raise InvalidOption(f"{line.where}: {path} can't be included", condition=error.strerror or "") from None
