"""Sample pictures inside the page: without loss while they fit, since the difference map is drawn from them."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.bundle.manifest import is_own_file
from compress.errors import InputError, VerificationError
from compress.report.rows import Results, listed, precisions

PNG_BYTES = 300_000
PAGE_BYTES = 4_600_000
WEBP_QUALITY = 90
ENDINGS = (".png",)


@dataclass(frozen=True)
class Picture:
    """One picture of a sample. ``label`` is degraded, clean, or an artifact's id; ``size`` is (width, height) in px."""

    label: str
    path: Path
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


def gallery(bundle: Path, results: Results) -> Gallery:
    """Embed the samples in at most ``PAGE_BYTES`` of text.

    Tried in turn: PNG as it is (up to ``PNG_BYTES`` in all), WebP without loss, that without fp16, WebP with loss,
    that with fewer samples.
    Raises VerificationError for a picture that is missing, unreadable, or outside the bundle.
    """
    every = samples(bundle, results)
    if not every:
        return Gallery((), True, "")
    if sum(picture.path.stat().st_size for sample in every for picture in sample.pictures) <= PNG_BYTES:
        return Gallery(_embedded(every, _png), True, "Pictures are the bundle's PNG files.")
    half = {key for key, precision in precisions(results).items() if precision == "fp16"}
    fewer = [_without(sample, half) for sample in every]
    dropped = f"{', '.join(sorted(half))} left out here for size; see the samples folder." if half else ""
    for some, note in ((every, ""), (fewer, dropped)):
        packed = _embedded(some, _webp_lossless)
        if _length(packed) <= PAGE_BYTES:
            return Gallery(packed, True, f"Pictures are WebP without loss. {note}".strip())
    return _lossy(fewer, dropped)


def samples(bundle: Path, results: Results) -> list[Sample]:
    """The samples that the results name, as files. Raises VerificationError as ``gallery`` does."""
    return [_sample(bundle, item) for item in listed(results, "samples")]


def _lossy(samples: Sequence[Sample], dropped: str) -> Gallery:
    packed = _embedded(samples, _webp_lossy)
    kept = len(packed)
    while kept and _length(packed[:kept]) > PAGE_BYTES:
        kept -= 1
    notes = [f"Pictures are WebP of quality {WEBP_QUALITY}; differences below about 3/255 are the coder's.", dropped]
    if kept < len(packed):
        notes.append(f"{kept} of {len(packed)} samples shown; see the samples folder.")
    return Gallery(packed[:kept], False, " ".join(filter(None, notes)))


def _sample(bundle: Path, item: Mapping[str, Any]) -> Sample:
    named = {"degraded": item.get("degraded"), **(item.get("outputs") or {}), "clean": item.get("clean")}
    pictures = tuple(_picture(bundle, str(label), str(path)) for label, path in named.items() if path)
    return Sample(str(item.get("name")), pictures)


def _picture(bundle: Path, label: str, name: str) -> Picture:
    from compress.data.pictures import read_rgb

    path = bundle / name
    if path.suffix.lower() not in ENDINGS or not is_own_file(bundle, name):
        raise VerificationError(f"{bundle}: sample {name} must be a .png inside the bundle: run apply again")
    try:
        height, width = read_rgb(path).shape[:2]
        return Picture(label, path, (width, height))
    except InputError:
        raise VerificationError(f"{bundle}: sample {name} is missing or no picture: run apply again") from None


def _without(sample: Sample, labels: set[str]) -> Sample:
    return Sample(sample.name, tuple(picture for picture in sample.pictures if picture.label not in labels))


def _embedded(samples: Sequence[Sample], encode: Any) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            sample.name,
            tuple(Picture(item.label, item.path, item.size, encode(item.path)) for item in sample.pictures),
        )
        for sample in samples
    )


def _length(samples: Sequence[Sample]) -> int:
    return sum(len(picture.uri) for sample in samples for picture in sample.pictures)


def _png(path: Path) -> str:
    return _uri("png", path.read_bytes())


def _webp_lossless(path: Path) -> str:
    return _webp(path, lossless=True, quality=60, method=3)


def _webp_lossy(path: Path) -> str:
    return _webp(path, quality=WEBP_QUALITY)


def _webp(path: Path, **options: Any) -> str:
    from compress.data.pictures import open_rgb

    buffer = io.BytesIO()
    open_rgb(path).save(buffer, "webp", **options)
    return _uri("webp", buffer.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
