"""How LXC's commands read their words: as getopt_long(3) does, which argparse does not quite; and their help, in LXC's layout.

Options and other words come in any order until "--"; a long option may be cut short as long as it is the only one; a letter's
value may touch it (-nNAME); after an option that needs a value, the next word is its value, whatever it looks like; a value
that may be left out (nargs="?") must touch its option (-sALL, --nesting=3).
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ...errors import InvalidOption

#: The version of LXC whose words these are; scripts ask for it.
SPOKEN = "5.0.2"


class Parser(argparse.ArgumentParser):
    """A parser of one command; its own options are added with `add_argument`."""

    def __init__(self, name: str, usage: str, purpose: str, common: bool = True) -> None:
        # With a width of its own, the formatter that checks each argument does not load shutil to ask for the terminal's.
        narrow = functools.partial(argparse.HelpFormatter, width=80)
        super().__init__(
            prog=name, usage=usage, description=purpose, add_help=False, formatter_class=narrow, conflict_handler="resolve"
        )  # lxc-clone has a -o and a -n of its own
        self.common = common
        #: Those that are not the command's own.
        self._shared: list[argparse.Action] = []
        if common:
            self._shared = [
                self.add_argument("-o", "--logfile", metavar="FILE", help="also write errors to FILE"),
                self.add_argument("-l", "--logpriority", metavar="LEVEL", help="set log priority to LEVEL"),
                self.add_argument("-q", "--quiet", action="store_true", help="don't produce any output"),
                self.add_argument("-P", "--lxcpath", metavar="PATH", help="use the containers in PATH"),
                self.add_argument("-n", "--name", metavar="NAME", help="NAME of the container"),
                self.add_argument("--rcfile", metavar="FILE", help="load configuration file FILE"),
            ]
        for names, help in ((("-?", "-h", "--help"), "give this help list"), (("--usage",), "give a short usage message"),
                            (("--version",), "print the version number")):  # fmt: skip
            action = self.add_argument(*names, dest="answer", action="store_const", const=names[-1], default="", help=help)
            self._shared.append(action)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The options that the words give, the other words as `words`, and as `answer` the help if it is asked for.

        Raises:
            InvalidOption: an option that there is not, or a value that is missing, or makes no sense.
        """
        found = argparse.Namespace(name=None, quiet=False, logfile=None, words=[])  # of a command without common options, too
        vars(found).update({action.dest: action.default for action in self._actions})
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                found.words += rest
                break
            if word.startswith("--"):
                option, equals, value = word.partition("=")
                self._take(found, self._long(option), value if equals else None, rest)
            elif word.startswith("-") and word != "-":
                self._letters(found, word[1:], rest)
            else:
                found.words.append(word)
        answers: dict[str, Callable[[], str]] = {
            "--help": self.format_help, "--usage": self.format_usage, "--version": lambda: SPOKEN
        }  # fmt: skip
        found.answer = answers[found.answer]() if found.answer else ""
        return found

    def refuse(self, what: str) -> NoReturn:
        """Raises InvalidOption."""
        raise InvalidOption(what, cure=f"{self.prog} --help")

    def _letters(self, found: argparse.Namespace, letters: str, rest: list[str]) -> None:
        """One word of letters, of which the last may have a value."""
        while letters:
            option, letters = f"-{letters[0]}", letters[1:]
            if option not in self._option_string_actions:
                self.refuse(f"invalid option -- '{option[1]}'")
            touching = None
            if self._option_string_actions[option].nargs != 0 and letters:
                touching, letters = letters, ""
            self._take(found, option, touching, rest)

    def _long(self, word: str) -> str:
        """The option that is meant by the beginning of its name."""
        if word in self._option_string_actions:
            return word
        meant = [name for name in self._option_string_actions if name.startswith(word)]
        if len({id(self._option_string_actions[name]) for name in meant}) == 1:
            return meant[0]
        what = f"option '{word}' is ambiguous; possibilities: {' '.join(meant)}" if meant else f"unrecognized option '{word}'"
        self.refuse(what)

    def _take(self, found: argparse.Namespace, option: str, value: str | None, rest: list[str]) -> None:
        action = self._option_string_actions[option]
        if action.nargs == 0:
            if value is not None:
                self.refuse(f"option '{option}' doesn't allow an argument")
            action(self, found, [], option)
            return
        if value is None and action.nargs == "?":
            action(self, found, action.const, option)
            return
        if value is None and not rest:
            self.refuse(f"option requires an argument -- '{option.lstrip('-')}'")
        text = rest.pop(0) if value is None else value
        try:
            meant: Any = action.type(text) if callable(action.type) else text
        except ValueError:
            self.refuse(f"invalid value {text!r} for option '{option}'")
        if action.choices is not None and meant not in action.choices:
            what = f"option '{option}' takes {', '.join(map(str, action.choices))}, not {text!r}"
            self.refuse(what)
        action(self, found, meant, option)

    def format_usage(self) -> str:
        """All options in brackets, as LXC's --usage has them."""
        shown = [f"[{'|'.join(action.option_strings)}{_value(action)}]" for action in self._actions]
        lines = (" ".join(shown[start : start + 4]) for start in range(0, len(shown), 4))
        return f"Usage: {self.prog} " + "\n\t".join(lines)

    def format_help(self) -> str:
        """What --help shows: first the command's own options, then those of all."""
        own = [action for action in self._actions if action not in self._shared]
        parts = [f"Usage: {self.prog} {self.usage}", f"{self.prog} {self.description}"]
        if own:
            parts.append("\n".join(["Options :", *map(_line, own)]))
        parts.append("\n".join(["Common options :", *map(_line, (a for a in self._shared if a in self._actions))]))
        return "\n\n".join(parts)


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    shown = action.metavar or action.dest.upper()
    return f"[={shown}]" if action.nargs == "?" else f"={shown}"


def _line(action: argparse.Action) -> str:
    """The option, and what it does; lines after the first stand below each other."""
    names = ", ".join(action.option_strings)
    left = f"  {names if names[:2] != '--' else f'    {names}'}{_value(action)}"
    first, *others = (action.help or "").splitlines() or [""]
    return "\n".join([f"{left:32} {first}", *(f"{'':32} {line}" for line in others)])
