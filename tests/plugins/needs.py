"""Tests that need a program or a download: skipped where it is missing, and the summary says what was not tried.

With COMPRESS_TESTS_REQUIRE_ALL=1 every skipped test is a failure, so that none can hide in CI.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from programs import NEEDS

REQUIRE_ALL = "COMPRESS_TESTS_REQUIRE_ALL"


def require(name: str) -> None:
    """Skip the test or fixture that calls it unless the programs of ``NEEDS[name]`` are on this machine."""
    if name not in NEEDS:
        pytest.fail(f"needs({name!r}): unknown: give one of {', '.join(NEEDS)}, or add it to tests/plugins/programs.py")
    if missing := NEEDS[name].missing():
        pytest.skip(f"{' and '.join(missing)} not found: apt-get install {NEEDS[name].packages}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _judged((yield))


def _judged(report: Any) -> Any:
    if report.skipped and os.environ.get(REQUIRE_ALL) == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"not tried, and {REQUIRE_ALL}=1 asks for every test: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    message = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(message).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    if not skipped:
        return
    terminalreporter.section("not tried")
    for reason, count in sorted(skipped.items()):
        terminalreporter.write_line(f"{count:4} {'test' if count == 1 else 'tests'}: {reason}")
