"""What is asked again after a lost connection, and for how long."""

import pytest

from compress.targets.ssh import retry as module
from compress.targets.ssh.link import ConnectionLoss
from compress.targets.ssh.retry import DeviceLoss, retry


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture()
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_device_that_does_not_come_back_is_given_three_minutes(clock: Clock) -> None:
    def never() -> None:
        raise ConnectionLoss("no route")

    lost: list[ConnectionLoss] = []
    with pytest.raises(DeviceLoss, match=r"^\(no route\) and did not come back within 180 s$"):
        retry(never, lost.append, lambda: 0)
    assert 150 < clock.now <= 180 and len(lost) > 10


@pytest.mark.parametrize("answers", [True, False])
def test_the_three_minutes_are_of_each_outage(clock: Clock, answers: bool) -> None:
    """A link that is lost every 100 s delivers all of a file, as long as the device answers in between."""
    done = 0

    def part() -> str:
        nonlocal done
        clock.now += 100
        done += 1
        if done < 6:
            raise ConnectionLoss("lost")
        return "all"

    if answers:
        assert retry(part, lambda loss: None, lambda: done) == "all"
    else:
        with pytest.raises(DeviceLoss, match="did not come back"):
            retry(part, lambda loss: None, lambda: 0)


def test_a_device_that_is_lost_without_end_is_left(clock: Clock) -> None:
    done = 0

    def part() -> None:
        nonlocal done
        done += 1
        raise ConnectionLoss("lost")

    with pytest.raises(DeviceLoss, match=r"^\(lost\), 101 times$"):
        retry(part, lambda loss: None, lambda: done)
