"""Masks for inpainting: (H, W) bool, True where the pixel is lost."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

Pattern = Literal["pixels", "boxes", "strokes", "square"]


def draw_mask(rng: np.random.Generator, height: int, width: int, pattern: Pattern, share: float) -> np.ndarray:
    """A mask that loses about ``share`` of the pixels; see docs/data.md for each pattern's definition."""
    return _DRAW[pattern](rng, height, width, share)


def _pixels(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    return rng.random((height, width)) < share


def _boxes(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Rectangles of 1/16 to 1/4 of each side, partly outside at times; the last one is cut at its bottom to fit."""
    lost = np.zeros((height, width), dtype=bool)
    missing = round(share * height * width)
    while missing > 0:
        rows, columns = (_span(rng, side) for side in (height, width))
        fresh = np.cumsum((~lost[rows, columns]).sum(1))
        rows = slice(rows.start, min(rows.stop, rows.start + int(np.searchsorted(fresh, missing)) + 1))
        box = lost[rows, columns]
        missing -= int((~box).sum())
        box[:] = True
    return lost


def _span(rng: np.random.Generator, side: int) -> slice:
    length = max(1, round(rng.uniform(side / 16, side / 4)))
    start = int(rng.integers(1 - length, side))
    return slice(max(0, start), min(side, start + length))


def _strokes(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Free-form strokes, until ``share`` is lost: the last one ends there."""
    lost = np.zeros((height, width), dtype=bool)
    target = share * height * width
    y, x = np.ogrid[:height, :width]
    while True:
        radius = max(0.5, min(height, width) / 256 * rng.uniform(12, 40) / 2)
        for at_x, at_y in _stroke(rng, height, width, radius / 2):
            if lost.sum() >= target:
                return lost
            rows = slice(max(0, int(at_y - radius)), int(at_y + radius) + 2)
            columns = slice(max(0, int(at_x - radius)), int(at_x + radius) + 2)
            lost[rows, columns] |= (x[:, columns] - at_x) ** 2 + (y[rows] - at_y) ** 2 <= radius**2


def _stroke(rng: np.random.Generator, height: int, width: int, step: float) -> Iterator[tuple[float, float]]:
    """Points (x, y), ``step`` px apart at most, along a zigzag of 4 to 12 segments: Yu et al. 2019's Algorithm 1."""
    reach = np.hypot(height, width) / 8
    bend = 2 * np.pi / 5 + rng.uniform(-2 * np.pi / 15, 2 * np.pi / 15, 2)
    x, y = rng.uniform(0, width - 1), rng.uniform(0, height - 1)
    for i in range(int(rng.integers(4, 13))):
        angle = rng.uniform(min(bend), max(bend))
        angle = 2 * np.pi - angle if i % 2 == 0 else angle
        length = np.clip(rng.normal(reach, reach / 2), 0, 2 * reach)
        end_x = np.clip(x + length * np.cos(angle), 0, width - 1)
        end_y = np.clip(y + length * np.sin(angle), 0, height - 1)
        points = int(np.ceil(np.hypot(end_x - x, end_y - y) / step)) + 1
        yield from zip(np.linspace(x, end_x, points), np.linspace(y, end_y, points), strict=True)
        x, y = end_x, end_y


def _square(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """The picture's centre, in the picture's proportions."""
    lost = np.zeros((height, width), dtype=bool)
    # Less than a whole side: rounded up, both would leave nothing to restore from.
    rows, columns = (max(1, min(round(share**0.5 * side), side - 1)) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    lost[top : top + rows, left : left + columns] = True
    return lost


_DRAW: dict[Pattern, Callable[[np.random.Generator, int, int, float], np.ndarray]] = {
    "pixels": _pixels,
    "boxes": _boxes,
    "strokes": _strokes,
    "square": _square,
}
