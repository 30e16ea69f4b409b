"""Seeded degradations: a clean picture -> the restorer's input on the same grid.

Each takes and gives an RGB picture of 8 bits a channel (H, W, 3), as a file on disk would hold it.
Bicubic here is Pillow's: a = -0.5, antialiased when shrinking (the kernel widened by the factor), weights renormalised
at the borders, 8 bits between the two passes. MATLAB's ``imresize`` has the same kernel, and mirrors the picture at the
borders instead: the two differ there; elsewhere only by rounding and clipping, 1/255 but for the hardest edges.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from compress.errors import InputError
from compress.schema import Blur, Degradation, GaussianNoise, Jpeg, SuperResolution


def shrink(picture: Image.Image, scale: int) -> Image.Image:
    """Bicubic, antialiased reduction by a whole factor; sides must be its multiples."""
    width, height = picture.size
    if width % scale or height % scale:
        raise InputError(f"picture of {width} x {height} px: sides must be multiples of scale {scale}: crop it first")
    return picture.resize((width // scale, height // scale), Image.Resampling.BICUBIC)


def enlarge(picture: Image.Image, scale: int) -> Image.Image:
    """Bicubic enlargement by a whole factor: the model's input grid is the output grid."""
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC)


def degrade(picture: np.ndarray, steps: Sequence[Degradation], seed: int) -> np.ndarray:
    """Apply ``steps`` in order to ``picture`` (H, W, 3) uint8; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(picture)
    for step in steps:
        image = _apply(image, step, rng)
    return np.asarray(image)


def _apply(image: Image.Image, step: Degradation, rng: np.random.Generator) -> Image.Image:
    match step:
        case SuperResolution(scale=scale):
            return enlarge(shrink(image, scale), scale)
        case GaussianNoise(sigma=sigma):
            noisy = np.asarray(image, dtype=np.float64) + rng.normal(0, sigma, np.asarray(image).shape)
            return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
        case Blur(sigma=sigma):
            return image.filter(ImageFilter.GaussianBlur(sigma))
        case Jpeg(quality=quality):
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality)
            return Image.open(buffer).convert("RGB")
    raise AssertionError(step)  # the schema admits no other kind
