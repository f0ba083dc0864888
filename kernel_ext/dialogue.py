"""A console line by line: where there is no terminal to be shown, a box for a line, and above it what came back."""

import html
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
from IPython.display import display

from sandbox import console

from .pump import Pump
from .untrusted import visible

#: What is typed into the box to leave the console, as in other programs that talk line by line.
LEAVE = "~q"
#: Lines that are shown, and characters in them.
LINES, CHARACTERS = 200, 20_000
#: Seconds for which whoever entered a line is still there: a box that appears within them takes the keyboard.
ATTENTION = 5.0
#: Seconds in which a box's text has come after Enter.
SOON = 0.1
#: The newest line stays in sight: a column that is filled from its end begins there, also when it is scrolled.
_FRAME = "display: flex; flex-direction: column-reverse; max-height: 24em; overflow: auto"
_SCREEN = "background: #16181d; color: #e6e6e6; padding: 6px; margin: 0; white-space: pre-wrap; line-height: 1.3; flex: none"


class DialogueView(ipywidgets.VBox):  # type: ignore[misc]
    """A console in lines; `begin` connects it with a job. A password is typed into a box that does not show it."""

    def __init__(self, begin: Callable[["DialogueView"], Pump], title: str, hint: str) -> None:
        self._plain = console.Plain()
        self._text = ""
        self._lock = threading.Lock()
        self._entered_at = 0.0
        self._title = ipywidgets.HTML(f"<b>{html.escape(title)}</b>")
        self._screen = ipywidgets.HTML()
        self._line = ipywidgets.Text(placeholder=f"a line, and Enter; {LEAVE} leaves", tooltip="a line for the console")
        self._password = ipywidgets.Password(placeholder="it will not be shown; Enter", tooltip="a password for the console")
        for box in (self._line, self._password):
            box.layout.flex, box.continuous_update = "1", False
            box.on_msg(self._entered)
        self._password.layout.display = "none"
        keys = [ipywidgets.Button(description=name, layout=ipywidgets.Layout(width="3em")) for name in ("^C", "^D")]
        for key, byte in zip(keys, (b"\x03", b"\x04"), strict=True):
            key.on_click(lambda button, byte=byte: self.pump.type(byte))
        self._row = ipywidgets.HBox([self._line, self._password, *keys])
        super().__init__([self._title, self._screen, self._row])
        self.pump: Pump = begin(self)
        print(hint.replace("`", ""))
        display(self)  # type: ignore[no-untyped-call]

    # --- as the pump sees it: pump.View ------------------------------------------------------------------------------

    def show(self, data: bytes) -> int:
        with self._lock:
            lines = (self._text + visible(self._plain(data)))[-CHARACTERS:].split("\n")
            self._text = "\n".join(lines[-LINES:])
            self._screen.value = f'<div style="{_FRAME}"><pre style="{_SCREEN}">{html.escape(self._text)}</pre></div>'
            return len(self._screen.value.encode())

    def hide_input(self, hidden: bool) -> None:
        for box, seen in ((self._line, not hidden), (self._password, hidden)):
            box.layout.display = None if seen else "none"
            if seen and time.monotonic() - self._entered_at < ATTENTION:
                box.focus()

    def left(self, why: str) -> None:
        self._row.layout.display = "none"
        self._title.value += f" {html.escape(visible(why))}"

    # --- as the browser sees it --------------------------------------------------------------------------------------

    def _entered(self, box: Any, content: dict[str, Any], buffers: object) -> None:
        """Enter was pressed in one of the boxes; its text comes just after that."""
        if content.get("event") == "submit":
            threading.Timer(SOON, self._take, (box,)).start()

    def _take(self, box: Any) -> None:
        line, box.value = box.value, ""
        self._entered_at = time.monotonic()
        if line.strip() == LEAVE and box is self._line:
            self.pump.leave()
        else:
            self.pump.type(line.encode() + b"\r")
