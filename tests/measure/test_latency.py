"""Percentiles only with enough runs, and an interval that holds the truth."""

import numpy as np
import pytest

from compress.measure.latency import PROTOCOLS, Latency, speedup
from compress.measure.machine import machine_facts, physical_cores


def latency(samples: list[float]) -> Latency:
    return Latency(tuple(samples), warmup=0)


def test_percentiles_need_enough_runs() -> None:
    assert latency([1.0] * 63).p90 is None
    assert latency(list(range(64))).p90 == pytest.approx(56.7)
    assert latency([1.0] * 661).p99 is None
    assert latency([1.0] * 662).p99 == 1


def test_json_has_the_fields_of_results() -> None:
    item = Latency((1.0, 2.0, 3.0, 10.0), warmup=6).figures().to_json()
    assert item == {"p50": 2.5, "p90": None, "p99": None, "mean": 4.0, "n": 4, "warmup": 6}


def test_speedup_is_the_ratio_of_medians_with_an_interval() -> None:
    rng = np.random.default_rng(0)
    base, other = (latency((factor * rng.lognormal(0, 0.1, 200)).tolist()) for factor in (20, 10))
    ratio = speedup(base, other)
    assert ratio.value == round(base.p50 / other.p50, 4)
    assert 1.9 < ratio.low < 2 < ratio.high < 2.1
    assert speedup(base, other) == ratio
    assert speedup(other, base).value == pytest.approx(1 / ratio.value, rel=1e-3)


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
    assert facts.cpu
    assert 1 <= facts.cores <= facts.logical_cores
    assert facts.cores == physical_cores()
    assert facts.memory_gb > 0.1
