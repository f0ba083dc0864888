"""`%lxc_top`: the table of lxc-top, renewed as often as it is asked for, and sorted by a click."""

from typing import TYPE_CHECKING, Any

from sandbox import InvalidOption, lxc

from ..untrusted import visible
from .picture import Picture
from .ticker import ticker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMMAND = "lxc-top"


class TopView(Picture):
    """The table in the page. `home` is the shelf, `order` a letter of lxc-top's -s, `delay` the seconds between two looks."""

    script = "top"

    def __init__(self, home: Any, order: str, reverse: bool, delay: float) -> None:
        if delay <= 0:
            raise InvalidOption(f"a delay of {delay:g} seconds?", cure="%lxc_top -d 1")
        super().__init__(title="lxc-top")
        self._top = lxc.commands.module(COMMAND)
        self.home, self.order, self.reverse, self.delay = home, order[:1], reverse, delay
        self.paused = self._going = False
        self._look()
        self._go_on()

    def _go_on(self) -> None:
        self._going = True
        ticker.every(self.delay, self._tick)

    def _tick(self) -> bool:
        self._going = not (self.paused or self.closed)
        # An empty frame asks whether a page still looks: the table itself has to be in `data`, for one that opens later.
        if self._going and self.frame({}):
            self.catch_up()
        return self._going

    def catch_up(self) -> None:
        names = [row.name for row in self.rows]
        if not self.paused:
            self._look()
        if names != [row.name for row in self.rows]:
            self.refresh()

    def _look(self) -> None:
        self.rows = self._top.sample(self.home, self.order, self.reverse)
        above, below, *lines = self._top.table(self.rows)
        self.data = {
            "head": [above, below], "lines": [visible(line) for line in lines], "order": self.order, "paused": self.paused,
        }  # fmt: skip

    def text(self) -> str:
        return "\n".join(self._top.table(self.rows))

    def summary(self) -> str:
        return f"{len(self.rows)} containers run"

    def figure(self) -> "Figure":
        from matplotlib.figure import Figure

        lines = self.text().splitlines()
        made = Figure(figsize=(10, 0.4 + 0.2 * len(lines)))
        made.text(0.01, 0.97, visible("\n".join(lines)), family="monospace", size=7, va="top")
        return made

    def heard(self, message: dict[str, Any]) -> None:
        match message:
            case {"do": "sort", "order": str(order)} if order in self._top.SORT:
                self.reverse = not self.reverse if order == self.order else False
                self.order = order
            case {"do": "pause", "on": bool(on)}:
                self.paused = on
                if not on and not self._going:  # else it was so short that no round has noticed
                    self._go_on()
                self.refresh()
            case _:
                raise InvalidOption(f"the table does not know {str(message)[:80]!r}")
        self._look()
