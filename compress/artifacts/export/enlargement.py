"""Enlargement by a whole factor to the bytes that Pillow gives, as matrix products, which every runtime is quick at.

Pillow enlarges 8-bit pictures along rows, then along columns, by weights of 22 fractional bits, and rounds half up and
clips after each. A weight is split here in two numbers of 11 bits. Either's products with a picture's bytes, and all
sums of them, are whole multiples of a power of two that float32 holds exactly, in whatever order a kernel adds them;
float16 holds the numbers themselves, so that a file that stores weights in it loses nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BITS = 22  # of Pillow's weights
LOW = 12  # of these, left to the lower number
HALF = 2 ** (BITS - LOW - 1)
"""Half of the last bit that is kept, in units of the lower number's product; adding it rounds half up."""
STEP = 2 ** (BITS - LOW)


@dataclass(frozen=True)
class Enlargement:
    """Enlargement of a picture ``scale`` times, ``by`` one of ``FILTERS``."""

    scale: int
    by: str

    def weights(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower part, each (size, scale size) float32: a side of ``size`` samples times these.

        Of a picture x in [0, 255], ``floor(x @ upper + floor(x @ lower + HALF) / STEP)`` is Pillow's, not yet clipped.
        """
        whole = _fixed_point(size, self.scale, self.by)
        upper = (whole + 2 ** (LOW - 1)) >> LOW
        lower = whole - (upper << LOW)
        return (upper / STEP).astype(np.float32), (lower / 2**LOW).astype(np.float32)


def _cubic(x: float) -> float:
    """Keys' kernel with a = -0.5."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((2.5 - 0.5 * x) * x - 4) * x + 2 if x < 2 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bicubic": (_cubic, 2.0),
    "bilinear": (_triangle, 1.0),
    # The sample under a px's centre, which is never half-way between two when a side is enlarged by an even factor.
    "nearest-exact": (lambda x: 1.0, 0.5),
}
"""The filter and its support in samples, by the names of ``compress.data.degradations.ENLARGEMENTS``."""


def _fixed_point(size: int, scale: int, by: str) -> np.ndarray:
    """Pillow's own weights, (size, scale size) int64, in 2^-22: where the support leaves the picture, what is inside
    is made to sum to one."""
    kernel, support = FILTERS[by]
    weights = np.zeros((size, scale * size), np.int64)
    for column in range(scale * size):
        centre = (column + 0.5) / scale
        first, end = max(0, int(centre - support + 0.5)), min(size, int(centre + support + 0.5))
        taps = [kernel(sample - centre + 0.5) for sample in range(first, end)]
        total = sum(taps)
        weights[first:end, column] = [_rounded(tap / total * 2**BITS) for tap in taps]
    return weights


def _rounded(value: float) -> int:
    """Half away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
