"""When all tests are run, further pytests run some folders of them at the same time; the first takes over their reports.

Most tests wait, for the death of a process or the page of a browser: two processors get through them in half of the time. Each
pytest goes through its tests one after the other, so tests of one folder never meet. A choice of tests is run as usual.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

#: Of what the further pytests are: the beginnings of the names of their tests.
GROUPS = (("tests/kernel_ext/",), ("tests/launcher/", "tests/lxc/", "tests/test_linters.py"))
#: Where such a pytest reports to, one JSON object a line; in the first one there is no such variable.
REPORT = "SANDBOX_TESTS_ASIDE"
#: Seconds after which a test is given up: all those before it may have to be waited for.
PATIENCE = 900


def here() -> bool:
    """Whether this pytest is one of those that run beside another one."""
    return REPORT in os.environ


def group_of(item: pytest.Item) -> int | None:
    """In which of them this test is run; None: in this one, in its turn."""
    all_of_them = item.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if here() or not all_of_them or item.config.option.collectonly or item.config.option.usepdb:
        return None
    return next((number for number, group in enumerate(GROUPS) if item.nodeid.startswith(group)), None)


class Aside:
    """A further pytest, with these tests."""

    def __init__(self, items: list[pytest.Item], folder: Path) -> None:
        self.config = items[0].config
        self.output, names, reports = (folder / name for name in ("output", "names", "reports"))
        self.told: dict[str, list[pytest.TestReport]] = {item.nodeid: [] for item in items}
        names.write_text("\n".join(self.told))
        self._file = reports.open("w+")
        command = [sys.executable, "-m", "pytest", f"@{names}"]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=self.config.rootpath, env={**os.environ, REPORT: str(reports)}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def reports(self, item: pytest.Item) -> list[pytest.TestReport]:
        """What is told of this test; waits until it is over."""
        reports, end = self.told[item.nodeid], time.monotonic() + PATIENCE
        while not (reports and reports[-1].when == "teardown"):
            over = self.process.poll() is not None or time.monotonic() > end
            if not self._read() and over:
                why = f"that pytest ended before this test (exit code {self.process.poll()}):\n{self.output.read_text()}"
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
        """End it, if it still runs: the tests were interrupted."""
        self._file.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=60)
            self.process.kill()
        self.process.wait()


class Conductor:
    """In the first pytest: begins the others, and takes over what they report."""

    def __init__(self) -> None:
        self.running: dict[int, Aside] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        groups: dict[int, list[pytest.Item]] = {}
        for item in session.items:
            if (number := group_of(item)) is not None:
                groups.setdefault(number, []).append(item)
        with contextlib.ExitStack() as stack:
            for number, items in groups.items():
                folder = session.config._tmp_path_factory.mktemp("aside")  # type: ignore[attr-defined]
                self.running[number] = Aside(items, folder)
                stack.callback(self.running[number].close)
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if (number := group_of(item)) is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.running[number].reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


class Reporter:
    """In the others: tells of each test as soon as it is over."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        with open(os.environ[REPORT], "a", encoding="ascii") as file:
            file.write(json.dumps(data) + "\n")


def register(config: pytest.Config) -> None:
    """To be called where pytest is configured."""
    config.pluginmanager.register(Reporter(config) if here() else Conductor())
