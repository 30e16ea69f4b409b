"""The protocol: enough runs, interleaved, and never by a clock that went backwards."""

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compress.targets.runner import timer
from compress.targets.runner.failure import Failure
from compress.targets.runner.timer import interleaved, warm_up

SHORT = {"min_runs": 20, "min_s": 0, "max_s": 10, "warmup_s": 1}


def test_runs_are_interleaved_in_blocks_whose_first_run_is_not_counted() -> None:
    order: list[str] = []
    calls: dict[str, Callable[[], Any]] = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    done: list[str] = []
    result = interleaved(calls, SHORT, 0, done.append)
    assert {name: len(item["samples"]) for name, item in result.items()} == {"a": 20, "b": 20}
    timed = order[sum(item["warmup"] for item in result.values()) :]
    assert len(timed) == 2 * 4 * 6
    assert all(len(set(timed[i : i + 6])) == 1 for i in range(0, len(timed), 6))
    assert [set(timed[i : i + 12]) for i in range(0, len(timed), 12)] == [{"a", "b"}] * 4
    assert sorted(done) == ["a", "b"] and gc.isenabled()


def test_the_order_of_blocks_is_random_and_seeded() -> None:
    def order(seed: int) -> list[str]:
        seen: list[str] = []
        calls = {name: (lambda name=name: seen.append(name)) for name in "abcd"}
        counts = {name: item["warmup"] for name, item in interleaved(calls, SHORT, seed).items()}
        return seen[sum(counts.values()) :]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_slow_callable_ends_at_the_time_limit() -> None:
    protocol = {"min_runs": 1000, "min_s": 0, "max_s": 0.02, "warmup_s": 0.001}
    samples = interleaved({"slow": lambda: time.sleep(0.005)}, protocol, 0)["slow"]["samples"]
    assert 5 <= len(samples) < 20
    assert 5 <= np.median(samples) < 50


def test_a_fast_callable_runs_for_the_least_time() -> None:
    protocol = {"min_runs": 5, "min_s": 0.05, "max_s": 10, "warmup_s": 0.01}
    samples = interleaved({"fast": lambda: time.sleep(0.001)}, protocol, 0)["fast"]["samples"]
    assert sum(samples) >= 50


def test_the_quickest_of_callables_gives_samples_that_an_answer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "MOST_SAMPLES", 100)
    protocol = {"min_runs": 5, "min_s": 60, "max_s": 60, "warmup_s": 0.01}
    assert len(interleaved({"nothing": lambda: None}, protocol, 0)["nothing"]["samples"]) == 100


def test_warm_up_waits_until_it_is_steady() -> None:
    left = [0.04] * 3 + [0.02] * 3
    runs = warm_up(lambda: time.sleep(left.pop(0) if left else 0.01), limit_s=5)
    assert runs > 6


def test_warm_up_ends_at_its_limit() -> None:
    pause = iter(0.001 * 2**i for i in range(20))
    assert warm_up(lambda: time.sleep(next(pause)), limit_s=0.05) <= 7


@pytest.mark.parametrize("second", [5, 4])
def test_a_clock_that_goes_backwards(second: int) -> None:
    ticks = iter([5, second])
    with pytest.raises(Failure, match="the clock stood still or went backwards: nothing that it timed"):
        timer.timed(lambda: None, lambda: next(ticks))
