"""Reading and writing pictures: any file that Pillow opens -> RGB, 8 bits a channel, upright."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from compress.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_KINDS = {
    "1": "black and white", "L": "grey", "LA": "grey with alpha", "La": "grey with alpha", "P": "palette",
    "PA": "palette", "RGBA": "transparent", "RGBa": "transparent", "I": "16-bit", "F": "floating-point",
}  # fmt: skip


def open_rgb(path: Path) -> Image.Image:
    """RGB picture of ``path``: EXIF rotation applied, grey widened, alpha dropped onto its colours, 16 bits scaled.

    Raises InputError when the file is missing, empty, truncated or no picture.
    """
    try:
        return decode(path)[0]
    except FileNotFoundError:
        raise InputError(f"{path}: no such picture: check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a picture: name a file in it") from None
    except UNREADABLE as error:
        empty = path.is_file() and not path.stat().st_size
        why = "the file is empty" if empty else " ".join(str(error).split())
        raise InputError(f"{path}: not a readable picture ({why}): replace or remove it") from None


def decode(file: Path | BinaryIO) -> tuple[Image.Image, str]:
    """RGB picture of ``file``, and what it was converted from: "grey", "CMYK", "16-bit", "turned" ...; "" where it is
    as it was. Raises one of ``UNREADABLE`` for what Pillow cannot read.
    """
    # Pillow warns at length about broken metadata of pictures that it reads well all the same.
    with warnings.catch_warnings(action="ignore"), Image.open(file) as opened:
        kind = _kind(opened)
        opened.load()
        return to_rgb(ImageOps.exif_transpose(opened)), kind


def _kind(image: ImageFile.ImageFile) -> str:
    """Of a picture not loaded yet: how it lies in the file is known till then."""
    # A colour picture of 16 bits a channel has Pillow's mode RGB: only the decoder's arguments tell.
    if any(";16" in str(tile) for tile in (image.mode, *image.tile)):
        return "16-bit"
    if image.mode != "RGB":
        return _KINDS.get(image.mode, image.mode)
    return "turned" if image.getexif().get(ExifTags.Base.Orientation, 1) != 1 else ""


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB, 8 bits a channel, of any Pillow mode."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion clips 16-bit values at 255: nearly everything would turn white.
        grey = (np.asarray(image, dtype=np.float64) / 257).round().clip(0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
    return image.convert("RGB")


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of ``path``; errors as ``open_rgb``."""
    return np.asarray(open_rgb(path))


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below ``folder``, by suffix, sorted by path. Raises InputError when there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures: check the path")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def to_float(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8, all of one size -> (N, 3, H, W) float32 in [0, 1]."""
    return np.stack([p.transpose(2, 0, 1) for p in pictures]).astype(np.float32) / 255


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """(3, H, W) float in [0, 1], clipped and rounded half up -> (H, W, 3) uint8."""
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
