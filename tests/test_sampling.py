"""What a Sampler sees of real containers: numbers, events, their beginning and their end."""

import concurrent.futures as pool
import csv
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox import loads, sampling
from sandbox.sampling import COLUMNS, Sampler
from tests.shell import until

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_cgroup("memory"), pytest.mark.needs_cgroup("pids")]

Seen = Callable[[str], str]


@pytest.fixture
def box(home: Path) -> Iterator[sandbox.Container]:
    box, _ = sandbox.launch("busybox", ["sleep", "600"], name="box", memory="64m", pids=30, cpus=1)
    yield box
    if box.entry:
        box.kill()


@pytest.fixture
def sampler(box: sandbox.Container) -> Iterator[Sampler]:
    with Sampler() as sampler:
        sampler.sample()
        yield sampler


@pytest.fixture
def seen(sampler: Sampler) -> Seen:
    """The words of an event, as soon as there is one of that kind."""

    def look(kind: str) -> str:
        def found() -> str:
            sampler.sample()
            time.sleep(0.02)
            return next((event.text for event in sampler.events if event.kind == kind), "")

        return str(until(found, f"an event {kind!r} should be seen"))

    return look


def last(sampler: Sampler, column: str) -> float:
    return sampler.histories["box"].columns[column][-1]


def test_all_that_is_counted_is_kept_with_its_time(sampler: Sampler) -> None:
    sampler.sample()
    history = sampler.histories["box"]
    assert len(history.at) == 2
    assert {len(column) for column in history.columns.values()} == {2}
    assert last(sampler, "memory_limit") == 64 << 20
    assert last(sampler, "pids_limit") == 30
    assert last(sampler, "cpu_limit") == 1
    assert last(sampler, "pids") == 1
    assert last(sampler, "memory") > 0


def test_a_cpu_limit_that_is_turned_while_it_runs_takes_effect(box: sandbox.Container, sampler: Sampler, seen: Seen) -> None:
    load = loads.load(box, "cpu", 60)
    until(lambda: (sampler.sample(), last(sampler, "cpu") > 0.3)[1], "the load should be seen")
    box.update(cpus=0.1)
    assert seen("throttled").startswith("throttled")
    assert "→ 0.1 CPUs" in seen("limit")
    until(lambda: (sampler.sample(), time.sleep(0.3), last(sampler, "cpu") < 0.3)[2], "it should get less")
    load.stop()
    assert seen("unthrottled") == "no longer throttled"


def test_who_allocates_more_than_its_limit_is_seen_to_be_killed(box: sandbox.Container, seen: Seen) -> None:
    load = loads.load(box, "memory", 200)
    assert "the kernel killed" in seen("oom")
    load.stop()


def test_a_fork_that_is_refused_is_seen_and_what_was_forked_stays(
    box: sandbox.Container, sampler: Sampler, seen: Seen
) -> None:
    load = loads.load(box, "fork", 100)
    assert seen("refused").endswith("30 are allowed")
    assert load.running
    assert last(sampler, "pids") == 30
    load.stop()
    until(lambda: (sampler.sample(), last(sampler, "pids") == 1)[1], "nothing of the load should be left")


def test_freezing_and_the_end_are_seen_and_told_with_the_reason(box: sandbox.Container, sampler: Sampler, seen: Seen) -> None:
    box.freeze()
    assert seen("frozen") == "frozen"
    assert sampler.histories["box"].state == "FROZEN"
    box.unfreeze()
    assert seen("thawed") == "thawed"
    box.kill()
    assert seen("ended").startswith("ended (137)")
    assert sampler.histories["box"].state == "STOPPED"
    assert len(sampler.histories["box"].at) > 2


def test_a_container_that_starts_later_is_seen_and_one_that_is_not_named_is_not(
    box: sandbox.Container, sampler: Sampler, seen: Seen
) -> None:
    only = Sampler("box")
    other, _ = sandbox.launch("busybox", ["sleep", "60"], name="other")
    assert seen("started") == "started"
    assert set(sampler.histories) == {"box", "other"}
    only.sample()
    assert set(only.histories) == {"box"}
    only.close()
    other.kill()


def test_what_is_kept_is_bounded(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "ROWS", 20)
    monkeypatch.setattr(sampling, "CUT", 5)
    for _ in range(60):
        sampler.sample()
    history = sampler.histories["box"]
    assert 20 <= len(history.at) <= 25
    assert {len(column) for column in history.columns.values()} == {len(history.at)}
    assert history.at[-1] > history.at[0]


def test_the_text_is_a_table_and_the_csv_has_every_moment_and_every_event(box: sandbox.Container, sampler: Sampler) -> None:
    box.update(pids=20)
    for _ in range(sampling.EVERY):
        sampler.sample()
    lines = str(sampler).splitlines()
    assert lines[0].split()[:3] == ["NAME", "STATE", "CPU"]
    assert lines[1].startswith("box   RUNNING")
    assert "64.0 MiB" in lines[1]
    rows = list(csv.DictReader(io.StringIO(sampler.csv())))
    moments = [row for row in rows if not row["event"]]
    assert len(moments) == 1 + sampling.EVERY
    assert moments[0].keys() >= set(COLUMNS)
    assert float(moments[-1]["pids_limit"]) == 20
    assert [row["event"] for row in rows if row["event"]] == ["pids limit 30 → 20"]
    assert abs(float(rows[-1]["time"]) - time.time()) < 60


def test_one_thread_may_read_what_another_one_samples(sampler: Sampler) -> None:
    over = threading.Event()

    def read() -> int:
        count = 0
        while not over.is_set():
            str(sampler)
            assert len(sampler.running) >= 1
            assert all(line.count(",") == len(COLUMNS) + 2 for line in sampler.csv().splitlines())
            count += 1
        return count

    with pool.ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # seconds: the threads take turns in the middle of everything
        try:
            for number in range(20_000):  # as if containers came and went all the time
                sampler.histories[f"other-{number}"] = sampling.History(f"other-{number}")
                sampler.histories.pop(f"other-{number - 5}", None)
                if reading.done():
                    break
        finally:
            over.set()
            sys.setswitchinterval(before)
        assert reading.result() > 0


def test_what_is_kept_of_a_container_has_one_length_while_it_grows(sampler: Sampler) -> None:
    history = sampler.histories["box"]

    class Slow(dict[str, object]):
        """A row that is written while somebody reads: the reader has to wait, or it gets columns of different lengths."""

        def get(self, name: object, default: object = None) -> object:
            if not copied.running():
                copied.set_running_or_notify_cancel()
                threading.Thread(target=lambda: copied.set_result(history.kept())).start()
                time.sleep(0.1)
            return 1.0

    copied = pool.Future[tuple[object, dict[str, object]]]()
    history._keep(history.at[-1] + 1, Slow(), 100)
    at, columns = copied.result(10)
    assert {len(column) for column in columns.values()} == {len(at)}  # type: ignore[arg-type]


def test_the_files_of_a_group_that_has_ended_are_closed(box: sandbox.Container, sampler: Sampler, seen: Seen) -> None:
    held = sampler.histories["box"]._reader._held
    assert any(fd > 1023 for directory in held for fd in directory.files.values())
    box.kill()
    seen("ended")
    assert not any(directory.files for directory in held)
