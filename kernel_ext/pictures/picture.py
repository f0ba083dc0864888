"""What all pictures have in common: the widget, the still picture in front of it, the text, and the talk with the page.

A notebook that is exported, downloaded, or opened again without its kernel can't show a widget. So each picture is two
outputs: first an HTML figure with a PNG and its description, then the widget; while that lives, its style hides the figure.
"""

import base64
import html
import io
import os
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import display, publish_display_data

from sandbox import SandboxError

from ..card import Card, mistake
from ..untrusted import visible
from .ticker import ticker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JS = Path(__file__).parent / "js"
#: So many frames may be on their way before the page has answered for the first of them.
AHEAD = 3
#: Seconds without a change after which the still picture is made anew.
QUIET = 1.0
#: Seconds after which a page that does not answer is sent another frame, to see whether it is back.
PROBE = 5.0


class Picture(anywidget.AnyWidget):
    """One picture. A subclass names its `script`, and says what it shows as `text`, as `figure` and as `data`."""

    #: Its part of the page: a file in js/, without ".js"; with a style sheet of the same name where there is one.
    script: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()  # further files that go in front of it

    title = traitlets.Unicode().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)  # what is drawn, as JSON types
    notice = traitlets.Unicode().tag(sync=True)  # what went wrong, in a sentence

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "script" not in vars(cls):  # traitlets makes a class of its own for each widget
            return
        # A module that the browser gets as text can import no other by name: what all share goes in front.
        cls._esm = "\n".join((JS / f"{name}.js").read_text() for name in ("shared", *cls.parts, cls.script))
        sheets = [JS / f"{name}.css" for name in ("shared", cls.script)]
        cls._css = "\n".join(sheet.read_text() for sheet in sheets if sheet.exists())

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._place = f"sandbox-{os.urandom(8).hex()}"
        self._shown = False
        self._changes = 0  # how often the still picture was out of date
        self._frames = threading.Lock()
        self._sent = self._seen = 0  # frames, and those that a page has answered for
        self._last = 0.0  # when the last frame went
        self.on_msg(self._heard)
        _cells.follow()

    # --- what a subclass says ----------------------------------------------------------------------------------------

    def text(self) -> str:
        """All that the picture shows, as text: for print(), for a screen reader, for a terminal."""
        raise NotImplementedError

    def figure(self) -> "Figure":
        """The still picture. A `Figure` of its own: pyplot keeps what it makes, and knows one thread only."""
        raise NotImplementedError

    def summary(self) -> str:
        """What there is to see, in a sentence or two: the description of the still picture."""
        raise NotImplementedError

    def heard(self, message: dict[str, Any]) -> object:
        """Do what a page asked for; what is returned goes back to it. On the ticker's thread: it may take some time.

        A SandboxError is shown in the picture.
        """
        raise NotImplementedError

    # --- to be seen --------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return visible(self.text())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}>"

    def _ipython_display_(self) -> None:
        """Show it: the still picture, then the widget. In a terminal, the text."""
        if getattr(get_ipython(), "kernel", None) is None:
            print(self)
            return
        publish_display_data(self._still(), transient={"display_id": self._place})  # type: ignore[no-untyped-call]
        self._shown = True
        data, metadata = self._repr_mimebundle_() or ({}, {})
        display({**data, "text/plain": repr(self)}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def refresh(self) -> None:
        """Make the still picture anew, when nothing has changed for a moment."""
        if self._shown:
            self._changes += 1
            number = self._changes
            ticker.later(QUIET, lambda: self._redraw(number))

    def _redraw(self, number: int) -> None:
        """Do it, unless it is out of date again."""
        if number == self._changes:
            # Not in the ticker's thread: it takes as long as many frames. No daemon: who draws must not be torn off at exit.
            threading.Thread(target=self._replace, name=f"still of {self.title}").start()

    def _replace(self) -> None:
        publish_display_data(self._still(), transient={"display_id": self._place}, update=True)  # type: ignore[no-untyped-call]

    def _still(self) -> dict[str, str]:
        drawn = io.BytesIO()
        with warnings.catch_warnings():  # a name may have letters that matplotlib's font has not: a box stands for each
            warnings.filterwarnings("ignore", "Glyph .* missing")
            self.figure().savefig(drawn, format="png", dpi=110)
        picture = base64.b64encode(drawn.getvalue()).decode()
        title, summary, text = (html.escape(visible(part)) for part in (self.title, self.summary(), self.text()))
        return {
            "text/plain": str(self),
            "text/html": (
                f'<figure class="sandbox-still" style="margin: 0"><img src="data:image/png;base64,{picture}" '
                f'alt="{title}: {summary}" style="max-width: 100%"><figcaption>{title}. {summary}'
                f'<details><summary>as text</summary><pre style="white-space: pre; overflow-x: auto">{text}</pre></details>'
                "</figcaption></figure>"
            ),
        }

    # --- the talk with the page --------------------------------------------------------------------------------------

    def frame(self, content: dict[str, Any]) -> bool:
        """Send the page the next frame of something that moves; False: it was left out, for the page does not keep up.

        While a cell runs, Jupyter may hold the page's answers back until its end. So then they are not waited for.
        """
        with self._frames:
            now = time.monotonic()
            if self._sent - self._seen >= AHEAD and not _cells.running and now - self._last < PROBE:
                return False
            self._sent, self._last = self._sent + 1, now
            number = self._sent
        self.send({"do": "frame", "number": number, **content})
        return True

    def _heard(self, widget: object, message: Any, buffers: object) -> None:
        """A message from a page, on any thread: it is only noted down."""
        if not isinstance(message, dict):
            return
        if message.get("do") == "seen":
            with self._frames:
                self._seen = self._sent  # of several pages one that keeps up is enough
            return
        ticker.post(lambda: self._obey(message))

    def _obey(self, message: dict[str, Any]) -> None:
        said = None
        try:
            said = self.heard(message)
            self.notice = ""
        except SandboxError as error:
            self.notice = str(Card.of(error))
        except Exception as error:  # or the page would wait for its answer for ever
            self.notice = str(Card.of(mistake(error)))
        self.send({"do": "done", "number": message.get("number"), "said": said, "notice": self.notice})


class _Cells:
    """Whether a cell is being executed right now, known from the first picture on."""

    def __init__(self) -> None:
        self.running = False
        self._followed = False

    def follow(self) -> None:
        """Begin to know it. Whoever makes the first picture is in a cell."""
        shell = get_ipython()
        if shell is not None and not self._followed:
            self._followed = self.running = True
            shell.events.register("pre_run_cell", self._begun)
            shell.events.register("post_run_cell", self._ended)

    def _begun(self, info: object) -> None:
        self.running = True

    def _ended(self, result: object) -> None:
        self.running = False


_cells = _Cells()
