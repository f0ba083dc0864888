"""The parser of a magic's line: argparse, but it raises instead of ending the process, and knows what was meant."""

import argparse
import difflib
import shlex
from typing import NoReturn

from sandbox import InvalidOption


class Parser(argparse.ArgumentParser):
    """The options of one magic; `--help` is among them."""

    def __init__(self, program: str, description: str = "") -> None:
        super().__init__(program, description=description, add_help=False, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
        self.add_argument("-h", "--help", action="store_true", help="show this, and run nothing")

    def error(self, message: str) -> NoReturn:
        raise InvalidOption(f"{self.prog}: {message}", cure=f"`{self.prog} --help` lists the options")

    def parse_line(self, line: str) -> tuple[argparse.Namespace, list[str]]:
        """The options in a line, and the words that belong to none. Raises InvalidOption."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            self.error(f"{str(error).lower()} in {line!r}")
        found, rest = self.parse_known_args(words)
        for word in rest:
            if word.startswith("-"):
                known = [spelling for action in self._actions for spelling in action.option_strings]
                alike = difflib.get_close_matches(word.partition("=")[0], known, 1)
                cure = f"did you mean {alike[0]}?" if alike else f"`{self.prog} --help` lists the options"
                raise InvalidOption(f"{self.prog} has no option {word}", cure=cure)
        return found, rest
