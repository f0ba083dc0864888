"""`sandbox …`: one program, two doors. `front` has Docker's words; LXC's are `sandbox lxc-info …`, or a link to this program
that is named `lxc-info`. Only the door that is used is loaded: a shell waits for it at every command.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do what the words say; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    called = os.path.basename(sys.argv[0])
    if argv is None and called.startswith("lxc-"):
        words.insert(0, called)
    if not (words and words[0].startswith("lxc-")):
        return do(words)
    from . import knock

    code = knock.ask(words)
    if code is None:
        code = do(words)
        if knock.is_short(words):
            knock.call()
    return code


def do(words: "list[str]") -> int:
    """Do it in this process."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal may know ASCII only
    if words and words[0].startswith("lxc-"):
        from ..lxc import commands

        return commands.main(words[0], words[1:])
    from . import front

    return front.main(words)
