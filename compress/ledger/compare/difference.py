"""A paired difference with its bootstrap interval: the same pictures on both sides."""

import math
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
RESAMPLES = 9999
SEED = 0
MOST_DRAWN = 10_000_000  # numbers in memory
MOST_CORRECTED = 5_000  # pictures: BCa's correction takes the square of their number
LEAST = 2


@dataclass(frozen=True)
class Difference:
    """Mean of B - A, and its interval; None where fewer than two pictures give none."""

    mean: float
    low: float | None
    high: float | None


@lru_cache(maxsize=100)
def difference(a: tuple[float, ...], b: tuple[float, ...]) -> Difference:
    """Mean of ``b - a`` over pictures, with the 95 % BCa bootstrap interval of Efron (1987), seeded; the percentile
    interval of very many.

    Pictures are drawn, each with both of its scores, so that what is hard for both sides cancels. Of pictures that were
    compared before, the result is kept: an artifact has the same on every target.
    """
    import numpy as np
    from scipy.stats import bootstrap

    differences = np.subtract(b, a)
    mean = round(float(differences.mean()), 6)
    if len(differences) < LEAST:
        return Difference(mean, None, None)
    if np.ptp(differences) == 0:
        return Difference(mean, mean, mean)
    interval = bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, MOST_DRAWN // len(differences)),
        confidence_level=CONFIDENCE,
        method="BCa" if len(differences) <= MOST_CORRECTED else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return Difference(mean, None, None)
    return Difference(mean, round(float(interval.low), 6), round(float(interval.high), 6))
