"""Training crops: batch number i depends on the seed and i alone, so that a resumed run sees what it would have."""

import sys
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compress.data.census import Census
from compress.data.degradations import degrade
from compress.data.folders import scan
from compress.data.pictures import to_float
from compress.data.sets import pixels_sha256
from compress.data.stream import PictureStream
from compress.errors import InputError
from compress.files import real_path
from compress.recipe.degradation import Degradation
from compress.recipe.task import Task, task_degradation
from compress.recipe.train import TrainSource
from compress.surroundings import expanded


class TrainingPictures:
    """Clean pictures; ``batch`` draws random, flipped, turned, sometimes halved crops.

    Those of ``folders`` are all in memory (8 bits a channel), those of ``streams`` a pool at a time. Unreadable and
    small pictures are skipped, others converted to RGB; ``report`` tells. Every ``stride`` batches the streams begin
    again, in another order.
    Raises InputError when a folder is missing, or when no picture has ``min_side`` px a side.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        steps: Sequence[Degradation],
        seed: int,
        min_side: int,
        streams: Sequence[PictureStream] = (),
        stride: int = sys.maxsize,
    ) -> None:
        self.steps, self.seed, self.min_side = steps, seed, min_side
        self.streams, self.stride = streams, stride
        self.paths: list[Path] = []
        self.pictures: list[np.ndarray] = []
        self.census = Census()
        self._groups: Counter[str] = Counter()
        self._left_out: list[str] = []
        for folder in folders:
            self._read(folder)
        if folders and not self.pictures:
            names, why = ", ".join(map(str, folders)), self.census.why_skipped
            raise InputError(
                f"{names}: no picture of {min_side} px or more a side{f' ({why})' if why else ''}: add some"
            )
        for stream in streams:
            stream.pool(0, 0)  # a set that cannot be read fails now, not after the first stage's pictures
        self.chance = _chance(self.pictures) if self.pictures else np.empty(0)
        self.report = self._report()
        self.description = self._description()

    def batch(self, index: int, count: int, crop: int, share: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """(degraded, clean), each (count, 3, crop, crop) float32 in [0, 1]; ``crop`` is ``min_side`` at most.

        Of the ``count`` pairs only those of ``share`` are degraded and returned, the same as in the whole batch.
        """
        if crop > self.min_side:
            raise ValueError(f"crop (={crop}) must be at most min_side (={self.min_side}), which pictures were kept by")
        rng = np.random.default_rng((self.seed, index))
        pictures, chance = self._at(index)
        clean = [_crop(pictures[rng.choice(len(pictures), p=chance)], rng, crop) for _ in range(count)]
        seeds = rng.integers(2**31, size=count)
        clean, seeds = clean[share], seeds[share]
        degraded = [degrade(p, self.steps, int(s)) for p, s in zip(clean, seeds, strict=True)]
        return torch.from_numpy(to_float(degraded)), torch.from_numpy(to_float(clean))

    def _at(self, index: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The pictures that batch ``index`` draws from, and how often each."""
        if not self.streams:
            return self.pictures, self.chance
        order, step = divmod(index, self.stride)
        pictures = self.pictures + [picture for stream in self.streams for picture in stream.pool(order, step)]
        return pictures, _chance(pictures)

    def _read(self, folder: Path) -> None:
        listing = scan(folder)
        self._left_out += listing.words(folder)
        for path in listing.pictures:
            picture = self.census.take(path, path.name, self.min_side)
            if picture is None:
                continue
            self.paths.append(path)
            self.pictures.append(picture)
            # Counted under the folder right below its root, or under the root's own name.
            parts = path.relative_to(folder).parts
            self._groups[parts[0] if len(parts) > 1 else real_path(folder).name] += 1

    def _report(self) -> list[str]:
        folders = [f"training pictures: {self.census.in_words}"] if self.pictures else []
        return (
            folders
            + self._left_out
            + [
                f"training pictures of {stream.name}, first {stream.source.pool} rows: {stream.census.in_words}"
                for stream in self.streams
            ]
        )

    def _description(self) -> str:
        parts = [f"{stream.name} streamed, {stream.source.pool} rows at a time" for stream in self.streams]
        if self.pictures:
            groups = ", ".join(f"{name} {count}" for name, count in self._groups.items())
            own = f"{len(self.pictures)} pictures of {self.min_side} px or more a side: {groups}"
            parts = [own, *filter(None, [self.census.in_short]), *parts]
        return "; ".join(parts)


def open_pictures(
    sources: Sequence[TrainSource],
    task: Task,
    seed: int,
    min_side: int,
    stride: int,
    held_back: Container[str],
    instead: str,
) -> TrainingPictures:
    """Every clean picture that holds ``min_side`` px; those of hub data sets as training goes on.

    A hub's picture whose pixels (``pixels_sha256``) are ``held_back`` for validation is left out. ``instead``: what to
    do where a folder is missing. Raises InputError as `TrainingPictures` does.
    """
    folders = [expanded(source) for source in sources if isinstance(source, str)]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder of training pictures: fill it as docs/training.md says, or {instead}"
            )
    hub = [source for source in sources if not isinstance(source, str)]
    streams = [PictureStream(source, seed, min_side, held_back) for source in hub]
    return TrainingPictures(folders, task_degradation(task), seed, min_side, streams, stride)


def refuse_twins(training: TrainingPictures, held_back: Mapping[str, str]) -> None:
    """Raise InputError when a training picture in a folder, or its crop, is ``held_back`` (hash -> its origin)."""
    for path, picture in zip(training.paths, training.pictures, strict=True):
        if twin := held_back.get(pixels_sha256(picture)):
            raise InputError(
                f"training and validation share a picture: {path} and {twin} hold the same pixels: "
                "take it out of one of them"
            )


def _chance(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """A big picture holds more crops, but not so many that it drowns the others."""
    areas = np.sqrt([p.shape[0] * p.shape[1] for p in pictures])
    return areas / areas.sum()


def _crop(picture: np.ndarray, rng: np.random.Generator, crop: int) -> np.ndarray:
    # Half of the crops from large pictures are shrunk by two: finer texture, cleaner pixels.
    shrink = 2 if min(picture.shape[:2]) >= 2 * crop and rng.random() < 0.5 else 1
    side = crop * shrink
    y, x = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
    patch = picture[y : y + side, x : x + side]
    if shrink == 2:
        patch = (patch.reshape(crop, 2, crop, 2, 3).mean((1, 3)) + 0.5).astype(np.uint8)
    patch = np.rot90(patch, int(rng.integers(4)))
    return np.ascontiguousarray(patch[:, ::-1] if rng.random() < 0.5 else patch)
