"""Retries after a dropped connection: whatever is asked of the runner may be asked again."""

import time
from collections.abc import Callable
from typing import TypeVar

from compress.targets.ssh.link import ConnectionLoss

RECONNECT_S, PAUSE_S, LONGEST_PAUSE_S = 180.0, 1.0, 15.0
T = TypeVar("T")


class DeviceLoss(Exception):
    """The connection was lost, and stayed so."""


def retry(action: Callable[[], T], on_loss: Callable[[ConnectionLoss], None]) -> T:
    """What ``action`` gives, tried again for three minutes after its connection was first lost, at growing intervals.

    ``on_loss`` gets each loss that a new attempt follows. Raises DeviceLoss when the device does not come back.
    """
    pause, ends = PAUSE_S, 0.0
    while True:
        try:
            return action()
        except ConnectionLoss as error:
            ends = ends or time.monotonic() + RECONNECT_S
            if time.monotonic() + pause > ends:
                raise DeviceLoss(f"({error}) and did not come back within {RECONNECT_S:.0f} s") from None
            on_loss(error)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
