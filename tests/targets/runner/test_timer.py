"""How the device times: by the protocol of this machine, and never by a clock that went backwards."""

import numpy as np
import pytest

from compress.measure import latency
from compress.targets.runner import timer
from compress.targets.runner.failure import Failure


def test_its_protocol_is_the_one_of_this_machine() -> None:
    assert (timer.BLOCK, timer.STEADY, timer.WINDOW) == (latency.BLOCK, latency.STEADY, latency.WINDOW)


def test_interleaved_until_the_protocol_is_satisfied() -> None:
    protocol = {"min_runs": 12, "min_s": 0, "max_s": 5, "warmup_s": 0.01}
    found = timer.interleaved({"a": lambda: sum(range(1000)), "b": lambda: sum(range(9000))}, protocol, 0)
    assert [len(item["samples"]) for item in found.values()] == [15, 15]
    assert np.median(found["b"]["samples"]) > np.median(found["a"]["samples"])


@pytest.mark.parametrize("second", [5, 4])
def test_a_clock_that_goes_backwards(second: int) -> None:
    ticks = iter([5, second])
    with pytest.raises(Failure, match="the clock there stood still or went backwards: nothing that it timed"):
        timer.timed(lambda: None, lambda: next(ticks))
