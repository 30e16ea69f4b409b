"""Pictures as a phone writes them."""

from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def save_turned(picture: np.ndarray, path: Path, profile: bytes | None = None) -> None:
    """Write ``picture``, (H, W, 3) uint8, lying on its side, with EXIF that says how to turn it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(np.rot90(picture)).save(path, exif=exif, icc_profile=profile)
