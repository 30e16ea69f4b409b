"""Training crops: batch number i depends on the seed and i alone, so that a resumed run sees what it would have."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compress.data.degradations import degrade
from compress.data.pictures import find_pictures, read_rgb, to_float
from compress.errors import InputError
from compress.schema import Degradation


class TrainingPictures:
    """Clean pictures in memory (8 bits a channel); ``batch`` draws random, flipped, turned, sometimes halved crops.

    Raises InputError when a folder is missing, a picture unreadable, or none has ``min_side`` px a side.
    """

    def __init__(self, folders: Sequence[Path], steps: Sequence[Degradation], seed: int, min_side: int) -> None:
        self.steps, self.seed, self.min_side = steps, seed, min_side
        self.paths: list[Path] = []
        self.pictures: list[np.ndarray] = []
        self.skipped = 0
        groups: Counter[str] = Counter()
        for group, path, picture in _read(folders):
            if min(picture.shape[:2]) < min_side:
                self.skipped += 1
                continue
            self.paths.append(path)
            self.pictures.append(picture)
            groups[group] += 1
        if not self.pictures:
            raise InputError(f"{', '.join(map(str, folders))}: no picture of {min_side} px or more a side: add some")
        self.description = f"{len(self.pictures)} pictures of {min_side} px or more a side: " + ", ".join(
            f"{name} {count}" for name, count in groups.items()
        )
        # A big picture holds more crops, but not so many that it drowns the others.
        areas = np.sqrt([p.shape[0] * p.shape[1] for p in self.pictures])
        self.chance = areas / areas.sum()

    def batch(self, index: int, count: int, crop: int, share: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """(degraded, clean), each (count, 3, crop, crop) float32 in [0, 1]; ``crop`` is ``min_side`` at most.

        Of the ``count`` pairs only those of ``share`` are degraded and returned, the same as in the whole batch.
        """
        if crop > self.min_side:
            raise ValueError(f"crop (={crop}) must be at most min_side (={self.min_side}), which pictures were kept by")
        rng = np.random.default_rng((self.seed, index))
        clean = [self._crop(rng, crop) for _ in range(count)]
        seeds = rng.integers(2**31, size=count)
        clean, seeds = clean[share], seeds[share]
        degraded = [degrade(p, self.steps, int(s)) for p, s in zip(clean, seeds, strict=True)]
        return torch.from_numpy(to_float(degraded)), torch.from_numpy(to_float(clean))

    def _crop(self, rng: np.random.Generator, crop: int) -> np.ndarray:
        picture = self.pictures[rng.choice(len(self.pictures), p=self.chance)]
        # Half of the crops from large pictures are shrunk by two: finer texture, cleaner pixels.
        shrink = 2 if min(picture.shape[:2]) >= 2 * crop and rng.random() < 0.5 else 1
        side = crop * shrink
        y, x = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
        patch = picture[y : y + side, x : x + side]
        if shrink == 2:
            patch = (patch.reshape(crop, 2, crop, 2, 3).mean((1, 3)) + 0.5).astype(np.uint8)
        patch = np.rot90(patch, int(rng.integers(4)))
        return np.ascontiguousarray(patch[:, ::-1] if rng.random() < 0.5 else patch)


def _read(folders: Sequence[Path]) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Every picture, with the folder right below its root (or the root's own name): what it is counted under."""
    for folder in folders:
        for path in find_pictures(folder):
            parts = path.relative_to(folder).parts
            yield parts[0] if len(parts) > 1 else folder.resolve().name, path, read_rgb(path)
