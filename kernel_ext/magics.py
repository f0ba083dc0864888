"""Which magics there are, and how they come into the shell and leave it."""

import functools
from typing import TYPE_CHECKING

from sandbox import SandboxError

from .card import show_error
from .container_magic import Session
from .lxc_magics import COMMANDS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: "InteractiveShell") -> None:
    """Give the shell all magics, and show errors of ours as cards."""
    session = Session(shell)
    add = shell.magics_manager.register_function
    add(session.container, "cell", "container")
    for name, command in COMMANDS.items():
        magic = functools.partial(command, session)
        magic.__doc__ = command.__doc__
        add(magic, "line", name)
    shell.input_transformers_cleanup.append(_even_without_a_body)
    shell.set_custom_exc((SandboxError,), show_error)  # type: ignore[no-untyped-call]


def unregister(shell: "InteractiveShell") -> None:
    """Take all of it back."""
    magics = shell.magics_manager.magics
    magics["cell"].pop("container", None)
    for name in COMMANDS:
        magics["line"].pop(name, None)
    if _even_without_a_body in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_even_without_a_body)
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call]


def _even_without_a_body(lines: list[str]) -> list[str]:
    """Let `%%container --help` reach us: IPython itself refuses a cell magic with nothing below it."""
    return [*lines, "\n"] if len(lines) == 1 and lines[0].startswith("%%container") else lines
