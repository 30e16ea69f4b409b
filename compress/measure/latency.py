"""Latency of callables, measured side by side: warmed up, interleaved in random blocks, with an interval on ratios."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Mode = Literal["quick", "full"]

BLOCK = 5  # timed runs a block
STEADY = 0.02  # warm-up ends when two windows' medians differ by less
WINDOW = 3  # runs a window of the warm-up
P90_RUNS, P99_RUNS = 64, 662  # fewer runs say too little about these percentiles
RESAMPLES = 2000
CONFIDENCE = 0.95


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

    def to_json(self) -> dict[str, Any]:
        """``latency_ms`` of results.json."""
        values = {name: getattr(self, name) for name in ("p50", "p90", "p99", "mean")}
        rounded = {name: None if value is None else round(value, 4) for name, value in values.items()}
        return {**rounded, "n": self.n, "warmup": self.warmup}


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """value, low, high."""
        return {name: round(getattr(self, name), 4) for name in ("value", "low", "high")}


def speedup(base: Latency, other: Latency, seed: int = 0) -> Ratio:
    """How many times faster ``other`` is than ``base``: the ratio of their medians; above 1 is faster."""
    rng = np.random.default_rng(seed)
    ratios = _resampled_medians(base.samples, rng) / _resampled_medians(other.samples, rng)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(base.p50 / other.p50, float(low), float(high))


def _resampled_medians(samples: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    values = np.asarray(samples)
    return np.array([np.median(rng.choice(values, len(values))) for _ in range(RESAMPLES)])


def measure_interleaved(
    runners: dict[str, Callable[[], object]],
    protocol: Protocol,
    seed: int,
    on_done: Callable[[str], None] = lambda name: None,
) -> dict[str, Latency]:
    """Time each callable: warm all up, then run blocks of each in random order until the protocol is satisfied.

    What disturbs the machine for a while then disturbs all alike. ``on_done`` is called with each name that is done.
    """
    with _no_garbage_collection():
        warmup = {name: warm_up(run, protocol.warmup_s) for name, run in runners.items()}
        samples: dict[str, list[float]] = {name: [] for name in runners}
        rng = np.random.default_rng(seed)
        unfinished = list(runners)
        while unfinished:
            for i in rng.permutation(len(unfinished)):
                name = unfinished[i]
                samples[name] += _block(runners[name])
            for name in [name for name in unfinished if _enough(samples[name], protocol)]:
                unfinished.remove(name)
                on_done(name)
    return {name: Latency(tuple(samples[name]), warmup[name]) for name in runners}


def warm_up(run: Callable[[], object], limit_s: float) -> int:
    """Run until the medians of two successive windows agree within 2 %, or ``limit_s`` is over; the number of runs."""
    times: list[float] = []
    while True:
        times.append(_timed(run))
        old, new = times[-2 * WINDOW : -WINDOW], times[-WINDOW:]
        steady = len(old) == WINDOW and abs(statistics.median(new) / statistics.median(old) - 1) <= STEADY
        if steady or sum(times) >= 1000 * limit_s:
            return len(times)


def _block(run: Callable[[], object]) -> list[float]:
    # The first run of a block finds caches and spinning threads of the one before: it is not counted.
    run()
    return [_timed(run) for _ in range(BLOCK)]


def _enough(samples: list[float], protocol: Protocol) -> bool:
    seconds = sum(samples) / 1000
    return seconds >= protocol.max_s or (len(samples) >= protocol.min_runs and seconds >= protocol.min_s)


def _timed(run: Callable[[], object]) -> float:
    """One run, ms."""
    started = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - started) / 1e6


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
