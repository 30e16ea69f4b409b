"""Sets of clean pictures and their degraded inputs, for calibration and validation, streamed one at a time."""

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps

from compress.data.degradations import degrade_both
from compress.data.names import set_names
from compress.data.open import suffixes
from compress.data.pairs import PairedPictures
from compress.data.sources import FolderPictures, HubPictures, NamedPicture, Pictures
from compress.errors import InputError
from compress.files import sha256_text
from compress.recipe import library
from compress.recipe.calibration_set import BundledSource, CalibrationSet, FolderSource, HubSource
from compress.recipe.degradation import BlindSuperResolution, SuperResolution
from compress.recipe.image_size import Shape
from compress.recipe.task import Task, task_degradation, task_scale
from compress.recipe.validation import load_model
from compress.refusals import Refusals, few_pictures, shortened
from compress.surroundings import expanded

NO_TRUTH = (
    "no true pictures: what is held against them (PSNR, SSIM, LPIPS, colour shift) is missing; NIQE needs none, nor "
    "does what is held against fp32"
)


@dataclass(frozen=True, eq=False)
class Item:
    """One crop: ``clean`` and ``degraded`` are (height, width, 3) uint8 on the same grid."""

    name: str
    clean: np.ndarray | None
    """None where the set has no true pictures."""
    degraded: np.ndarray
    sha256: str
    """Hash of the RGB pixels of the whole source picture."""
    crop_sha256: str
    """Hash of the clean crop's pixels, or of the degraded crop's if there is no clean one."""
    image: np.ndarray | None = None
    """What becomes ``degraded`` when the task's scale enlarges it: ``degraded`` itself, where that is 1; None where it
    is not known."""

    @property
    def truth(self) -> np.ndarray:
        """``clean``, in a set that has true pictures."""
        assert self.clean is not None, f"{self.name}: no truth"  # PictureSet.require_truth refuses it before
        return self.clean


@dataclass(frozen=True)
class PictureRecord:
    """What a set remembers of a picture: where it came from and its hashes, no pixels.

    ``low``: of a pair, the hashes of the low picture on the output grid and of its crop.
    """

    origin: str
    sha256: str
    crop_sha256: str
    low: tuple[str, ...] = ()

    @property
    def hashes(self) -> tuple[str, ...]:
        """Every one: a picture of another set that has one of them is the same picture."""
        return self.sha256, self.crop_sha256, *self.low


_Crop: TypeAlias = tuple[str, np.ndarray | None, np.ndarray | None, PictureRecord]
"""Name, clean and low crop, of which one may be missing, and record of a picture."""


class PictureSet:
    """Iterating gives Items, one at a time, the same ones every time; nothing but hashes is kept."""

    def __init__(
        self, settings: CalibrationSet, task: Task, pictures: Pictures, name: str, crop: Shape | None = None
    ) -> None:
        self.name = name
        self.settings = settings
        self.crop = crop or (settings.crop, settings.crop)
        self._only_large = False
        self.steps = task_degradation(task) if settings.degradation == "task" else settings.degradation
        if settings.pairs is not None:
            self.steps = []
        self.scale = task_scale(task)
        self._pictures = pictures
        self.notes = [*pictures.notes, *([self.truth_note] if self.truth_note else [])]
        self._seen: list[PictureRecord] | None = None

    def __len__(self) -> int:
        return len(self.seen) if self._only_large else len(self._pictures)

    def at(self, crop: Shape) -> "PictureSet":
        """The same pictures at another crop, those that are too small for it left out."""
        other = copy.copy(self)
        other.crop, other._only_large, other._seen = crop, True, None
        return other

    @property
    def has_truth(self) -> bool:
        """Whether its Items have a clean picture."""
        return self.settings.pairs is None or self.settings.pairs.high is not None

    @property
    def truth_note(self) -> str:
        """A note that the set has no truth, and what is measured then; empty if it has."""
        return "" if self.has_truth else f"{self.name}: {NO_TRUTH}"

    def require_truth(self, asks: str) -> None:
        """Raise InputError where there is no truth; ``asks``: what needs it, in words."""
        if not self.has_truth:
            raise InputError(
                f"{self.name}: has no true pictures, and {asks}: give pairs.high in its file, or name another set"
            )

    def require_images(self, asks: str) -> None:
        """Raise InputError where an Item's ``image`` is not known; ``asks``: what needs it, in words."""
        last = self.steps[-1] if self.steps else None
        enlarges = isinstance(last, SuperResolution | BlindSuperResolution) and last.scale == self.scale
        if self.scale > 1 and not enlarges:
            why = "its pairs stand on the output grid" if self.settings.pairs else "its degradation does not end so"
            raise InputError(
                f"{self.name}: {asks} needs pictures before they are enlarged {self.scale} times, and {why}: name a "
                "set of the task's own degradation"
            )

    @property
    def longest_name(self) -> str:
        """The Item's name that takes most room in a file system."""
        return self._pictures.longest_name

    def __iter__(self) -> Iterator[Item]:
        for name, clean, low, seen in self._crops():
            small = None
            if low is None:
                assert clean is not None  # a NamedPicture has one of the two
                low, small = degrade_both(clean, self.steps, self._seed(seen))
            fits = small is not None and small.shape[0] * self.scale == low.shape[0]
            image = low if self.scale == 1 else small if fits else None
            yield Item(name, clean, low, seen.sha256, seen.crop_sha256, image)

    @property
    def seen(self) -> list[PictureRecord]:
        """Origins and hashes of the pictures, in order; reads the pictures when they have not been read yet.

        Raises InputError for those that cannot be read or are too small, by reason, the first few of each by name.
        """
        if self._seen is None:
            refusals, seen = Refusals(), []
            for read in self._pictures.reads():
                with refusals.gathered():
                    if self._takes(picture := read()):
                        seen.append(self._cropped(picture)[-1])
            refusals.refuse(partial(few_pictures, self.name))
            self._seen = seen
        return self._seen

    @property
    def hash(self) -> str:
        """Hex sha256 over the pictures' and crops' hashes and every setting that changes an Item."""
        facts = {
            "items": [seen.hashes for seen in self.seen],
            "steps": [step.model_dump() for step in self.steps],
            "seed": self.settings.seed,
        }
        return sha256_text(json.dumps(facts, sort_keys=True))

    def check(self) -> None:
        """Read a folder's pictures once. Raises InputError as ``seen``.

        A hub's are not read twice: those that cannot be used are left out there.
        """
        if not self.is_remote:
            _ = self.seen

    @property
    def is_remote(self) -> bool:
        """Whether reading its pictures asks the network for them."""
        return isinstance(self.settings.source, HubSource)

    def _crops(self) -> Iterator[_Crop]:
        everything = []
        for picture in self._pictures:
            if self._takes(picture):
                crop = self._cropped(picture)
                everything.append(crop[-1])
                yield crop
        self._seen = everything

    def _cropped(self, picture: NamedPicture) -> _Crop:
        name, origin, *pair = picture
        wholes = [pixels_sha256(np.asarray(image)) for image in pair if image is not None]
        # Both at one place, which the true picture decides.
        clean, low = (None if image is None else self._crop(origin, image, wholes[0]) for image in pair)
        crops = [pixels_sha256(crop) for crop in (clean, low) if crop is not None]
        return name, clean, low, PictureRecord(origin, wholes[0], crops[0], (*wholes[1:], *crops[1:]))

    def _takes(self, picture: NamedPicture) -> bool:
        """Whether it is of the set: too small a picture is refused, but in a set that leaves such out."""
        image = picture.clean or picture.low
        return not self._only_large or image is None or self._fits(image)

    def _fits(self, image: Image.Image) -> bool:
        rows, columns = self.crop
        return self.settings.crop_at == "whole" or (image.width >= columns and image.height >= rows)

    def _crop(self, origin: str, image: Image.Image, sha256: str) -> np.ndarray:
        rows, columns = self.crop
        width, height = image.size
        if self.settings.crop_at == "whole":
            whole = ImageOps.fit(image, (columns, rows), Image.Resampling.BICUBIC)
            return np.asarray(whole)
        if not self._fits(image):
            crop = f"{rows} px" if rows == columns else f"{columns} x {rows} px"
            raise InputError(
                f"{origin}: {width} x {height} px, smaller than the crop of {crop}: "
                "leave the picture out, or lower the crop (a recipe's image_size)"
            )
        left, top = (width - columns) // 2, (height - rows) // 2
        if self.settings.crop_at == "random":
            rng = np.random.default_rng((self.settings.seed, int(sha256[:16], 16)))
            left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
        return np.array(image.crop((left, top, left + columns, top + rows)))

    def _seed(self, seen: PictureRecord) -> int:
        """A noise of its own for each crop, whatever the order and the number of the pictures."""
        return self.settings.seed + int(seen.crop_sha256[:16], 16)


def pixels_sha256(picture: np.ndarray) -> str:
    """Hex sha256 of a picture (H, W, 3) uint8: its size and its pixels, not its file."""
    digest = hashlib.sha256(f"{picture.shape[0]}x{picture.shape[1]}:".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def load_set(name_or_path: str, task: Task, crop: Shape | None = None, name: str | None = None) -> PictureSet:
    """The set of a built-in name, of a set's YAML, or of a folder of pictures (all of them, centre crops of 256 px).

    ``crop`` stands in for the set's own: a model of a static shape calibrates and is measured at that shape.
    ``name``: what it is called, one of ``set_names`` where there are several.
    Raises InputError when there is no such set, when it is not valid, or when it has too few pictures.
    """
    path = library.find("calibration", name_or_path)
    if path.is_dir():
        settings, base = _of_folder(path), Path()
    elif path.suffix.lower() in suffixes():
        raise InputError(f"{path}: is a picture, not a set: give the folder that holds it")
    else:
        settings, base = load_model(CalibrationSet, path), path.parent
    crop = crop or (settings.crop, settings.crop)
    return PictureSet(settings, task, _pictures(settings, base, task, crop), name or set_names([name_or_path])[0], crop)


def _of_folder(folder: Path) -> CalibrationSet:
    source = {"kind": "folder", "path": str(folder)}
    return CalibrationSet.model_validate({"version": 1, "name": "pictures", "source": source})


def _pictures(settings: CalibrationSet, base: Path, task: Task, crop: Shape) -> Pictures:
    """``base``: the folder that a relative path starts from."""
    if (pairs := settings.pairs) is not None:
        high = None if pairs.high is None else base / expanded(pairs.high)
        return PairedPictures(base / expanded(pairs.low), high, settings.count, task, enlarged=pairs.enlarged)
    match settings.source:
        case BundledSource(folder=folder):
            return FolderPictures(library.data_folder("calibration") / "photos" / folder, settings.count)
        case FolderSource(path=path):
            return FolderPictures(base / expanded(path), settings.count)
        case HubSource() as source:
            if settings.count is None:
                raise InputError(f"{settings.name}: a hub set must say how many pictures to take: add count, say 32")
            return HubPictures(source, settings.count, crop)
    raise AssertionError(settings.source)  # the schema admits no other kind


def check_disjoint(calibration: PictureSet, validation: Sequence[PictureSet]) -> None:
    """Raise InputError, a line for each validation picture that is, or whose crop is, one of calibration's."""
    known = {value: seen.origin for seen in calibration.seen for value in seen.hashes}
    twins = [
        f"calibration set {calibration.name} and validation set {pictures.name} share a picture: {known[shared[0]]} "
        f"and {seen.origin} hold the same pixels: take it out of one of them"
        for pictures in validation
        for seen in pictures.seen
        if (shared := [value for value in seen.hashes if value in known])
    ]
    if twins:
        raise InputError(*shortened(twins))
