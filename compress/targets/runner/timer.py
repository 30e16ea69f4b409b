"""Timed runs: warmed up, interleaved, until the protocol is satisfied."""

import gc
import statistics
import time
from typing import Any, Callable, Dict, List

from compress.targets.runner.failure import Failure

BLOCK, STEADY, WINDOW = 5, 0.02, 3  # as compress.measure.latency


def timed(run: Callable[[], Any], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """One run, ms."""
    started = clock()
    run()
    elapsed = clock() - started
    if elapsed <= 0:
        raise Failure("the clock there stood still or went backwards: nothing that it timed is used")
    return round(elapsed / 1e6, 6)  # whole nanoseconds, in few digits: there may be many of them


def warm_up(run: Callable[[], Any], limit_s: float) -> int:
    times: List[float] = []
    while True:
        times.append(timed(run))
        old, new = times[-2 * WINDOW : -WINDOW], times[-WINDOW:]
        steady = len(old) == WINDOW and abs(statistics.median(new) / statistics.median(old) - 1) <= STEADY
        if steady or sum(times) >= 1000 * limit_s:
            return len(times)


def interleaved(runs: Dict[str, Callable[[], Any]], protocol: Dict[str, float], seed: int) -> Dict[str, Any]:
    """Samples (ms) and warm-up runs by name: blocks of each in random order until the protocol is satisfied."""
    import numpy as np

    gc.disable()
    warmup = {name: warm_up(run, protocol["warmup_s"]) for name, run in runs.items()}
    samples: Dict[str, List[float]] = {name: [] for name in runs}
    rng, unfinished = np.random.default_rng(seed), list(runs)
    while unfinished:
        for i in rng.permutation(len(unfinished)):
            run = runs[unfinished[i]]
            run()
            samples[unfinished[i]] += [timed(run) for _ in range(BLOCK)]
        unfinished = [name for name in unfinished if not enough(samples[name], protocol)]
    return {name: {"samples": samples[name], "warmup": warmup[name]} for name in runs}


def enough(samples: List[float], protocol: Dict[str, float]) -> bool:
    seconds = sum(samples) / 1000
    return seconds >= protocol["max_s"] or (len(samples) >= protocol["min_runs"] and seconds >= protocol["min_s"])
