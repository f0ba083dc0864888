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
from ..cells import cells
from ..untrusted import visible
from .ticker import ticker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JS = Path(__file__).parent / "js"
#: So many frames may be on their way before the page has answered for the first of them.
AHEAD = 3
#: Seconds after a change in which others may follow, before the still picture is made anew.
QUIET = 1.0
#: A still picture takes this part of the time at most: the last one took so long, so the next one waits.
SHARE = 0.1
#: Seconds after which a page that does not answer is sent another frame, to see whether it is back.
PROBE = 5.0
#: Seconds without an answer after which a page is taken for gone, also while a cell runs, if it was heard during one before.
GONE = 30.0


class Picture(anywidget.AnyWidget):
    """One picture. A subclass names its `script`, and says what it shows as `text`, as `figure` and as `data`."""

    #: Its part of the page: a file in js/, without ".js"; with a style sheet of the same name where there is one.
    script: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()  # further files that go in front of it
    closed = False

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
        self._shown = self._stale = False  # stale: the still picture is out of date
        self._drawing = threading.Lock()
        self._drawn = self._took = 0.0  # when the still picture was made, and the seconds that this took
        self._frames = threading.Lock()
        self._sent = self._seen = 0  # frames, and those that a page has answered for
        self._last = self._answered = 0.0  # when the last frame went, and the last answer came
        self._prompt = False  # an answer came while a cell ran: here they are not held back until its end
        self.on_msg(self._heard)

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

    def catch_up(self) -> None:
        """Look once more, and `refresh` if something is different: a cell has ended. On the ticker's thread."""

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
        self._publish(update=False)
        self._shown = True
        cells.show(self)
        data, metadata = self._repr_mimebundle_() or ({}, {})
        display({**data, "text/plain": repr(self)}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End it: nothing of it moves any more, and no page shows it. What it showed stays as it is.

        Called when its cell runs again, and by ipywidgets. A subclass stops here what it has begun.
        """
        if not self.closed:
            self.closed, self._shown = True, False
            cells.forget(self)
            self.layout.close()  # a widget of its own, which ipywidgets leaves open
        super().close()

    def refresh(self) -> None:
        """Make the still picture anew: soon, but not all the time, and in any case before the cell that runs now has ended."""
        if self._shown and not self._stale:
            self._stale = True
            rest = self._drawn + self._took / SHARE - time.monotonic()
            # Not in the ticker's thread: it takes as long as many frames. No daemon: who draws must not be torn off at exit.
            drawer = threading.Thread(target=self.redraw, name=f"still of {self.title}")
            ticker.later(max(QUIET, rest), drawer.start)

    def is_older(self, seconds: float) -> bool:
        """Whether the still picture was made longer ago than that, and than its share of the time asks for."""
        return time.monotonic() - self._drawn > max(seconds, self._took / SHARE)

    def redraw(self) -> None:
        """Do it now, unless that was done meanwhile."""
        with self._drawing:
            if self._stale and self._shown:
                self._stale = False
                self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        begun = time.monotonic()
        publish_display_data(self._still(), transient={"display_id": self._place}, update=update)  # type: ignore[no-untyped-call]
        self._drawn = time.monotonic()
        self._took = self._drawn - begun

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

        While a cell runs, an older Jupyter holds the page's answers back until its end. So then they are not waited for,
        unless one came in such a time and none since.
        """
        with self._frames:
            now = time.monotonic()
            held_back = cells.running and not (self._prompt and now - self._answered > GONE)
            if self._sent - self._seen >= AHEAD and not held_back and now - self._last < PROBE:
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
                self._answered = time.monotonic()
                self._prompt = self._prompt or cells.running
            return
        self.send({"do": "taken", "number": message.get("number")})  # so it is no running cell that it waits for
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
