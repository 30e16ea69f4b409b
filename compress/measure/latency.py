"""Latencies: how long is measured, what the samples amount to, and ratios with an interval."""

import statistics
from dataclasses import dataclass
from typing import Literal

import numpy as np

from compress.results import performance

Mode = Literal["quick", "full"]

P90_RUNS, P99_RUNS = 64, 662  # fewer runs say too little about these percentiles
RESAMPLES = 2000
CONFIDENCE = 0.95
BATCH = 1_000_000  # samples drawn at a time: 8 MB


@dataclass(frozen=True)
class Protocol:
    """How long to measure each callable: ``min_runs`` and ``min_s``, or ``max_s``, whichever is reached first."""

    name: Mode
    min_runs: int
    min_s: float
    max_s: float
    warmup_s: float  # at most


PROTOCOLS: dict[Mode, Protocol] = {
    "quick": Protocol("quick", min_runs=20, min_s=1, max_s=10, warmup_s=3),
    "full": Protocol("full", min_runs=1024, min_s=60, max_s=600, warmup_s=30),
}


@dataclass(frozen=True)
class Latency:
    """Timed runs of one callable: ``samples`` in ms, in order; ``warmup`` runs before them are not among them."""

    samples: tuple[float, ...]
    warmup: int

    @property
    def n(self) -> int:
        """Timed runs."""
        return len(self.samples)

    @property
    def p50(self) -> float:
        """Median, ms."""
        return statistics.median(self.samples)

    @property
    def p90(self) -> float | None:
        """90th percentile, ms; None from fewer than 64 runs."""
        return self._percentile(90, P90_RUNS)

    @property
    def p99(self) -> float | None:
        """99th percentile, ms; None from fewer than 662 runs."""
        return self._percentile(99, P99_RUNS)

    @property
    def mean(self) -> float:
        """Mean, ms."""
        return statistics.fmean(self.samples)

    def _percentile(self, q: float, least: int) -> float | None:
        return float(np.percentile(self.samples, q)) if self.n >= least else None

    def figures(self) -> performance.Latency:
        """``latency_ms`` of results.json."""
        values = {name: getattr(self, name) for name in ("p50", "p90", "p99", "mean")}
        rounded = {name: None if value is None else round(value, 4) for name, value in values.items()}
        return performance.Latency(**rounded, n=self.n, warmup=self.warmup)


def speedup(base: Latency, other: Latency, seed: int = 0) -> performance.Speedup:
    """How many times faster ``other`` is than ``base``: the ratio of their medians and its 95 % bootstrap interval.

    Above 1 is faster.
    """
    from scipy.stats import bootstrap

    low, high = bootstrap(
        (base.samples, other.samples),
        _ratio_of_medians,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // max(base.n, other.n)),
        vectorized=True,
        method="percentile",
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return performance.Speedup(
        value=round(base.p50 / other.p50, 4), low=round(float(low), 4), high=round(float(high), 4)
    )


def _ratio_of_medians(base: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
    return np.median(base, axis=axis) / np.median(other, axis=axis)
