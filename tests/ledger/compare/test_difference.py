"""The paired interval."""

import tracemalloc

import numpy as np
import pytest

from compress.ledger.compare.difference import difference


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        hard = rng.normal(25, 5, 24)  # what both sides share; it must cancel
        result = difference(tuple(hard), tuple(hard + rng.normal(-0.04, 0.1, 24)))
        assert result.low is not None and result.high is not None
        hits += result.low <= -0.04 <= result.high
        assert result.high - result.low < 0.2, "as wide as the pictures differ: not paired"
    assert hits >= 51  # 0.85 of 60


def test_the_same_scores_give_the_same_interval() -> None:
    a, b = (20.0, 25.0, 30.0, 22.0), (20.1, 24.9, 30.3, 22.0)
    first = difference(a, b)
    difference.cache_clear()
    assert difference(a, b) == first
    assert difference(a, b).mean == pytest.approx(0.075)


def test_equal_differences_have_no_width() -> None:
    result = difference((1.0, 2.0, 3.0), (1.5, 2.5, 3.5))
    assert (result.mean, result.low, result.high) == (0.5, 0.5, 0.5)


def test_one_picture_has_no_interval() -> None:
    result = difference((1.0,), (2.0,))
    assert (result.mean, result.low, result.high) == (1.0, None, None)


def test_many_pictures_take_little_memory() -> None:
    """In one piece, the draws of 6,000 would take half a gigabyte."""
    rng = np.random.default_rng(0)
    a, b = (tuple(rng.normal(25, 5, 6000)) for _ in range(2))
    tracemalloc.start()
    result = difference(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.low is not None and result.low < result.mean and peak < 2**28
