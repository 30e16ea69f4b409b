"""Blind degradations: Real-ESRGAN's, and those of faces. (H, W, 3), floats in [0, 255] inside.

Wang et al. 2021, Real-ESRGAN (arXiv 2107.10833), section 3 and figure 2, with the values of its published training
options (x4plus; the same for x2plus), the sharpening of its targets left out. Wang et al. 2021, GFPGAN (arXiv
2101.04061), section 4.1, without colour jitter and grey; by other settings, ELIR's published degradation of
faces. Resizing is Pillow's, antialiased, where Real-ESRGAN's and GFPGAN's code is not; JPEG is Pillow's.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from compress.data import kernels
from compress.data.pixels import convolve, jpeg, resize, to_8_bits
from compress.recipe.degradation import BlindFace

METHODS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
FACE_KERNEL = 41
Range = tuple[float, float]


@dataclass(frozen=True)
class Order:
    """One order of degradation: probabilities, and ranges drawn from uniformly. Noise is in 1/255."""

    blur_probability: float
    blur_sigma: Range
    resize_probability: tuple[float, float, float]
    """Up, down, keep."""
    resize_range: Range
    noise_sigma: Range
    poisson_scale: Range
    sinc_probability: float = 0.1
    gaussian_probability: float = 0.5
    grey_probability: float = 0.4
    jpeg_quality: Range = (30, 95)


FIRST = Order(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND = Order(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5))
FINAL_SINC_PROBABILITY = 0.8


def real_esrgan(picture: np.ndarray, scale: int, rng: np.random.Generator, second: float = 1.0) -> np.ndarray:
    """``picture`` uint8 -> (H // scale, W // scale, 3) uint8; ``second``: probability of the second order."""
    height, width = picture.shape[:2]
    out = _order(picture.astype(np.float64), (height, width), FIRST, rng)
    out = _jpeg(out, FIRST.jpeg_quality, rng)
    # A certain second order draws nothing: pictures of earlier releases stay as they were.
    if second == 1 or rng.random() < second:
        out = _order(out, (height / scale, width / scale), SECOND, rng)
    if rng.random() < 0.5:
        out = _finish(out, height // scale, width // scale, rng)
        return to_8_bits(_jpeg(out, SECOND.jpeg_quality, rng))
    out = _jpeg(out, SECOND.jpeg_quality, rng)
    return to_8_bits(_finish(out, height // scale, width // scale, rng))


def _order(values: np.ndarray, grid: tuple[float, float], order: Order, rng: np.random.Generator) -> np.ndarray:
    """Blur, resize to a random multiple of ``grid`` (height, width), noise."""
    if rng.random() < order.blur_probability:
        blur = kernels.draw_blur(rng, order.blur_sigma, order.sinc_probability)
        values = convolve(values, blur.kernel())
    factor = draw_factor(rng, order)
    values = resize(values, int(grid[0] * factor), int(grid[1] * factor), METHODS[rng.integers(3)])
    return add_noise(values.clip(0, 255), order, rng)


def draw_factor(rng: np.random.Generator, order: Order) -> float:
    """A resizing factor: above 1, below 1 or 1, by the order's probabilities."""
    low, high = order.resize_range
    match rng.choice(3, p=order.resize_probability):
        case 0:
            return float(rng.uniform(1, high))
        case 1:
            return float(rng.uniform(low, 1))
    return 1.0


def add_noise(values: np.ndarray, order: Order, rng: np.random.Generator) -> np.ndarray:
    """Gaussian or Poisson noise, the same in the three channels when grey; clipped to [0, 255]."""
    gaussian = rng.random() < order.gaussian_probability
    grey = rng.random() < order.grey_probability
    if gaussian:
        shape = (*values.shape[:2], 1 if grey else 3)
        noise = rng.normal(0, rng.uniform(*order.noise_sigma), shape)
    else:
        noise = poisson_noise(luma(values) if grey else values, rng) * rng.uniform(*order.poisson_scale)
    return (values + noise).clip(0, 255)


def poisson_noise(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shot noise with as many levels as ``values`` has, up to a power of two, as BasicSR defines it."""
    levels = 2 ** np.ceil(np.log2(len(np.unique(to_8_bits(values)))))
    exact = to_8_bits(values) / 255
    return (rng.poisson(exact * levels) / levels - exact) * 255


def luma(values: np.ndarray) -> np.ndarray:
    """(H, W, 1): BT.601 weights."""
    return values @ np.array([[0.2989], [0.587], [0.114]])


def _jpeg(values: np.ndarray, quality: Range, rng: np.random.Generator) -> np.ndarray:
    return jpeg(to_8_bits(values), round(rng.uniform(*quality))).astype(np.float64)


def _finish(values: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Resize to the final size, then apply the sinc filter (Real-ESRGAN's section 3.3), by its probability."""
    values = resize(values, height, width, METHODS[rng.integers(3)])
    if rng.random() < FINAL_SINC_PROBABILITY:
        values = convolve(values, kernels.draw_sinc(rng, final=True).kernel())
    return values


def blind_face(picture: np.ndarray, step: BlindFace, rng: np.random.Generator) -> np.ndarray:
    """Blur, resizing, white noise, JPEG, and back: ``picture`` uint8 -> the same shape, uint8."""
    height, width = picture.shape[:2]
    shapes, chances = (("iso", "aniso"), (0.5, 0.5)) if step.kernels == "mixed" else (("iso",), (1.0,))
    bell = kernels.draw_bell(rng, FACE_KERNEL, (step.blur_sigma[0], step.blur_sigma[1]), shapes, chances)
    factor = draw_reduction(rng, step)
    bilinear = Image.Resampling.BILINEAR
    small = resize(convolve(picture, bell.kernel()), int(height // factor), int(width // factor), bilinear)
    noisy = small + rng.normal(0, rng.uniform(step.noise[0], step.noise[1]), small.shape)
    return to_8_bits(resize(_jpeg(noisy, (step.jpeg[0], step.jpeg[1]), rng), height, width, bilinear))


def draw_reduction(rng: np.random.Generator, step: BlindFace) -> float:
    """Factor between the bounds of ``downsample``: uniform itself, or such that the reduced side is."""
    low, high = step.downsample
    return float(rng.uniform(low, high)) if step.uniform == "factor" else 1 / float(rng.uniform(1 / high, 1 / low))
