"""A picture file's parts: upright colours of 8 bits, transparency, greyness, metadata, and notes on how it was read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from compress.data.metadata import Metadata, read_metadata
from compress.data.open import frame_count, load_upright, opened, orientation, refusal
from compress.data.samples import Meaning, eight_bits, meaning
from compress.data.transparency import bleed

GREY = ("1", "L", "LA", "La", "I", "F")
_KINDS = {
    "1": "black and white", "L": "grey", "LA": "grey with alpha", "La": "grey with alpha", "P": "palette",
    "PA": "palette", "RGBA": "transparent", "RGBa": "transparent", "I": "integer", "F": "floating-point",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """``rgb`` (H, W, 3) uint8, upright, no colours hidden under transparency; ``alpha`` (H, W) uint8 or None.

    ``kind``: what it was converted from ("grey", "CMYK", "16-bit", "turned" ...), "" where it is as it was. ``frames``:
    how many the file holds. ``duration`` of this one, in ms; ``loop``: how often an animation runs, 0 is for ever.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    kind: str
    metadata: Metadata
    notes: tuple[str, ...] = ()
    frames: int = 1
    duration: float = 0
    loop: int | None = None


def read_picture(file: Path | BinaryIO, name: str | None = None, *, metadata: bool = True) -> Picture:
    """The first frame of any picture that can be opened (``opening.FORMATS``); 16 bits a channel become 8, CMYK RGB.

    ``metadata``: read them too, which takes some milliseconds.

    Raises InputError, with ``name`` or the file's own, as ``opening.opened`` does, and where it is open how bright its
    samples are (``samples.eight_bits``).
    """
    name = name or str(file)
    frames: list[Picture] = []
    with opened(file, name, lambda image: frames.append(_frame(image, name, with_metadata=metadata, last=True))):
        return frames[-1]


def read_frames(path: Path) -> Iterator[Picture]:
    """Every frame or page, one at a time. Errors as ``read_picture``'s."""
    with opened(path) as image:
        # A PNG's default picture is not one of its animation.
        first = 1 if image.info.get("default_image") is True and frame_count(image) > 1 else 0
        for number in range(first, frame_count(image)):
            try:
                image.seek(number)
                yield _frame(image, str(path), with_metadata=True, last=False)
            except GeneratorExit:
                raise
            except Exception as error:
                raise refusal(error, f"{path}, frame {number + 1}", path) from None


def _frame(image: ImageFile.ImageFile, name: str, *, with_metadata: bool, last: bool) -> Picture:
    """The frame that ``image`` stands at, not loaded yet. ``last``: its pixels may go once others hold them."""
    frames = frame_count(image)  # first: counting goes through the file
    given = meaning(image)
    kind = _KINDS.get(image.mode, image.mode) if image.mode != "RGB" else ""
    if given.bits in (12, 16) and given.kind != "float":
        kind = "16-bit"
    grey = image.mode in GREY or image.mode.startswith("I;16")
    if image.format != "TIFF":
        image.load()
    metadata, notes = read_metadata(image) if with_metadata else (Metadata(), [])
    turned = orientation(image)
    notes += _fit_key(image, given)
    key = image.info.get("transparency")
    upright = load_upright(image, turned)
    if key is not None and not isinstance(key, (int, bytes, tuple)):
        upright.info.pop("transparency", None)
        key = None
    samples, losses = eight_bits(upright, given, name)
    alpha = _alpha(upright, samples, key)
    if last and samples is not image:
        image.close()
    del upright
    rgb = np.asarray(_rgb(samples))
    if alpha is not None:
        rgb = bleed(rgb, alpha)
    if not kind and turned != 1:
        kind = "turned"
    duration, loop = image.info.get("duration", 0), image.info.get("loop")
    return Picture(
        rgb,
        alpha,
        grey,
        kind,
        metadata,
        (*notes, *losses),
        frames,
        float(duration) if isinstance(duration, (int, float)) else 0,
        loop if isinstance(loop, int) else None,
    )


def _fit_key(image: ImageFile.ImageFile, given: Meaning) -> list[str]:
    """Scale the colour that is transparent as Pillow scaled the samples, which it leaves to us; says what is lost."""
    key = image.info.get("transparency")
    # Scaled already, in an earlier frame, it is larger.
    if isinstance(key, int) and image.mode == "L" and key < 2**given.bits < 256:
        image.info["transparency"] = key * 255 // (2**given.bits - 1)
    if isinstance(key, tuple) and given.bits == 16:
        # Of the low bytes, which tell the colour from its neighbours, nothing is left.
        del image.info["transparency"]
        return [f"transparent colour {key} of 16-bit samples is left opaque: give the file an alpha channel"]
    return []


def _alpha(upright: Image.Image, samples: Image.Image, key: object) -> np.ndarray | None:
    if samples is not upright:  # of more than 8 bits: one value may stand for transparent
        return np.where(np.asarray(upright) == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
    if not upright.has_transparency_data:
        return None
    if upright.mode == "La":
        return np.asarray(upright.convert("LA").getchannel("A"))
    return np.asarray(upright.convert("RGBA").getchannel("A"))


def _rgb(image: Image.Image) -> Image.Image:
    """Without a copy where it is RGB already."""
    if image.mode in ("RGBa", "La"):  # multiplied by alpha
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
    return image if image.mode == "RGB" else image.convert("RGB")
