"""A picture file's parts: colours to restore, and what goes back beside them: transparency, greyness, profile."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from compress.data.pictures import open_rgb
from compress.errors import InputError
from compress.files import whole_file

WRITABLE = (".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
OPAQUE = (".jpg", ".jpeg", ".bmp")  # hold no transparency
QUALITY = 95  # of JPEG and WebP; Pillow ignores it elsewhere
GREY = ("1", "L", "LA", "La", "I", "F")
_SPACES = {"L": b"GRAY", "RGB": b"RGB "}  # of an ICC profile, by the mode that it describes


@dataclass(frozen=True)
class Layers:
    """``rgb`` (H, W, 3) uint8, upright; ``alpha`` (H, W) uint8 or None; ``profile``: the ICC profile, if any."""

    rgb: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    profile: bytes | None


def open_layers(path: Path) -> Layers:
    """Read a picture of any mode that Pillow knows; 16 bits a channel become 8, CMYK becomes RGB.

    Raises InputError when the file is missing, empty, damaged, no picture, or larger than Pillow's limit.
    """
    rgb = _open_rgb(path)
    with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
        grey = file.mode in GREY or file.mode.startswith("I;16")
        alpha = None
        if file.has_transparency_data and not file.mode.startswith("I"):
            alpha = np.asarray(ImageOps.exif_transpose(file).convert("RGBA").getchannel("A"))
        profile = file.info.get("icc_profile")
    return Layers(np.asarray(rgb), alpha, grey, profile)


def _open_rgb(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path):
            pass
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(f"{path}: more than {limit} million pixels: cut it into smaller pictures") from None
    except (OSError, SyntaxError, ValueError):
        pass  # open_rgb says what is wrong
    return open_rgb(path)


def save_layers(rgb: np.ndarray, beside: Layers, path: Path) -> None:
    """Write ``rgb`` (H, W, 3) uint8 with what stood beside the picture that it was restored from, whole.

    A grey picture is written grey; transparency is enlarged bicubically, and left out where the format has none.
    Raises InputError for a format that is not written, or a folder that cannot be.
    """
    check_writable(path)
    image = Image.fromarray(rgb)
    if beside.grey:
        image = image.convert("L")
    profile = beside.profile if beside.profile and beside.profile[16:20] == _SPACES[image.mode] else None
    if beside.alpha is not None and path.suffix.lower() not in OPAQUE:
        image.putalpha(Image.fromarray(beside.alpha).resize(image.size, Image.Resampling.BICUBIC))
    with whole_file(path) as part:
        image.save(part, icc_profile=profile, quality=QUALITY)


def check_writable(path: Path) -> None:
    """Raise InputError unless pictures of ``path``'s suffix can be written."""
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: pictures are not written as {path.suffix}: use one of {', '.join(WRITABLE)}")
