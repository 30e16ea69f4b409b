"""NIQE (Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, IEEE SPL 20(3), 2013).

No reference: the distance between a picture's statistics and those of pristine photographs; lower is more natural.
The conventions are the authors' MATLAB release's as BasicSR restates them: rounded BT.601 luma, 16 to 235; blocks of
96 px without overlap; the second scale by antialiased bicubic halving, not rounded.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.special import gamma

from compress.measure.quality import check_picture, luma
from compress.measure.strips import strips

PRISTINE = Path(__file__).parents[1] / "weights" / "niqe_pristine.safetensors"
BLOCK = 96
MIN_SIDE = 2 * BLOCK
"""Inside the border: two blocks a side. A covariance of fewer says nothing of the picture."""
REACH = 16
"""Px around a strip that its values hang on, and more: 4 of the halving, 3 halved ones of the window."""
FLAT = 1e-9
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))


def niqe(picture: np.ndarray, border: int = 0) -> float | None:
    """NIQE of a picture (H, W, 3) uint8, ``border`` px cut off every side; about 2 to 10 for photographs.

    None where a side inside the border is shorter than 192 px, or where fewer than two blocks have any texture.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    if min(height, width) - 2 * border < MIN_SIDE:
        return None
    features = _features(picture[border : height - border, border : width - border])
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        return None
    mean, covariance = _pristine()
    away = mean - np.nanmean(features, axis=0)
    return float(np.sqrt(away @ np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2) @ away))


@cache
def _pristine() -> tuple[np.ndarray, np.ndarray]:
    """Mean (36,) and covariance (36, 36) of the authors' pristine photographs."""
    from safetensors.numpy import load_file

    stored = load_file(PRISTINE)
    return stored["mean"], stored["covariance"]


def _features(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (blocks, 36): 18 features at each of two scales; NaN where a block has no texture."""
    height, width = (side // BLOCK * BLOCK for side in picture.shape[:2])
    return np.concatenate(
        [_of_strip(picture[:height, :width], top, bottom) for top, bottom in strips(height, width, BLOCK)]
    )


def _of_strip(picture: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Features of the blocks in the rows from ``top`` to ``bottom``."""
    start = max(0, top - REACH)
    full = luma(picture[start : bottom + REACH]).round()
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = [
            [
                _of_block(block)
                for block in _blocks(_normalised(at_scale)[(top - start) // by : (bottom - start) // by], BLOCK // by)
            ]
            for at_scale, by in ((full, 1), (_halved(full), 2))
        ]
    return np.concatenate([np.array(features) for features in scales], axis=1)


def _normalised(values: np.ndarray) -> np.ndarray:
    """Mean-subtracted, contrast-normalised coefficients, equation 1: Gaussian window of 7 px, sigma 7/6."""
    mean = gaussian_filter(values, 7 / 6, radius=3, mode="nearest")
    variance = gaussian_filter(values**2, 7 / 6, radius=3, mode="nearest") - mean**2
    centred = values - mean
    # Flat areas: their rounding errors would count as coefficients by their sign, up to 0.3 in NIQE.
    centred[np.abs(centred) < FLAT] = 0
    return centred / (np.sqrt(np.abs(variance)) + 1)


def _halved(values: np.ndarray) -> np.ndarray:
    """MATLAB's ``imresize(values, 0.5)`` of even sides: Keys' kernel, a = -0.5, over 8 px; borders mirrored."""
    near, far = np.array([0.25, 0.75]), np.array([1.25, 1.75])
    half = np.concatenate([1.5 * near**3 - 2.5 * near**2 + 1, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2]) / 2
    taps = np.concatenate([half[::-1], half])
    for axis in (0, 1):
        values = np.moveaxis(np.moveaxis(correlate1d(values, taps, axis, mode="reflect"), axis, 0)[1::2], 0, axis)
    return values


def _blocks(values: np.ndarray, side: int) -> Iterator[np.ndarray]:
    for top in range(0, values.shape[0], side):
        for left in range(0, values.shape[1], side):
            yield values[top : top + side, left : left + side]


def _of_block(block: np.ndarray) -> list[float]:
    """18 features: shape and spread of the coefficients, and of the products with each of four neighbours."""
    shape, left, right = _fitted(block)
    features = [shape, (left + right) / 2]
    for neighbour in _NEIGHBOURS:
        shape, left, right = _fitted(block * np.roll(block, neighbour, axis=(0, 1)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return features


def _fitted(values: np.ndarray) -> tuple[float, float, float]:
    """Asymmetric generalised Gaussian by moments, equation 7: shape, left and right scale; NaN where there is none."""
    left, right = _spread(values[values < 0]), _spread(values[values > 0])
    ratio = left / right
    moments = np.abs(values).mean() ** 2 / np.square(values).mean()
    wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = float(_SHAPES[np.argmin((_RATIOS - wanted) ** 2)])
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def _spread(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean())) if values.size else float("nan")
