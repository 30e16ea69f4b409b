"""CPU seconds of each test file, beside its budget in tests/budgets.toml; workers begin with the dearest files.

A run prints the dearest ten. With CI=true it also names every file over its budget; that fails nothing, since machines
differ. CPU time of a test holds that of the processes it started and waited for; it hardly depends on what else the
machine does, which the time on the clock does.
"""

import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
DEAREST = 10
SPENT, BEGAN = "cpu_s", pytest.StashKey[float]()


class Budgets:
    """CPU seconds by a file's path below ``tests``."""

    def __init__(self) -> None:
        listed = tomllib.loads((TESTS / "budgets.toml").read_text())
        self.other: float = listed["other_files"]
        self.seconds: dict[str, float] = listed["seconds"]

    def of(self, path: str) -> float:
        """The budget of a file, listed or not."""
        return self.seconds.get(path, self.other)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # A dear file that begins last would run alone, while every other worker waits for it.
    if hasattr(config, "workerinput"):
        budgets = Budgets()
        items.sort(key=lambda item: -budgets.of(below_tests(item.nodeid)))


def below_tests(nodeid: str) -> str:
    """A test's file, by its path below ``tests``."""
    return nodeid.partition("::")[0].removeprefix("tests/")


# --- in the process that runs the test --------------------------------------------------------------------------


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[BEGAN] = _cpu_s()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    now = _cpu_s()
    report.user_properties = [*report.user_properties, (SPENT, now - item.stash[BEGAN])]
    item.stash[BEGAN] = now
    return report


# --- in the process that prints ---------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    clock: Counter[str] = Counter()
    cpu: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                clock[below_tests(report.nodeid)] += report.duration
                cpu[below_tests(report.nodeid)] += sum(value for name, value in report.user_properties if name == SPENT)
    if len(cpu) < 2:
        return
    budgets = Budgets()
    terminalreporter.section("dearest files: CPU, budget, clock")
    for path, seconds in cpu.most_common(DEAREST):
        terminalreporter.write_line(f"{seconds:6.1f} s {budgets.of(path):5g} s {clock[path]:6.1f} s  tests/{path}")
    terminalreporter.write_line(f"{sum(cpu.values()):6.1f} s of CPU in {len(cpu)} files")
    if os.environ.get("CI") == "true":
        for path, seconds in cpu.most_common():
            if seconds > budgets.of(path):
                terminalreporter.write_line(f"over budget: tests/{path}: {seconds:.1f} s of {budgets.of(path):g}")
    for path in budgets.seconds:
        if not (TESTS / path).is_file():
            terminalreporter.write_line(f"tests/budgets.toml: {path}: no such file: remove the line")
