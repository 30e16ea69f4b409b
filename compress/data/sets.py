"""Sets of clean pictures and their degraded inputs, for calibration and validation, streamed one at a time."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from compress.data.degradations import degrade
from compress.data.names import set_names
from compress.data.sources import FolderPictures, HubPictures, Pictures
from compress.errors import InputError
from compress.files import sha256_text
from compress.recipe import library
from compress.recipe.calibration_set import BundledSource, CalibrationSet, FolderSource, HubSource
from compress.recipe.task import Task, task_degradation
from compress.recipe.validation import load_model
from compress.surroundings import expanded


@dataclass(frozen=True, eq=False)
class Item:
    """One crop: ``clean`` and ``degraded`` are (crop, crop, 3) uint8 on the same grid."""

    name: str
    clean: np.ndarray
    degraded: np.ndarray
    sha256: str
    """Of the whole source picture's RGB pixels."""
    crop_sha256: str
    """Of the clean crop's pixels."""


@dataclass(frozen=True)
class PictureRecord:
    """What a set remembers of a picture: where it came from and its hashes, no pixels."""

    origin: str
    sha256: str
    crop_sha256: str


class PictureSet:
    """Iterating gives Items, one at a time, the same ones every time; nothing but hashes is kept."""

    def __init__(self, settings: CalibrationSet, task: Task, pictures: Pictures, name: str) -> None:
        self.name = name
        self.settings = settings
        self.steps = task_degradation(task) if settings.degradation == "task" else settings.degradation
        self._pictures = pictures
        self.notes = pictures.notes
        self._seen: list[PictureRecord] | None = None

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def longest_name(self) -> str:
        """The Item's name that takes most room in a file system."""
        return self._pictures.longest_name

    def __iter__(self) -> Iterator[Item]:
        for name, clean, seen in self._crops():
            degraded = degrade(clean, self.steps, self._seed(seen))
            yield Item(name, clean, degraded, seen.sha256, seen.crop_sha256)

    @property
    def seen(self) -> list[PictureRecord]:
        """Origins and hashes of the pictures, in order; reads the pictures when they have not been read yet."""
        if self._seen is None:
            for _ in self._crops():
                pass
        assert self._seen is not None
        return self._seen

    @property
    def hash(self) -> str:
        """Hex sha256 over the pictures' and crops' hashes and every setting that changes an Item."""
        facts = {
            "items": [(seen.sha256, seen.crop_sha256) for seen in self.seen],
            "steps": [step.model_dump() for step in self.steps],
            "seed": self.settings.seed,
        }
        return sha256_text(json.dumps(facts, sort_keys=True))

    def check(self) -> None:
        """Read a folder's pictures once. Raises InputError for one that cannot be read or is too small.

        A hub's are not read twice: those that cannot be used are left out there.
        """
        if not isinstance(self.settings.source, HubSource):
            _ = self.seen

    def _crops(self) -> Iterator[tuple[str, np.ndarray, PictureRecord]]:
        everything = []
        for name, origin, image in self._pictures:
            source = pixels_sha256(np.asarray(image))
            clean = self._crop(origin, image, source)
            seen = PictureRecord(origin, source, pixels_sha256(clean))
            everything.append(seen)
            yield name, clean, seen
        self._seen = everything

    def _crop(self, origin: str, image: Image.Image, sha256: str) -> np.ndarray:
        side = self.settings.crop
        width, height = image.size
        if self.settings.crop_at == "whole":
            whole = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
            return np.asarray(whole)
        if min(width, height) < side:
            raise InputError(
                f"{origin}: {width} x {height} px, smaller than the crop of {side} px: "
                "leave the picture out, or lower the crop (a recipe's image_size)"
            )
        left, top = (width - side) // 2, (height - side) // 2
        if self.settings.crop_at == "random":
            rng = np.random.default_rng((self.settings.seed, int(sha256[:16], 16)))
            left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        return np.array(image.crop((left, top, left + side, top + side)))

    def _seed(self, seen: PictureRecord) -> int:
        """A noise of its own for each crop, whatever the order and the number of the pictures."""
        return self.settings.seed + int(seen.crop_sha256[:16], 16)


def pixels_sha256(picture: np.ndarray) -> str:
    """Hex sha256 of a picture (H, W, 3) uint8: its size and its pixels, not its file."""
    digest = hashlib.sha256(f"{picture.shape[0]}x{picture.shape[1]}:".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def load_set(name_or_path: str, task: Task, crop: int | None = None, name: str | None = None) -> PictureSet:
    """The set of a built-in name, of a set's YAML, or of a folder of pictures (all of them, centre crops of 256 px).

    ``crop``, in px, stands in for the set's own: a model of a static shape calibrates and is measured at that shape.
    ``name``: what it is called, one of ``set_names`` where there are several.
    Raises InputError when there is no such set, when it is not valid, or when it has too few pictures.
    """
    path = library.find("calibration", name_or_path)
    if path.is_dir():
        settings, base = _of_folder(path), Path()
    else:
        settings, base = load_model(CalibrationSet, path), path.parent
    if crop is not None:
        settings = settings.model_copy(update={"crop": crop})
    return PictureSet(settings, task, _pictures(settings, base), name or set_names([name_or_path])[0])


def _of_folder(folder: Path) -> CalibrationSet:
    source = {"kind": "folder", "path": str(folder)}
    return CalibrationSet.model_validate({"version": 1, "name": "pictures", "source": source})


def _pictures(settings: CalibrationSet, base: Path) -> Pictures:
    """``base``: the folder that a relative path starts from."""
    match settings.source:
        case BundledSource(folder=folder):
            return FolderPictures(library.data_folder("calibration") / "photos" / folder, settings.count)
        case FolderSource(path=path):
            return FolderPictures(base / expanded(path), settings.count)
        case HubSource() as source:
            if settings.count is None:
                raise InputError(f"{settings.name}: a hub set must say how many pictures to take: add count, say 32")
            return HubPictures(source, settings.count, settings.crop)
    raise AssertionError(settings.source)  # the schema admits no other kind


def check_disjoint(calibration: PictureSet, validation: Sequence[PictureSet]) -> None:
    """Raise InputError, naming both files, when a validation picture, or its crop, is one of calibration's."""
    known = {value: seen.origin for seen in calibration.seen for value in (seen.sha256, seen.crop_sha256)}
    for pictures in validation:
        for seen in pictures.seen:
            twin = known.get(seen.sha256) or known.get(seen.crop_sha256)
            if twin:
                raise InputError(
                    f"calibration set {calibration.name} and validation set {pictures.name} share a picture: "
                    f"{twin} and {seen.origin} hold the same pixels: take it out of one of them"
                )
