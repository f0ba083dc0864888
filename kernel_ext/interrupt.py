"""Interrupt, noted instead of raised: so that it never comes between two halves of something."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While this context lasts, the first SIGINT only sets `noted`. A second one is raised as ever: nobody is locked in.

    In another thread than the main one it does nothing: signals are delivered to the main thread. signal(7)
    """

    def __init__(self) -> None:
        self.noted = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
