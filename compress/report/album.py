"""Sample pictures of several bundles in one page, each stored once and, while they fit, without loss."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compress.report.pictures import WEBP_QUALITY, Picture, samples
from compress.report.rows import Results

if TYPE_CHECKING:
    from pathlib import Path

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
class Album:
    """What the page embeds. An image of ``samples`` is {label, image, base}: ``base`` null, or the image to add to."""

    images: list[str]
    samples: list[dict[str, Any]]
    lossless: bool
    note: str


def album(bundles: "Sequence[tuple[Path, Results, Mapping[str, str]]]") -> Album:
    """The samples of bundles given as (folder, results, artifact id -> the file's hash), in ``IMAGES_BYTES`` of text.

    The same clean and degraded picture in two bundles is one sample. Outputs that resemble each other are stored as
    their difference from the first, modulo 256: about half the bytes, and still exact. What is too much is left out
    by whole samples; only when not even one fits are they stored with loss.
    Raises VerificationError for a picture that is missing, unreadable, or outside its bundle.
    """
    every = sorted(_merged(bundles), key=lambda sample: -len(sample.pictures))
    if not every:
        return Album([], [], True, "")
    for lossless in (True, False):
        kept = _fitting(every, lossless)
        if kept.samples:
            break
    notes = ["Pictures are stored without loss."] if kept.lossless else [_loss()]
    if len(kept.samples) < len(every):
        notes.append(
            f"{len(kept.samples)} of {len(every)} samples shown, for the page's size; see the samples folders."
        )
    return Album(kept.images, kept.samples, kept.lossless, " ".join(notes))


def _loss() -> str:
    return f"Pictures are WebP of quality {WEBP_QUALITY}; differences below about 3/255 are the coder's."


def _merged(bundles: "Sequence[tuple[Path, Results, Mapping[str, str]]]") -> list[PagePicture]:
    found: dict[tuple[str, ...], PagePicture] = {}
    for folder, results, files in bundles:
        for sample in samples(folder, results):
            own = {picture.label: picture for picture in sample.pictures}
            key = tuple(_sha(own[label].path) if label in own else "" for label in OWN)
            into = found.setdefault(key, PagePicture(sample.name))
            for label, picture in own.items():
                if label in OWN or label in files:
                    into.pictures.setdefault(files.get(label, label), picture)
    return list(found.values())


def _sha(path: "Path") -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fitting(every: Sequence[PagePicture], lossless: bool) -> Album:
    images: dict[str, int] = {}
    kept: list[dict[str, Any]] = []
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
            {"label": label, "image": images[uri], "base": None if base is None else images[base]}
            for label, uri, base in stored
        ]
        size = next(iter(sample.pictures.values())).size
        kept.append({"name": sample.name, "size": list(size), "pictures": shown})
    return Album(list(images), kept, lossless, "")


def _stored(sample: PagePicture) -> list[tuple[str, str, str | None]]:
    """(label, image, image that it is the difference from) of each picture; the first output is the others' base."""
    import numpy as np

    stored: list[tuple[str, str, str | None]] = []
    base: tuple[np.ndarray, str] | None = None
    for label, picture in sample.pictures.items():
        pixels = _pixels(picture)
        if label in OWN:
            stored.append((label, _webp(pixels), None))
        elif base is None or base[0].shape != pixels.shape:
            base = base or (pixels, _webp(pixels))
            stored.append((label, base[1] if pixels is base[0] else _webp(pixels), None))
        else:
            stored.append((label, _webp(pixels - base[0] + np.uint8(MIDDLE)), base[1]))
    return stored


def _lossy(sample: PagePicture) -> list[tuple[str, str, str | None]]:
    return [(label, _webp(_pixels(picture), False), None) for label, picture in sample.pictures.items()]


def _pixels(picture: Picture) -> "np.ndarray":
    """(H, W, 3) uint8."""
    from compress.data.pictures import read_rgb

    return read_rgb(picture.path)


def _webp(pixels: "np.ndarray", lossless: bool = True) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "quality": 60, "method": 3} if lossless else {"quality": WEBP_QUALITY}
    Image.fromarray(pixels).save(buffer, "webp", **options)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
