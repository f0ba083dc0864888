"""What the maps have in common: they can look again, once or all the time, and do not when nobody could keep up."""

import time
from typing import Any, ClassVar

from .picture import PROBE, Picture
from .ticker import ticker


class MovingPicture(Picture):
    """A picture of something that is read anew again and again while it is live, in no more than a tenth of a core."""

    #: Seconds between two looks, at least.
    EVERY: ClassVar[float] = 1.0

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._round = 0  # a newer one ends those before it

    def look(self) -> dict[str, Any]:
        """Look again; returns the content of a frame."""
        raise NotImplementedError

    def go_live(self, on: bool) -> None:
        """Begin to look all the time, or stop; then the still picture shows what was seen last."""
        self._round += 1
        if on:
            self._next(self._round)
        else:
            self.refresh()

    def _next(self, number: int) -> None:
        if number != self._round or self.closed:
            return
        begun = time.monotonic()
        kept_up = self.frame(self.look())
        took = time.monotonic() - begun
        ticker.later(max(self.EVERY if kept_up else PROBE, 10 * took) - took, lambda: self._next(number))
