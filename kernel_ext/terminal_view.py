"""A terminal in the notebook: the kernel's half of kernel_ext/terminal/terminal.js, and the still picture beside it.

The still is an output of its own, in front of the terminal: a notebook that is exported, downloaded, or opened again without
its kernel shows that. While the terminal lives, its style sheet hides the still.
"""

import html
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display, publish_display_data

from sandbox import SandboxError, console

from .pump import Pump
from .untrusted import visible

BUILT = Path(__file__).parent / "static"
#: Bytes of what was shown that a page gets when it opens.
HISTORY = 1 << 17
#: Lines of the still before a browser has said what its screen looks like.
LINES = 24


class TerminalView(anywidget.AnyWidget):
    """A terminal in the browser. `begin` connects it with a job, and `again`, where there is one, when somebody asks for that.

    `hint` is the line below it, with commands in `backticks`.
    """

    _esm = BUILT / "terminal.js"
    _css = BUILT / "terminal.css"
    title = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    returns = traitlets.Bool(False).tag(sync=True)  # whether it can be left and attached again
    attached = traitlets.Bool(True).tag(sync=True)
    state = traitlets.Unicode().tag(sync=True)  # why it is not attached

    def __init__(self, begin: Callable[["TerminalView"], Pump], again: Callable[["TerminalView"], Pump] | None, **traits: Any
                 ) -> None:  # fmt: skip
        super().__init__(returns=again is not None, **traits)
        self._again = again
        self._lock = threading.Lock()
        self._shown = 0  # bytes so far
        self._history = b""
        self._place = f"sandbox-{os.urandom(8).hex()}"
        self.on_msg(self._heard)
        self.pump = begin(self)
        publish_display_data(self._still(), transient={"display_id": self._place})  # type: ignore[no-untyped-call]
        display(self)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"<TerminalView {self.title}>"

    # --- as the pump sees it: pump.View ------------------------------------------------------------------------------

    def show(self, data: bytes) -> int:
        with self._lock:
            self.send({"do": "show", "at": self._shown, "size": len(data)}, [data])
            self._shown += len(data)
            self._history = (self._history + data)[-HISTORY:]
        return len(data)

    def hide_input(self, hidden: bool) -> None:
        """A terminal shows only what comes back: nothing is to be hidden."""

    def left(self, why: str) -> None:
        self.state, self.attached = why, False

    # --- as the browser sees it --------------------------------------------------------------------------------------

    def _heard(self, widget: object, content: dict[str, Any], buffers: object) -> None:
        """A message from a page. It may come on any thread, and all that it does is done at once."""
        match content:
            case {"do": "hello", "view": view}:
                with self._lock:
                    old = {"do": "show", "at": self._shown - len(self._history), "size": len(self._history), "to": view}
                    self.send(old, [self._history])
            case {"do": "type", "text": str(text)}:
                self.pump.type(text.encode("utf-8", "surrogatepass"))
            case {"do": "resize", "rows": int(rows), "columns": int(columns)}:
                self.pump.resize(rows, columns)
            case {"do": "leave"}:
                self.pump.leave()
            case {"do": "again"} if self._again and not self.attached:
                threading.Thread(target=self._attach, args=(self._again,), daemon=True).start()  # it may take a while
            case {"do": "screen", "text": str(text)}:
                publish_display_data(self._still(text), transient={"display_id": self._place}, update=True)  # type: ignore[no-untyped-call]

    def _attach(self, again: Callable[["TerminalView"], Pump]) -> None:
        try:
            self.pump = again(self)
            self.state, self.attached = "", True
        except SandboxError as error:
            self.state = str(error)

    def _still(self, text: str | None = None) -> dict[str, str]:
        """The screen as it is now, as HTML and as text."""
        if text is None:
            text = "\n".join(console.Plain()(self._history, final=True).splitlines()[-LINES:])
        text, title, hint = visible(text), visible(self.title), visible(self.hint)
        screen = "background: #16181d; color: #e6e6e6; padding: 6px; margin: 0; white-space: pre-wrap"
        figure = (
            f'<figure class="sandbox-terminal-still" role="group" aria-label="{html.escape(title)}" style="margin: 0">'
            f'<pre style="{screen}">{html.escape(text)}</pre><figcaption>{html.escape(title)}, as it was last seen. '
            f"{html.escape(hint)}</figcaption></figure>"
        )
        return {"text/html": figure, "text/plain": f"{title}\n{text}\n{hint}"}
