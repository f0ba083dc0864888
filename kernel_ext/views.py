"""How a terminal is shown in the notebook: as one, or where that is not possible as a dialogue line by line."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import sandbox
from sandbox import NotPossibleHere

from .card import Card

if TYPE_CHECKING:
    from collections.abc import Callable

    from .pump import Pump, View

    Begin = Callable[[View], Pump]

#: The terminal's browser half, which `make terminal` builds.
BUNDLE = Path(__file__).parent / "static" / "terminal.js"


def need_widgets(elsewhere: str) -> None:
    """Raises NotPossibleHere, with the command for a terminal, where a notebook has no widgets."""
    if importlib.util.find_spec("ipywidgets") is None:
        cure = f"pip install ipywidgets anywidget; or in a terminal: {elsewhere}"
        raise NotPossibleHere("this needs ipywidgets in a cell", cure=cure)


def open_terminal(job: sandbox.Job, title: str, elsewhere: str) -> None:
    """A terminal for a job, which ends with it."""
    try:
        need_widgets(elsewhere)
        shown = sandbox.console.opened(job)
    except sandbox.SandboxError:
        job.abandon()
        raise

    def begin(view: "View") -> "Pump":
        from .pump import Pump

        return Pump(job, view, first=shown, ours=True)

    view_of(begin, title, f"The same in a terminal: `{elsewhere}`")


def view_of(
    begin: "Begin", title: str, hint: str, again: "Begin | None" = None, keys: str = "", dialogue: bool = False
) -> "View":
    """A terminal; or a dialogue line by line, where that is wanted, or nothing else is possible.

    `again` attaches once more to what was left, which `keys` does in a terminal.
    """
    missing = importlib.util.find_spec("anywidget") is None
    if not dialogue and not missing and BUNDLE.exists():
        from .terminal_view import TerminalView

        return TerminalView(begin, again, title=title, hint=f"{keys} leaves it. {hint}" if keys else hint)
    if not dialogue:
        why, cure = ("anywidget is missing", "pip install anywidget") if missing else ("it was not built", "make terminal")
        Card("line by line: there is no terminal for the browser here", why, cure).show()
    from .dialogue import DialogueView

    return DialogueView(begin, title, hint)
