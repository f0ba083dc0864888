"""Which magics there are, and how they come into the shell and leave it."""

import functools
import importlib
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import sandbox
from sandbox import SandboxError

from . import maps, showing
from .card import show_error
from .container_magic import Session
from .lxc_magics import container_logs, lxc
from .timeline_magic import timeline

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: What a cell does in a way of its own, since LXC's needs a keyboard: the module that does it, and the name in there.
OWN_WAY = {
    "lxc-console": ("consoles", "console"),
    "lxc-start": ("booting", "start"),
    "lxc-top": ("cgroups_magic", "top"),
}
#: Magics that may have a text below their line.
WITH_A_CELL = ("lxc_console",)


def register(shell: "InteractiveShell") -> None:
    """Give the shell all magics, and show errors of ours as cards."""
    session = Session(shell)
    add = shell.magics_manager.register_function
    add(session.container, "cell", "container")
    for name, command in line_magics().items():
        magic = functools.partial(command, session)
        magic.__doc__ = command.__doc__
        add(magic, "line_cell" if name in WITH_A_CELL else "line", name)
    showing.register(shell)
    shell.input_transformers_cleanup.append(_even_without_a_body)
    shell.set_custom_exc((SandboxError,), show_error)  # type: ignore[no-untyped-call]


def line_magics() -> dict[str, Callable[..., None]]:
    """Every line magic: its name, and what it does."""
    return {
        "cgroups": cgroups,
        "container_logs": container_logs,
        "namespaces": maps.namespaces,
        "networks": maps.networks,
        "sandbox": shell_command,
        "timeline": timeline,
        **{name.replace("-", "_"): _lxc(name) for name in sandbox.lxc.commands.COMMANDS},
    }


def cgroups(session: Session, line: str) -> None:
    """What containers use, live, with their limits: `%cgroups [NAME …]`. Without a name: all that run."""
    from . import cgroups_magic

    cgroups_magic.cgroups(session, line)


def shell_command(session: Session, line: str) -> None:
    """The shell's command, as from a terminal: `%sandbox ps -a`, `%sandbox network ls`; `%sandbox --help` lists all."""
    session.shell.system(f"{shlex.quote(sys.executable)} -m sandbox {line}")  # type: ignore[no-untyped-call]


def _lxc(name: str) -> Callable[..., None]:
    def magic(session: Session, line: str, *cell: str) -> None:
        if name not in OWN_WAY:
            return lxc(session, name, line)
        module, does = OWN_WAY[name]
        getattr(importlib.import_module(f".{module}", __package__), does)(session, name, line, *cell)

    magic.__doc__ = f"LXC's {name}: `%{name.replace('-', '_')} --help` shows its options."
    return magic


def unregister(shell: "InteractiveShell") -> None:
    """Take all of it back."""
    magics = shell.magics_manager.magics
    magics["cell"].pop("container", None)
    for name in line_magics():
        magics["line"].pop(name, None)
        magics["cell"].pop(name, None)
    showing.unregister(shell)
    if _even_without_a_body in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_even_without_a_body)
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call]


def _even_without_a_body(lines: list[str]) -> list[str]:
    """Let `%%container --help` reach us: IPython itself refuses a cell magic with nothing below it."""
    return [*lines, "\n"] if len(lines) == 1 and lines[0].startswith("%%container") else lines
