"""What the samples of an opened picture mean, and the same picture with 8 bits a channel.

Pillow's mode says how samples lie in memory. How bright they are follows from what the file declares: bits per sample,
sample format, photometric interpretation. Where that leaves two readings open, the picture is refused with the values
that were found: taken wrongly, it would be black or white, without a message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFile

from compress.errors import InputError

SLACK = 0.1
"""How far floating-point samples may lie outside of 0 to 1: sharpening and resampling overshoot by less."""
DARK = 16
"""A 16-bit picture whose brightest sample is below the full range by this factor may hold 12 bits: it is reported."""
_STRIP = 256  # rows at a time
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _SMIN, _SMAX = 258, 262, 339, 340, 341  # TIFF tags


Kind = Literal["unsigned", "signed", "float"]


class UnknownRange(InputError):
    """It is open which sample is white."""


@dataclass(frozen=True)
class Meaning:
    """What a file declares of its samples. ``low`` and ``high``: what black and white are, where it declares these."""

    bits: int
    kind: Kind
    white_is_zero: bool = False
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return {"float": f"{self.bits}-bit floating-point"}.get(self.kind, f"{self.bits}-bit {self.kind} integer")


def meaning(image: ImageFile.ImageFile) -> Meaning:
    """What the samples of a picture mean. Its pixels must not be loaded yet: their layout in the file is lost then."""
    if image.format == "TIFF":
        return _of_tiff(image)
    if image.mode == "F":
        return Meaning(32, "float")
    # PPM's plugin scales every maximum to 65535; what else Pillow gives as I declares nothing.
    if image.mode == "I":
        return Meaning(16, "unsigned") if image.format == "PPM" else Meaning(32, "signed")
    if image.mode.startswith("I;16") or any(";16" in str(tile) for tile in image.tile):
        return Meaning(16, "unsigned")
    if image.format == "PNG" and image.mode == "L" and image.tile:
        return Meaning({"L;2": 2, "L;4": 4}.get(str(image.tile[0][3]), 8), "unsigned")
    return Meaning(1 if image.mode == "1" else 8, "unsigned")


def _of_tiff(image: Any) -> Meaning:
    bits = int(_first(image, _BITS, 1))
    kinds: dict[int, Kind] = {1: "unsigned", 2: "signed", 3: "float"}
    kind = kinds.get(int(_first(image, _SAMPLE_FORMAT, 1)), "unsigned")
    low, high = (_first(image, tag, None) for tag in (_SMIN, _SMAX))
    if low is None or high is None or not (np.isfinite([low, high]).all() and low < high):
        low = high = None
    return Meaning(bits, kind, _first(image, _PHOTOMETRIC, 1) == 0, low, high)


def _first(image: Any, tag: int, missing: Any) -> Any:
    """A TIFF tag's first number; ``missing`` where there is none, or none that is a number."""
    try:
        value = image.tag_v2.get(tag, missing)
        value = value[0] if isinstance(value, tuple) else value
        return missing if value is None else float(value)
    except Exception:
        return missing


def eight_bits(image: Image.Image, given: Meaning, name: str) -> tuple[Image.Image, list[str]]:
    """``image``, loaded, with 8 bits a channel in Pillow's own modes, and notes on how its samples were read.

    Raises InputError, with the values found, where it is open what white is.
    """
    if given.kind == "signed" and given.bits <= 8:
        samples = np.asarray(image).view(np.int8)
        raise _ambiguous(name, given, (float(samples.min()), float(samples.max())), "127, ")
    if image.mode == "F":
        low, high, notes = _range_of_floats(image, given, name)
    elif image.mode == "I":
        low, high, notes = _range_of_integers(image, given, name)
    elif image.mode.startswith("I;16"):
        low, high, notes = 0, 2 ** min(given.bits, 16) - 1, _dark(image, given)
    else:
        return image, []
    if given.white_is_zero:
        low, high = high, low
    return _scaled(image, given, low, high), notes


def _range_of_floats(image: Image.Image, given: Meaning, name: str) -> tuple[float, float, list[str]]:
    least, most = _extrema(image, given)
    if not np.isfinite([least, most]).all():
        raise UnknownRange(
            f"{name}: {given} samples with NaN or infinite values: replace these, or save the picture with 8 or 16 bits"
        )
    if given.low is not None and given.high is not None and given.high > 1 + SLACK:
        return given.low, given.high, [f"{given} samples from {given.low:g} to {given.high:g}, as it declares"]
    if least >= -SLACK and most <= 1 + SLACK:
        return 0, 1, []
    raise _ambiguous(name, given, (least, most), "1, ")


def _range_of_integers(image: Image.Image, given: Meaning, name: str) -> tuple[float, float, list[str]]:
    if given.bits == 16 and given.kind == "unsigned":
        return 0, 65535, _dark(image, given)
    if given.low is not None and given.high is not None:
        return given.low, given.high, [f"{given} samples from {given.low:g} to {given.high:g}, as it declares"]
    least, most = _extrema(image, given)
    full = 2 ** (given.bits - (given.kind == "signed")) - 1
    # More than half of the full range is in use: nothing smaller can be meant.
    if least >= 0 and most > full / 2:
        return 0, full, []
    raise _ambiguous(name, given, (least, most))


def _ambiguous(name: str, given: Meaning, extremes: tuple[float, float], also: str = "") -> UnknownRange:
    low, high = extremes
    return UnknownRange(
        f"{name}: {given} samples from {low:g} to {high:g}, and it does not declare what white is ({also}255, "
        "65535 or else): save it with 8 or 16 bits, or set the TIFF tags SMinSampleValue and SMaxSampleValue"
    )


def _dark(image: Image.Image, given: Meaning) -> list[str]:
    most = _extrema(image, given)[1]
    full = 2 ** min(given.bits, 16) - 1
    if 0 < most < full / DARK:
        return [f"its brightest sample is {most:g} of {full}: dark, unless it was saved without scaling it to 16 bits"]
    return []


def _strips(image: Image.Image, given: Meaning) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, samples) of the rows of a picture of one channel, float64."""
    for top in range(0, image.height, _STRIP):
        rows = np.asarray(image.crop((0, top, image.width, min(top + _STRIP, image.height))))
        if image.mode == "I" and given.kind == "unsigned" and given.bits == 32:
            rows = rows.view(np.uint32)  # Pillow has no mode for them
        yield top, rows.astype(np.float64)


def _extrema(image: Image.Image, given: Meaning) -> tuple[float, float]:
    """Least and greatest sample; NaN where there is one."""
    extremes = [(rows.min(), rows.max()) for _, rows in _strips(image, given)]
    return float(np.min([low for low, _ in extremes])), float(np.max([high for _, high in extremes]))


def _scaled(image: Image.Image, given: Meaning, low: float, high: float) -> Image.Image:
    """Grey picture: ``low`` is black and ``high`` white, clipped and rounded."""
    grey = np.empty((image.height, image.width), np.uint8)
    for top, rows in _strips(image, given):
        rows -= low
        rows *= 255 / (high - low)
        grey[top : top + len(rows)] = rows.clip(0, 255).round()
    return Image.fromarray(grey)
