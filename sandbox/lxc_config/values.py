"""What one value may look like in LXC's format. Each reader raises InvalidOption; keys.py puts the line in front."""

import posixpath
import re
import signal

from ..errors import InvalidOption

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def whole(value: str, least: int, most: int) -> int:
    """A whole number in these bounds."""
    if not re.fullmatch(r"-?[0-9]{1,19}", value) or not least <= int(value) <= most:
        raise InvalidOption(f"{value!r} is no whole number from {least} to {most}")
    return int(value)


def flag(value: str) -> bool:
    """0 or 1."""
    return bool(whole(value, 0, 1))


def size(value: str) -> int | None:
    """Bytes, with K, M, G or T in powers of 1024, as control files take them; None for "max" and "-1": no limit."""
    if value in ("max", "-1"):
        return None
    found = re.fullmatch(r"([0-9]{1,19})([kmgt]?)b?", value, re.IGNORECASE)
    if not found or int(found[1]) << _UNITS[found[2].lower()] >= 1 << 63:
        raise InvalidOption(f"{value!r} is no size", cure="write a number of bytes, 512M, 2G or max")
    return int(found[1]) << _UNITS[found[2].lower()]


def signal_number(value: str) -> int:
    """A signal as LXC takes it: 15, SIGTERM, SIGRTMIN+3, SIGRTMAX-2. signal(7)"""
    found = re.fullmatch(r"([0-9]{1,2})|(SIG[A-Z0-9]+?)(?:(?<=RTMIN)\+([0-9]{1,2})|(?<=RTMAX)-([0-9]{1,2}))?", value.upper())
    if found:
        number, name, up, down = found.groups()
        named = signal.Signals.__members__.get(name, 0) if name else int(number)
        chosen = int(named) + int(up or 0) - int(down or 0)
        if named and chosen in signal.valid_signals() and (not (up or down) or signal.SIGRTMIN <= chosen <= signal.SIGRTMAX):
            return chosen
    raise InvalidOption(f"{value!r} is no signal", cure="write SIGPWR, SIGRTMIN+3 or a number, see `kill -L`")


def command(value: str) -> tuple[str, ...]:
    """A program and its arguments; quotes hold an argument together."""
    import shlex  # rarely needed: most configurations name a program alone

    if not set(value) & set("\"'\\"):
        return tuple(value.split())
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise InvalidOption(f"{value!r} is no command", condition=str(error).lower()) from None


def path(value: str) -> str:
    """An absolute path, normalised."""
    if not value.startswith("/"):
        raise InvalidOption(f"{value!r} is not absolute", cure="begin it with '/'")
    return "/" + posixpath.normpath(value).lstrip("/")
