"""The protocol: enough runs, interleaved, percentiles only with enough of them, an interval that holds the truth."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from compress.measure.latency import PROTOCOLS, Latency, Protocol, measure_interleaved, speedup, warm_up
from compress.measure.machine import machine_facts, physical_cores

SHORT = Protocol("quick", min_runs=20, min_s=0, max_s=10, warmup_s=1)


def latency(samples: list[float]) -> Latency:
    return Latency(tuple(samples), warmup=0)


def test_runs_are_interleaved_in_blocks_whose_first_run_is_not_counted() -> None:
    order: list[str] = []
    calls: dict[str, Callable[[], object]] = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    done: list[str] = []
    result = measure_interleaved(calls, SHORT, seed=0, on_done=done.append)
    assert {name: item.n for name, item in result.items()} == {"a": 20, "b": 20}
    timed = order[sum(item.warmup for item in result.values()) :]
    assert len(timed) == 2 * 4 * 6
    assert all(len(set(timed[i : i + 6])) == 1 for i in range(0, len(timed), 6))
    assert [set(timed[i : i + 12]) for i in range(0, len(timed), 12)] == [{"a", "b"}] * 4
    assert sorted(done) == ["a", "b"]


def test_the_order_of_blocks_is_random_and_seeded() -> None:
    def order(seed: int) -> list[str]:
        seen: list[str] = []
        calls = {name: (lambda name=name: seen.append(name)) for name in "abcd"}
        counts = {name: item.warmup for name, item in measure_interleaved(calls, SHORT, seed).items()}
        return seen[sum(counts.values()) :]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_slow_callable_ends_at_the_time_limit() -> None:
    protocol = Protocol("quick", min_runs=1000, min_s=0, max_s=0.02, warmup_s=0.001)
    result = measure_interleaved({"slow": lambda: time.sleep(0.005)}, protocol, seed=0)["slow"]
    assert 5 <= result.n < 20
    assert 5 <= result.p50 < 50


def test_a_fast_callable_runs_for_the_least_time() -> None:
    protocol = Protocol("quick", min_runs=5, min_s=0.05, max_s=10, warmup_s=0.01)
    result = measure_interleaved({"fast": lambda: time.sleep(0.001)}, protocol, seed=0)["fast"]
    assert sum(result.samples) >= 50


def test_warm_up_waits_until_it_is_steady() -> None:
    left = [0.04] * 3 + [0.02] * 3
    runs = warm_up(lambda: time.sleep(left.pop(0) if left else 0.01), limit_s=5)
    assert runs > 6


def test_warm_up_ends_at_its_limit() -> None:
    pause = iter(0.001 * 2**i for i in range(20))
    assert warm_up(lambda: time.sleep(next(pause)), limit_s=0.05) <= 7


def test_percentiles_need_enough_runs() -> None:
    assert latency([1.0] * 63).p90 is None
    assert latency(list(range(64))).p90 == pytest.approx(56.7)
    assert latency([1.0] * 661).p99 is None
    assert latency([1.0] * 662).p99 == 1


def test_json_has_the_fields_of_results() -> None:
    item = Latency((1.0, 2.0, 3.0, 10.0), warmup=6).to_json()
    assert item == {"p50": 2.5, "p90": None, "p99": None, "mean": 4.0, "n": 4, "warmup": 6}


def test_speedup_is_the_ratio_of_medians_with_an_interval() -> None:
    rng = np.random.default_rng(0)
    base, other = (latency((factor * rng.lognormal(0, 0.1, 200)).tolist()) for factor in (20, 10))
    ratio = speedup(base, other)
    assert ratio.value == base.p50 / other.p50
    assert 1.9 < ratio.low < 2 < ratio.high < 2.1
    assert speedup(base, other) == ratio
    assert speedup(other, base).value == pytest.approx(1 / ratio.value)


def test_few_noisy_runs_give_a_wide_interval() -> None:
    rng = np.random.default_rng(0)
    few, many = (speedup(*(latency(rng.lognormal(0, 0.3, n).tolist()) for _ in range(2))) for n in (20, 1000))
    assert few.high - few.low > 3 * (many.high - many.low)


def test_full_is_for_publication() -> None:
    full = PROTOCOLS["full"]
    assert (full.min_runs, full.min_s, full.max_s) == (1024, 60, 600)
    assert PROTOCOLS["quick"].min_runs == 20 and PROTOCOLS["quick"].max_s == 10


def test_machine_facts() -> None:
    facts = machine_facts()
    assert facts["cpu"]
    assert 1 <= facts["cores"] <= facts["logical_cores"]
    assert facts["cores"] == physical_cores()
    assert facts["memory_gb"] > 0.1
