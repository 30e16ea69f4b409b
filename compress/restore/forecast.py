"""What a restoration will take, for its user to read before it begins."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.data.layers import check_holds
from compress.data.open import frame_sizes, size_of
from compress.errors import InputError
from compress.restore.open import Restorer
from compress.text import duration

if TYPE_CHECKING:
    from compress.progress import Progress

TRIAL_FROM = 32
"""Tiles from which two are tried first, for the expected time: that costs a sixteenth of the work at most."""


@dataclass(frozen=True)
class Forecast:
    """The work on pictures of ``pixels`` in all: ``tiles`` over ``scale`` x ``scale`` times as many pixels."""

    pictures: int
    pixels: int
    scale: int
    tiles: int
    by_job: tuple[int, ...] = field(default=(), compare=False)
    """``tiles`` of each picture or file of frames."""

    @classmethod
    def of(cls, restorer: Restorer, jobs: Iterable[tuple[Path, Path]], *, frames: bool) -> "Forecast":
        """The forecast of (picture, file to write), by headers alone. What cannot be read or written is not counted."""
        by_job = [_sizes(*job, restorer.scale, frames=frames) for job in jobs]
        sizes = [size for job in by_job for size in job]
        pixels = sum(width * height for width, height in sizes)
        tiles = tuple(sum(restorer.tiles(height, width) for width, height in job) for job in by_job)
        return cls(len(sizes), pixels, restorer.scale, sum(tiles), tiles)

    def say(self, restorer: Restorer, progress: "Progress") -> None:
        """Say how much it is and, of much work, about how long it will take."""
        digits = 1 if self.pixels >= 50_000 else 3
        many = "1 picture" if self.pictures == 1 else f"{self.pictures} pictures"
        size = f"{self.pixels / 1e6:.{digits}f} megapixels"
        if self.scale > 1:
            size += f", {self.pixels * self.scale**2 / 1e6:.{digits}f} after enlarging x{self.scale}"
        tiles = "1 tile" if self.tiles == 1 else f"{self.tiles:,} tiles"
        progress.say(f"restoring {many}: {size}; {tiles}")
        if self.tiles >= TRIAL_FROM and 0 not in restorer.tile:
            seconds = _seconds_per_tile(restorer)
            progress.say(f"expected time: about {duration(seconds * self.tiles)} ({seconds:.2g} s per tile)")
        if self.tiles >= TRIAL_FROM and restorer.advice:
            progress.say(f"faster: {restorer.advice}")


def _sizes(picture: Path, path: Path, scale: int, *, frames: bool) -> list[tuple[int, int]]:
    try:
        sizes = frame_sizes(picture) if frames else [size_of(picture)]
        for width, height in sizes:
            check_holds(path, width * scale, height * scale)
        return sizes
    except InputError:
        return []  # reported when its turn comes


def _seconds_per_tile(restorer: Restorer) -> float:
    import numpy as np

    height, width = (math.floor(side / restorer.scale) for side in restorer.tile)
    picture = np.full((height, width, 3), 128, np.uint8)
    restorer.restore(picture, lambda: None)  # the first inference allocates memory
    began = time.perf_counter()
    restorer.restore(picture, lambda: None)
    return time.perf_counter() - began
