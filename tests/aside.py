"""Tests with the mark "aside" run in a second pytest, from the beginning; the first one takes over their reports at the end.

They kill at every system call, start a thousand times, or wait for a linter: each takes long, and needs nobody else.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

#: Where the second pytest reports to, one JSON object a line; in the first one there is no such variable.
REPORT = "SANDBOX_TESTS_ASIDE"
#: Seconds after which one is given up: all those before it may have to be waited for.
PATIENCE = 900


class Aside:
    """The second pytest, with these tests."""

    def __init__(self, items: list[pytest.Item], folder: Path) -> None:
        self.config = items[0].config
        self.path, self.output = folder / "reports", folder / "output"
        self.path.touch()
        self.told: dict[str, list[pytest.TestReport]] = {item.nodeid: [] for item in items}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *self.told]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=self.config.rootpath, env={**os.environ, REPORT: str(self.path)}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self._file = self.path.open()

    def reports(self, item: pytest.Item) -> list[pytest.TestReport]:
        """What is told of this test; waits until it is over."""
        reports, end = self.told[item.nodeid], time.monotonic() + PATIENCE
        while not (reports and reports[-1].when == "teardown"):
            over = self.process.poll() is not None or time.monotonic() > end
            if not self._read() and over:
                why = f"pytest aside ended before this (exit code {self.process.poll()}):\n{self.output.read_text()}"
                return [pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")]
            time.sleep(0.01)
        return reports

    def _read(self) -> int:
        """Read what is new: so many lines."""
        lines = 0
        while (line := self._file.readline()).endswith("\n"):
            lines += 1
            report = self.config.hook.pytest_report_from_serializable(config=self.config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # why it is skipped: JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            self.told[report.nodeid].append(report)
        self._file.seek(self._file.tell() - len(line))  # torn: the rest is on its way
        return lines

    def close(self) -> None:
        """End it, and what it has begun, if it still runs: the tests were interrupted."""
        self._file.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                self.process.wait(timeout=60)
        self.process.kill()
        self.process.wait()


_running: list[Aside] = []


def is_aside(item: pytest.Item) -> bool:
    """Whether another pytest runs this test now."""
    return bool(_running) and item.nodeid in _running[0].told


def here() -> bool:
    """Whether this pytest is that one."""
    return REPORT in os.environ


@contextlib.contextmanager
def begun(items: list[pytest.Item], folder: Path) -> Iterator[None]:
    _running.append(Aside(items, folder))
    try:
        yield
    finally:
        _running.pop().close()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    items = [item for item in session.items if item.get_closest_marker("aside")]
    alone = here() or session.config.option.collectonly or session.config.option.usepdb or len(items) == len(session.items)
    with contextlib.ExitStack() as stack:
        if items and not alone:
            folder = session.config._tmp_path_factory.mktemp("aside")  # type: ignore[attr-defined]
            stack.enter_context(begun(items, folder))
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if not is_aside(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _running[0].reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class Reporter:
    """In the second pytest: tells of each test as soon as it is over."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        with open(os.environ[REPORT], "a", encoding="ascii") as file:
            file.write(json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if here():
        config.pluginmanager.register(Reporter(config))
