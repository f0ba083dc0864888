"""What the live plots of a dozen containers cost the notebook's kernel: one update, and its share of a core at 10 Hz."""

import importlib.util
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ours
from peers import Absent, Measure, Place

COUNT = 12
#: Rounds over which the share is measured, and the seconds between two.
ROUNDS, TICK = 100, 0.1


@contextmanager
def shown() -> Iterator[Any]:
    """The plots of a dozen containers, paused, whose page takes every frame at once."""
    if importlib.util.find_spec("anywidget") is None:
        raise Absent("anywidget is missing")
    from kernel_ext.pictures.cgroups import CgroupsView

    made = []
    try:
        for _ in range(COUNT):
            made.append(ours.part("launch")("busybox", ["sleep", "3600"], name=f"plot-{os.urandom(4).hex()}")[0])
        with ours.part("Sampler")(*(container.name for container in made)) as sampler:
            view = CgroupsView(sampler)
            view.paused = True
            time.sleep(0.3)  # until its own thread has noticed
            view.paused = False
            yield view
    finally:
        for container in made:
            container.kill()


def _round(view: Any) -> None:
    view._tick()
    view._heard(view, {"do": "seen"}, [])


def update(place: Place) -> Measure:
    """One round: a dozen containers are looked at, and what is new goes to the page."""
    view = place.undo.enter_context(shown())

    def measure() -> int:
        time.sleep(TICK)  # as between two rounds: the caches hold other things by then
        start = time.thread_time_ns()
        _round(view)
        return time.thread_time_ns() - start

    return measure


def share() -> dict[str, float]:
    """CPU time of this process, of a core, while the plots move ten times a second."""
    with shown() as view:
        begun, used = time.monotonic(), time.process_time()
        for _ in range(ROUNDS):
            _round(view)
            time.sleep(TICK)
        return {"plots of 12: share of a core": (time.process_time() - used) / (time.monotonic() - begun)}
