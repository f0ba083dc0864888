"""Scripts: a text, and the program that runs it. It goes as one argument, so nothing has to be written into the container."""

import os
import posixpath
import re

from .errors import InvalidOption
from .values import text

#: Interpreters, and the option with which each takes a program as an argument.
INTERPRETERS = {
    "sh": "-c", "ash": "-c", "bash": "-c", "dash": "-c", "zsh": "-c", "ksh": "-c", "fish": "-c", "python": "-c",
    "python2": "-c", "python3": "-c", "perl": "-e", "ruby": "-e", "node": "-e", "lua": "-e", "php": "-r",
}  # fmt: skip
#: One argument of execve(2) takes 32 pages, its final NUL included.
LONGEST_ARGUMENT = 32 * os.sysconf("SC_PAGESIZE") - 1


def interpreter(value: object) -> tuple[str, ...]:
    """The words that a script's text follows: "python3", "bash -e", "/usr/bin/env perl" → (…, "-c" or the like)."""
    words = [word for word in text(value).split() if word != "-S"]
    named = words[1:] if words and posixpath.basename(words[0]) in ("env", "busybox") else words
    program = posixpath.basename(named[0]) if named else ""
    option = INTERPRETERS.get(program) or INTERPRETERS.get(re.sub(r"[0-9.]+\Z", "", program))
    if option is None:
        raise InvalidOption(
            f"{value!r} is no interpreter that takes a program as an argument",
            cure=f"use one of: {', '.join(INTERPRETERS)}; or give the script as a file, with --volume",
        )
    return (*words, option)


def script(program: str, by: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The arguments that run a script's text: by this interpreter, or that of its "#!" line, or /bin/sh."""
    if len(os.fsencode(text(program))) > LONGEST_ARGUMENT:
        raise InvalidOption(
            f"the script is longer than {LONGEST_ARGUMENT} bytes, which is all that one argument takes",
            cure="put it into a file, and show it to the container with --volume",
        )
    first = program.split("\n", 1)[0].strip()
    return (*(by or interpreter(first[2:] if first.startswith("#!") else "/bin/sh")), program)
