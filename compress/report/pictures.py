"""Sample pictures inside the page: without loss while they fit, since the difference map is drawn from them."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress.bundle.open import holds
from compress.errors import InputError, VerificationError
from compress.report.rows import precisions
from compress.results import sample as recorded
from compress.results.document import Results

if TYPE_CHECKING:
    import numpy as np

PNG_BYTES = 300_000
PAGE_BYTES = 4_600_000
WEBP_QUALITY = 90
Read = Callable[[str], bytes]
"""A bundle's file, by its path below the bundle."""


@dataclass(frozen=True)
class Picture:
    """One picture of a sample. ``label`` is degraded, clean, or an artifact's id; ``data`` its PNG file; ``size`` is
    (width, height) in px.
    """

    label: str
    data: bytes
    size: tuple[int, int]
    uri: str = ""


@dataclass(frozen=True)
class Sample:
    """The pictures of one sample, the degraded one first and the clean one last."""

    name: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """What the page embeds; ``note`` says how, and what was left out for its size."""

    samples: tuple[Sample, ...]
    lossless: bool
    note: str


def unlisted(folder: Path) -> Read:
    """How files are read of a bundle that is being written, whose manifest does not list them yet.

    Raises VerificationError for one that is missing, or not inside of ``folder``.
    """

    def read(name: str) -> bytes:
        if not holds(folder, name):
            raise VerificationError(f"{folder}: {name} is not inside the bundle: run apply again")
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise VerificationError(f"{folder}: {name} cannot be read ({error.strerror}): run apply again") from None

    return read


def gallery(read: Read, results: Results) -> Gallery:
    """Embed the samples in at most ``PAGE_BYTES`` of text.

    Tried in turn: PNG as it is (up to ``PNG_BYTES`` in all), WebP without loss, that without fp16, WebP with loss,
    that with fewer samples.
    Raises VerificationError for a picture that is missing, unreadable, or outside the bundle.
    """
    every = samples(read, results)
    if not every:
        return Gallery((), True, "")
    if sum(len(picture.data) for sample in every for picture in sample.pictures) <= PNG_BYTES:
        return Gallery(_embedded(every, _png), True, "Pictures are the bundle's PNG files.")
    half = {key for key, precision in precisions(results).items() if precision == "fp16"}
    fewer = [_without(sample, half) for sample in every]
    dropped = f"{', '.join(sorted(half))} left out to keep the page small; see the samples folder." if half else ""
    for some, note in ((every, ""), (fewer, dropped)):
        packed = _embedded(some, _webp_lossless)
        if _length(packed) <= PAGE_BYTES:
            return Gallery(packed, True, f"Pictures are lossless WebP. {note}".strip())
    return _lossy(fewer, dropped)


def samples(read: Read, results: Results) -> list[Sample]:
    """The samples that the results name. Raises VerificationError as ``gallery`` does."""
    return [_sample(read, sample) for sample in results.samples]


def _lossy(samples: Sequence[Sample], dropped: str) -> Gallery:
    packed = _embedded(samples, _webp_lossy)
    kept = len(packed)
    while kept and _length(packed[:kept]) > PAGE_BYTES:
        kept -= 1
    notes = [
        f"Pictures are WebP of quality {WEBP_QUALITY}; differences below about 3/255 come from the compression.",
        dropped,
    ]
    if kept < len(packed):
        notes.append(f"{kept} of {len(packed)} samples shown; see the samples folder.")
    return Gallery(packed[:kept], False, " ".join(filter(None, notes)))


def _sample(read: Read, sample: recorded.Sample) -> Sample:
    named = {"degraded": sample.degraded, **sample.outputs, **({"clean": sample.clean} if sample.clean else {})}
    return Sample(sample.name, tuple(_picture(read, label, name) for label, name in named.items()))


def _picture(read: Read, label: str, name: str) -> Picture:
    from compress.data.pictures import read_rgb

    if not name.lower().endswith(".png"):
        raise VerificationError(f"sample {name} must be a .png inside the bundle: run apply again")
    data = read(name)
    try:
        height, width = read_rgb(io.BytesIO(data), name).shape[:2]
    except InputError as error:
        raise VerificationError(f"sample {error}") from None
    return Picture(label, data, (width, height))


def _without(sample: Sample, labels: set[str]) -> Sample:
    return Sample(sample.name, tuple(picture for picture in sample.pictures if picture.label not in labels))


def _embedded(samples: Sequence[Sample], encode: Callable[[bytes], str]) -> tuple[Sample, ...]:
    return tuple(
        Sample(sample.name, tuple(replace(item, uri=encode(item.data)) for item in sample.pictures))
        for sample in samples
    )


def _length(samples: Sequence[Sample]) -> int:
    return sum(len(picture.uri) for sample in samples for picture in sample.pictures)


def _png(data: bytes) -> str:
    return data_uri("png", data)


def _webp_lossless(data: bytes) -> str:
    return data_uri("webp", webp(pixels(data)))


def _webp_lossy(data: bytes) -> str:
    return data_uri("webp", webp(pixels(data), lossless=False))


def pixels(data: bytes) -> "np.ndarray":
    """(H, W, 3) uint8 of a picture's file."""
    from compress.data.pictures import read_rgb

    return read_rgb(io.BytesIO(data), "sample")


def webp(pixels: "np.ndarray", *, lossless: bool = True) -> bytes:
    """The WebP file of (H, W, 3) uint8."""
    from PIL import Image

    buffer = io.BytesIO()
    if lossless:
        Image.fromarray(pixels).save(buffer, "webp", lossless=True, quality=60, method=3)
    else:
        Image.fromarray(pixels).save(buffer, "webp", quality=WEBP_QUALITY)
    return buffer.getvalue()


def data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
