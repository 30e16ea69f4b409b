"""Retries after a dropped connection: whatever is asked of the runner may be asked again."""

import time
from collections.abc import Callable
from typing import TypeVar

from compress.targets.ssh.link import ConnectionLoss

RECONNECT_S, PAUSE_S, LONGEST_PAUSE_S = 180.0, 1.0, 15.0
MOST_LOSSES = 100
T = TypeVar("T")


class DeviceLoss(Exception):
    """The connection was lost, and stayed so."""


def retry(action: Callable[[], T], on_loss: Callable[[ConnectionLoss], None], answered: Callable[[], int]) -> T:
    """What ``action`` gives, tried again for three minutes after its connection was lost, at growing intervals.

    The three minutes begin anew when the device has answered something meanwhile, of which ``answered`` is the number.
    ``on_loss`` gets each loss that a new attempt follows. Raises DeviceLoss when the device does not come back, or was
    lost too often.
    """
    pause, ends, seen, losses = PAUSE_S, 0.0, answered(), 0
    while True:
        try:
            return action()
        except ConnectionLoss as error:
            losses += 1
            if losses > MOST_LOSSES:
                raise DeviceLoss(f"({error}), {losses} times") from None
            if answered() != seen:
                pause, ends, seen = PAUSE_S, 0.0, answered()
            ends = ends or time.monotonic() + RECONNECT_S
            if time.monotonic() + pause > ends:
                raise DeviceLoss(f"({error}) and did not come back within {RECONNECT_S:.0f} s") from None
            on_loss(error)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
