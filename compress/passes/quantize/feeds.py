"""The calibration pictures, as runtimes and their calibrators take them."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from compress.passes.base import Subject


def pictures(subject: Subject) -> Iterator[tuple[Tensor, Tensor]]:
    """The calibration pictures, one at a time, with progress."""
    for i, pair in enumerate(subject.calibration()):
        yield pair
        subject.advance("calibrate", i + 1, subject.calibration_count)


class Feeds:
    """Re-iterable: each picture as a runtime's inputs by name; nothing is kept."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for lq, noise in pictures(self.subject):
            yield {"lq": lq.numpy(), "noise": noise.numpy()}

    def __len__(self) -> int:
        return self.subject.calibration_count


class Reader:
    """A CalibrationDataReader over the pictures, streamed."""

    def __init__(self, feeds: Feeds) -> None:
        self.feeds = feeds
        self.left = 0
        self.iterator: Iterator[dict[str, np.ndarray]] = iter(feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """The next ``end_index - start_index`` pictures; the calibrator asks for them in order."""
        self.left = end_index - start_index

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Inputs by name, None at the end of the range."""
        if not self.left:
            return None
        self.left -= 1
        return next(self.iterator, None)

    def __len__(self) -> int:
        return len(self.feeds)
