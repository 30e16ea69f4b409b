"""Sample pictures of several bundles in one page, each stored once and, while they fit, without loss."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compress.report.pictures import WEBP_QUALITY, Picture, Read, data_uri, pixels, samples, webp
from compress.results.document import Results

if TYPE_CHECKING:
    import numpy as np

IMAGES_BYTES = 4_400_000
OWN = ("degraded", "clean")
MIDDLE = 128


@dataclass
class PagePicture:
    """One picture of the page, by bundle: ``pictures`` maps a label (degraded, clean, or a file's hash) to its file."""

    name: str
    pictures: "dict[str, Picture]" = field(default_factory=dict)


@dataclass(frozen=True)
class AlbumPicture:
    """One picture of a sample. ``image``: which of the album's; ``base``: the image to add it to, if any."""

    label: str
    image: int
    base: int | None


@dataclass(frozen=True)
class AlbumSample:
    """One sample; ``size`` is (width, height) in px."""

    name: str
    size: tuple[int, int]
    pictures: list[AlbumPicture]


@dataclass(frozen=True)
class Album:
    """What the page embeds: every image once, as a data URI, and the samples that show them."""

    images: list[str]
    samples: list[AlbumSample]
    lossless: bool
    note: str


def album(bundles: Sequence[tuple[Read, Results, Mapping[str, str]]]) -> Album:
    """The samples of bundles, in ``IMAGES_BYTES`` of text.

    A bundle is given as how to read a file of it, its results, and the hash of each artifact's file.

    The same clean and degraded picture in two bundles is one sample. Outputs that resemble each other are stored as
    their difference from the first, modulo 256: about half the bytes, and still exact. What is too much is left out
    by whole samples; only when not even one fits are they stored with loss.
    Raises VerificationError for a picture that is missing, unreadable, or outside its bundle.
    """
    every = sorted(_merged(bundles), key=lambda sample: -len(sample.pictures))
    if not every:
        return Album([], [], True, "")
    for lossless in (True, False):
        kept = _fitting(every, lossless=lossless)
        if kept.samples:
            break
    notes = ["Pictures are stored without loss."] if kept.lossless else [_loss()]
    if len(kept.samples) < len(every):
        notes.append(
            f"{len(kept.samples)} of {len(every)} samples shown, to keep the page small; see the samples folders."
        )
    return Album(kept.images, kept.samples, kept.lossless, " ".join(notes))


def _loss() -> str:
    return f"Pictures are WebP of quality {WEBP_QUALITY}; differences below about 3/255 come from the compression."


def _merged(bundles: Sequence[tuple[Read, Results, Mapping[str, str]]]) -> list[PagePicture]:
    pictures: dict[tuple[str, ...], PagePicture] = {}
    for read, results, files in bundles:
        for sample in samples(read, results):
            own = {picture.label: picture for picture in sample.pictures}
            key = tuple(hashlib.sha256(own[label].data).hexdigest() if label in own else "" for label in OWN)
            into = pictures.setdefault(key, PagePicture(sample.name))
            for label, picture in own.items():
                if label in OWN or label in files:
                    into.pictures.setdefault(files.get(label, label), picture)
    return list(pictures.values())


def _fitting(every: Sequence[PagePicture], *, lossless: bool) -> Album:
    images: dict[str, int] = {}
    kept: list[AlbumSample] = []
    used = 0
    for sample in every:
        stored = _stored(sample) if lossless else _lossy(sample)
        fresh = {uri for _, uri, _ in stored} - set(images)
        if used + sum(map(len, fresh)) > IMAGES_BYTES:
            break
        used += sum(map(len, fresh))
        for _, uri, _ in stored:
            images.setdefault(uri, len(images))
        shown = [
            AlbumPicture(label, images[uri], None if base is None else images[base]) for label, uri, base in stored
        ]
        kept.append(AlbumSample(sample.name, next(iter(sample.pictures.values())).size, shown))
    return Album(list(images), kept, lossless, "")


def _stored(sample: PagePicture) -> list[tuple[str, str, str | None]]:
    """(label, image, image that it is the difference from) of each picture; the first output is the others' base."""
    import numpy as np

    stored: list[tuple[str, str, str | None]] = []
    base: tuple[np.ndarray, str] | None = None
    for label, picture in sample.pictures.items():
        own = pixels(picture.data)
        if label in OWN:
            stored.append((label, _webp(own), None))
        elif base is None or base[0].shape != own.shape:
            base = base or (own, _webp(own))
            stored.append((label, base[1] if own is base[0] else _webp(own), None))
        else:
            stored.append((label, _webp(own - base[0] + np.uint8(MIDDLE)), base[1]))
    return stored


def _lossy(sample: PagePicture) -> list[tuple[str, str, str | None]]:
    return [(label, _webp(pixels(picture.data), lossless=False), None) for label, picture in sample.pictures.items()]


def _webp(pixels: "np.ndarray", *, lossless: bool = True) -> str:
    return data_uri("webp", webp(pixels, lossless=lossless))
