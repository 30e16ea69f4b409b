"""Reading pictures as (H, W, 3) uint8, and pictures as arrays: to networks' floats and back."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from compress.data.folders import scan
from compress.data.picture import read_picture


def open_rgb(path: Path) -> Image.Image:
    """RGB picture of ``path``, 8 bits a channel: EXIF rotation applied, grey widened, alpha dropped onto its colours,
    hidden ones replaced (``data.bleeding``).

    Raises InputError as ``read_picture`` does.
    """
    return Image.fromarray(read_rgb(path))


def read_rgb(file: Path | BinaryIO, name: str | None = None) -> np.ndarray:
    """(H, W, 3) uint8 of ``file``; errors, and what is done to it, as ``open_rgb``."""
    return read_picture(file, name, metadata=False).rgb


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below ``folder``, sorted by path. Raises InputError when there is no such folder."""
    return scan(folder).pictures


def to_float(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8, all of one size -> (N, 3, H, W) float32 in [0, 1]."""
    return np.stack([p.transpose(2, 0, 1) for p in pictures]).astype(np.float32) / 255


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """(3, H, W) float in [0, 1], clipped and rounded half up -> (H, W, 3) uint8."""
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
