"""A card: what happened, why, and what to do, as HTML and as text. And how an error becomes one, without a traceback."""

import html
import os
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from IPython.display import publish_display_data

from sandbox import SandboxError

from .untrusted import visible

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Jupyter's own colours, by the kind of a card, each with what it is where there is no theme.
_COLOURS = {"error": "var(--jp-error-color1, #d32f2f)", "warning": "var(--jp-warn-color1, #f57c00)",
            "note": "var(--jp-info-color1, #1976d2)"}  # fmt: skip

# An error is sent twice: as this card, and as the kernel's error message, which tools read. A browser shows the first only.
_HIDE_TWIN = (
    "<style>.jp-OutputArea-child:has(> .jp-OutputArea-output .sandbox-card-error) + .jp-OutputArea-child "
    "{display: none}</style>"
)


@dataclass(frozen=True)
class Card:
    """A few lines in a frame. All of it is text: nothing in it is taken for HTML or for an escape sequence."""

    what: str
    why: str = ""
    cure: str = ""
    kind: str = "note"  # or "warning", or "error"

    @classmethod
    def of(cls, error: SandboxError) -> Self:
        """The card of an error."""
        return cls(error.message, error.condition, error.cure, "error")

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return visible(f"{self.what}{why}" + (f"\n  → {self.cure}" if self.cure else ""))

    def show(self, place: str = "", *, update: bool = False) -> None:
        """Show it in the cell; with `update`, instead of the card that was shown before under the name `place`."""
        data = {"text/plain": str(self), "text/html": self.html()}
        named = {"display_id": place} if place else {}
        publish_display_data(data, transient=named, update=update)  # type: ignore[no-untyped-call]

    def html(self) -> str:
        """It, as HTML."""

        def line(text: str, style: str) -> str:
            return f'<div style="white-space: pre-wrap; {style}">{html.escape(visible(text))}</div>' if text else ""

        frame = f"border-left: 4px solid {_COLOURS[self.kind]}; padding: 0.3em 0.8em; margin: 0.2em 0"
        role = "alert" if self.kind == "error" else "status"
        body = line(self.what, "font-weight: 600") + line(self.why, "") + line(self.cure and f"→ {self.cure}", "")
        twin = _HIDE_TWIN if self.kind == "error" else ""
        return f'<div class="sandbox-card-{self.kind}" role="{role}" style="{frame}">{body}</div>{twin}'


def mistake(error: Exception) -> SandboxError:
    """An error that is no refusal, and so is ours, told where there is no cell that could show its traceback."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}, line {place.tb_lineno}" if place else ""
    cure = "this is a mistake of ours: please report it"
    return SandboxError(f"{type(error).__name__}: {error}", condition=where, cure=cure)


def show_error(shell: "InteractiveShell", kind: type[SandboxError], error: SandboxError, traceback: TracebackType,
               tb_offset: int | None = None) -> list[str]:  # fmt: skip
    """Show a SandboxError as one card. The cell counts as failed, for IPython and for all who run notebooks."""
    error.message, error.condition, error.cure = map(visible, (error.message, error.condition, error.cure))
    lines = [f"\x1b[1;31m{kind.__name__}\x1b[0m: {error}"]
    if getattr(shell, "kernel", None) is not None:  # in a terminal the lines below are the card
        Card.of(error).show()
    shell._showtraceback(kind, error, lines)
    return lines
