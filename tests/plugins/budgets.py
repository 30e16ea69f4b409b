"""Seconds of each test file, beside its budget in tests/budgets.toml; workers begin with the slowest files.

A run prints the slowest ten. With CI=true it also names every file over its budget; that fails nothing, since
machines differ and others may be at work beside.
"""

import os
import tomllib
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SLOWEST = 10


class Budgets:
    """Seconds by a file's path below ``tests``."""

    def __init__(self) -> None:
        listed = tomllib.loads((TESTS / "budgets.toml").read_text())
        self.other: float = listed["other_files"]
        self.seconds: dict[str, float] = listed["seconds"]

    def of(self, path: str) -> float:
        """The budget of a file, listed or not."""
        return self.seconds.get(path, self.other)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # A slow file that begins last would run alone, while every other worker waits for it.
    if hasattr(config, "workerinput"):
        budgets = Budgets()
        items.sort(key=lambda item: -budgets.of(_below_tests(item.nodeid)))


def _below_tests(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    spent: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                spent[_below_tests(report.nodeid)] += report.duration
    if len(spent) < 2:
        return
    budgets = Budgets()
    terminalreporter.section("slowest files")
    for path, seconds in spent.most_common(SLOWEST):
        terminalreporter.write_line(f"{seconds:5.0f} s of {budgets.of(path):3.0f}  tests/{path}")
    for path in sorted(set(budgets.seconds) - {p.relative_to(TESTS).as_posix() for p in TESTS.rglob("test_*.py")}):
        terminalreporter.write_line(f"tests/budgets.toml: {path}: no such file: remove the line")
    if os.environ.get("CI") == "true":
        for path, seconds in spent.most_common():
            if seconds > budgets.of(path):
                terminalreporter.write_line(f"over budget: tests/{path}: {seconds:.0f} s of {budgets.of(path):.0f}")
