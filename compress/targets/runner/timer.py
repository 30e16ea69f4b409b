"""Timed runs: warmed up, interleaved, until the protocol is satisfied."""

import contextlib
import gc
import statistics
import time
from typing import Any, Callable, Dict, Iterator, List

from compress.targets.runner.failure import Failure

BLOCK = 5  # timed runs a block
STEADY = 0.02  # warm-up ends when two windows' medians differ by less
MOST_SAMPLES = 200_000  # of one artifact: more make no figure surer, and an answer has a largest size
WINDOW = 3  # runs a window of the warm-up


def timed(run: Callable[[], Any], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """One run, ms."""
    started = clock()
    run()
    elapsed = clock() - started
    if elapsed <= 0:
        raise Failure("the clock stood still or went backwards: nothing that it timed is used")
    return round(elapsed / 1e6, 6)  # whole nanoseconds, in few digits: there may be many of them


def warm_up(run: Callable[[], Any], limit_s: float) -> int:
    """Run until the medians of two successive windows agree within 2 %, or ``limit_s`` is over; the number of runs."""
    times: List[float] = []
    while True:
        times.append(timed(run))
        old, new = times[-2 * WINDOW : -WINDOW], times[-WINDOW:]
        steady = len(old) == WINDOW and abs(statistics.median(new) / statistics.median(old) - 1) <= STEADY
        if steady or sum(times) >= 1000 * limit_s:
            return len(times)


def interleaved(
    runs: Dict[str, Callable[[], Any]],
    protocol: Dict[str, float],
    seed: int,
    on_done: Callable[[str], Any] = lambda name: None,
) -> Dict[str, Any]:
    """Samples (ms) and warm-up runs by name: all are warmed up, then blocks of each run in random order until the
    protocol is satisfied. What disturbs the machine for a while then disturbs all equally.

    ``protocol``: ``min_runs`` and ``min_s``, or ``max_s``, whichever is reached first, for each; ``warmup_s`` at most.
    ``on_done`` is called with each name that is done.
    """
    import numpy as np

    with no_garbage_collection():
        warmup = {name: warm_up(run, protocol["warmup_s"]) for name, run in runs.items()}
        samples: Dict[str, List[float]] = {name: [] for name in runs}
        seconds = dict.fromkeys(runs, 0.0)
        rng, unfinished = np.random.default_rng(seed), list(runs)
        while unfinished:
            for i in rng.permutation(len(unfinished)):
                name = unfinished[i]
                timed_now = block(runs[name])
                samples[name] += timed_now
                seconds[name] += sum(timed_now) / 1000
            for name in [name for name in unfinished if enough(len(samples[name]), seconds[name], protocol)]:
                unfinished.remove(name)
                on_done(name)
    return {name: {"samples": samples[name], "warmup": warmup[name]} for name in runs}


def block(run: Callable[[], Any]) -> List[float]:
    # The first run of a block finds caches and spinning threads of the one before: it is not counted.
    run()
    return [timed(run) for _ in range(BLOCK)]


def enough(runs: int, seconds: float, protocol: Dict[str, float]) -> bool:
    whole = runs >= protocol["min_runs"] and seconds >= protocol["min_s"]
    return whole or seconds >= protocol["max_s"] or runs >= MOST_SAMPLES


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
