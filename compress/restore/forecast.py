"""What a restoration will take, for its user to read before it begins."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.data.layers import check_holds
from compress.data.open import frame_sizes, size_of
from compress.errors import InputError
from compress.recipe.image_size import size_text
from compress.restore.open import Restorer, ShapesRestorer
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
    by_shape: tuple[tuple[tuple[int, int], int], ...] = field(default=(), compare=False)
    """How many pictures go through tiles of each height and width."""

    @classmethod
    def of(cls, restorer: Restorer, jobs: Iterable[tuple[Path, Path]], *, frames: bool) -> "Forecast":
        """The forecast of (picture, file to write), by headers alone. What cannot be read or written is not counted."""
        by_job = [_sizes(*job, restorer.scale, frames=frames) for job in jobs]
        sizes = [size for job in by_job for size in job]
        pixels = sum(width * height for width, height in sizes)
        tiles = tuple(sum(restorer.tiles(height, width) for width, height in job) for job in by_job)
        shapes = Counter(restorer.tiling_of(height, width).tile for width, height in sizes)
        return cls(len(sizes), pixels, restorer.scale, sum(tiles), tiles, tuple(sorted(shapes.items())))

    def say(self, restorer: Restorer, progress: "Progress") -> None:
        """Say how much it is and, of much work, about how long it will take."""
        digits = 1 if self.pixels >= 50_000 else 3
        many = _pictures(self.pictures)
        size = f"{self.pixels / 1e6:.{digits}f} megapixels"
        if self.scale > 1:
            size += f", {self.pixels * self.scale**2 / 1e6:.{digits}f} after enlarging x{self.scale}"
        tiles = "1 tile" if self.tiles == 1 else f"{self.tiles:,} tiles"
        progress.say(f"restoring {many}: {size}; {tiles}")
        if isinstance(restorer, ShapesRestorer):
            taken = [f"{size_text(shape)} px for {_pictures(count)}" for shape, count in self.by_shape]
            known = ", ".join(size_text(tiling.tile) for tiling in restorer.tilings)
            progress.say(f"tiles of {', '.join(taken)}: of the bundle's sizes ({known}), the fewest pixels to compute")
        if self.tiles >= TRIAL_FROM and 0 not in restorer.tile:
            seconds = _seconds_per_tile(restorer)
            progress.say(f"expected time: about {duration(seconds * self.tiles)} ({seconds:.2g} s per tile)")
        if self.tiles >= TRIAL_FROM and restorer.advice:
            progress.say(f"faster: {restorer.advice}")


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


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
