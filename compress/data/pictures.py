"""Reading and writing pictures: any file that Pillow opens -> RGB, 8 bits a channel, upright."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from compress.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def open_rgb(path: Path) -> Image.Image:
    """RGB picture of ``path``: EXIF rotation applied, grey widened, alpha dropped onto its colours, 16 bits scaled.

    Raises InputError when the file is missing, empty, truncated or no picture.
    """
    try:
        # Pillow warns at length about broken metadata of pictures that it reads well all the same.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            file.load()
            image = ImageOps.exif_transpose(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such picture: check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a picture: name a file in it") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        empty = path.is_file() and not path.stat().st_size
        why = "the file is empty" if empty else " ".join(str(error).split())
        raise InputError(f"{path}: not a readable picture ({why}): replace or remove it") from None
    return to_rgb(image)


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
