"""Seeded degradations: a clean picture -> the restorer's input on the same grid.

Each takes and gives an RGB picture of 8 bits a channel (H, W, 3), as a file on disk would hold it.
Bicubic here is Pillow's: a = -0.5, antialiased when shrinking (the kernel widened by the factor), weights renormalised
at the borders, 8 bits between the two passes. MATLAB's ``imresize`` has the same kernel, and mirrors the picture at the
borders instead: the two differ there; elsewhere only by rounding and clipping, 1/255 but for the hardest edges.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from compress.data import blind
from compress.data.kernels import camera_path, line_path, path_kernel
from compress.data.masks import draw_mask
from compress.data.pixels import convolve, jpeg, to_8_bits
from compress.errors import InputError
from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    Degradation,
    GaussianNoise,
    Grey,
    Jpeg,
    Mask,
    MotionBlur,
    SuperResolution,
)


def shrink(picture: Image.Image, scale: int) -> Image.Image:
    """Bicubic, antialiased reduction by a whole factor; sides must be its multiples."""
    width, height = picture.size
    if width % scale or height % scale:
        raise InputError(f"picture of {width} x {height} px: sides must be multiples of scale {scale}: crop it first")
    return picture.resize((width // scale, height // scale), Image.Resampling.BICUBIC)


ENLARGEMENTS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    # Of a whole factor, Pillow's nearest is torch's nearest-exact: both ask for the px under a px's centre.
    "nearest-exact": Image.Resampling.NEAREST,
}


def enlarge(picture: Image.Image, scale: int, by: str = "bicubic") -> Image.Image:
    """Enlargement by a whole factor, ``by`` one of ENLARGEMENTS: the model's input grid is the output grid."""
    return picture.resize((picture.width * scale, picture.height * scale), ENLARGEMENTS[by])


def degrade(picture: np.ndarray, steps: Sequence[Degradation], seed: int) -> np.ndarray:
    """Apply ``steps`` in order to ``picture`` (H, W, 3) uint8; the same seed gives the same picture."""
    return degrade_both(picture, steps, seed)[0]


def degrade_both(picture: np.ndarray, steps: Sequence[Degradation], seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Like ``degrade``, with the small picture that the last step enlarges; None if the last step does not enlarge."""
    rng = np.random.default_rng(seed)
    small = None
    for step in steps:
        if isinstance(step, SuperResolution | BlindSuperResolution):
            small = _small(picture, step, rng)
            picture = _on_grid(small, step, picture)
        else:
            small, picture = None, _apply(picture, step, rng)
    return picture, small


def _apply(picture: np.ndarray, step: Degradation, rng: np.random.Generator) -> np.ndarray:
    match step:
        case GaussianNoise(sigma=sigma):
            return _noisy(picture, sigma, rng)
        case Grey():
            return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))
        case Blur(sigma=sigma):
            width = draw(sigma, rng)
            return to_8_bits(gaussian_filter(picture.astype(np.float64), (width, width, 0), mode="mirror"))
        case Jpeg(quality=quality):
            return jpeg(picture, quality)
        case MotionBlur():
            return to_8_bits(convolve(picture, motion_kernel(step, rng)))
        case Mask():
            return _mask(picture, step, rng)
        case BlindFace():
            return blind.blind_face(picture, step, rng)
    raise AssertionError(step)  # the schema admits no other kind


def draw(amount: float | list[float], rng: np.random.Generator) -> float:
    """A number as it is, drawing nothing; of ``[low, high]``, a uniform draw."""
    return float(rng.uniform(*_pair(amount))) if isinstance(amount, list) else amount


def _noisy(picture: np.ndarray, sigma: float | list[float], rng: np.random.Generator) -> np.ndarray:
    return to_8_bits(picture.astype(np.float64) + rng.normal(0, draw(sigma, rng), picture.shape))


def _small(picture: np.ndarray, step: SuperResolution | BlindSuperResolution, rng: np.random.Generator) -> np.ndarray:
    if isinstance(step, BlindSuperResolution):
        return blind.real_esrgan(picture, step.scale, rng, step.second_order)
    small = np.asarray(shrink(Image.fromarray(picture), step.scale))
    return small if step.noise is None else _noisy(small, step.noise, rng)


def motion_kernel(step: MotionBlur, rng: np.random.Generator) -> np.ndarray:
    """(size, size), sums to 1."""
    length = draw(step.size * 15 / 16 if step.length is None else step.length, rng)
    if step.path == "camera":
        path = camera_path(rng, min(length, step.size - 1), draw(step.intensity, rng))
    else:
        degrees = rng.uniform(0, 180) if step.angle is None else step.angle
        path = line_path(min(length, step.size - 1), np.deg2rad(degrees))
    return path_kernel(path, step.size)


def _mask(picture: np.ndarray, step: Mask, rng: np.random.Generator) -> np.ndarray:
    share = (0.9 if step.pattern == "pixels" else 0.25) if step.share is None else step.share
    lost = draw_mask(rng, picture.shape[0], picture.shape[1], step.pattern, share)
    return np.where(lost[:, :, None], np.uint8(step.fill), picture)


def _on_grid(small: np.ndarray, step: SuperResolution | BlindSuperResolution, picture: np.ndarray) -> np.ndarray:
    by = step.enlargement if isinstance(step, SuperResolution) else "bicubic"
    size = picture.shape[1], picture.shape[0]
    return np.asarray(Image.fromarray(small).resize(size, ENLARGEMENTS[by]))


def _pair(values: list[float]) -> tuple[float, float]:
    return values[0], values[1]
