"""In the guest: a plugin of pytest that reports each test as soon as it is over, one JSON object a line."""

import json

import pytest

from tests.guest.initramfs import REPORT


def _tell(test: str, outcome: str, text: str) -> None:
    with open(REPORT, "w", encoding="ascii") as port:
        port.write(json.dumps({"test": test, "outcome": outcome, "text": text}) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        _tell(report.nodeid, report.outcome, why)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _tell(report.nodeid, report.outcome, report.longreprtext)
