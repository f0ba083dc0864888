"""Which cell of the notebook runs, and which pictures it has shown: they are closed when the same cell runs again.

Known from `%load_ext` on. Of pictures it loads nothing: they come here when they are shown.
"""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sandbox import SandboxError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

#: Seconds that the end of a cell may wait for still pictures. Those that are not ready then come later.
PATIENCE = 3.0


class Picture(Protocol):
    """What is asked of a picture."""

    def catch_up(self) -> None: ...
    def redraw(self) -> None: ...
    def close(self) -> None: ...


class Cells:
    """Whether a cell is being executed right now, and whose picture is whose."""

    def __init__(self) -> None:
        self.running = False
        self._current = ""  # the identity of the cell that runs; "" where the front end does not tell it
        self._shown: list[tuple[str, Picture]] = []

    def follow(self, shell: "InteractiveShell") -> None:
        """Begin to know it. Whoever loads the extension is in a cell."""
        self.running = True
        shell.events.register("pre_run_cell", self._begun)
        shell.events.register("post_run_cell", self._ended)

    def leave(self, shell: "InteractiveShell") -> None:
        """Take it back."""
        shell.events.unregister("pre_run_cell", self._begun)
        shell.events.unregister("post_run_cell", self._ended)
        self.running = False

    def show(self, picture: Picture) -> None:
        """A picture was shown: it belongs to the cell that runs now."""
        self.forget(picture)
        self._shown.append((self._current, picture))

    def forget(self, picture: Picture) -> None:
        """A picture was closed."""
        self._shown = [(cell, each) for cell, each in self._shown if each is not picture]

    def _begun(self, info: "ExecutionInfo") -> None:
        self.running, self._current = True, info.cell_id or ""
        for cell, picture in self._shown[:]:
            if cell and cell == self._current:
                with suppress(SandboxError):  # or a launcher that is lost would keep the cell's other pictures open
                    picture.close()

    def _ended(self, result: "ExecutionResult") -> None:
        """The notebook may be saved from now on, or its kernel ended: the still pictures have to show how things are."""
        self.running = False
        if self._shown:
            from .pictures.ticker import ticker

            end = time.monotonic() + PATIENCE
            for _, picture in self._shown:
                ticker.post(picture.catch_up)
            ticker.flush(PATIENCE)
            for _, picture in self._shown[:]:
                if time.monotonic() < end:
                    picture.redraw()


cells = Cells()
