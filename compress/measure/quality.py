"""Full-reference quality of pictures (H, W, 3) uint8, that is, after rounding to 8 bits; each measure on one pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from compress.data.pictures import to_float
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.lpips import Lpips

PSNR_CAP_DB = 100.0
"""PSNR of equal pictures: infinity has no place in JSON. One differing value in a 256 px picture gives 101 dB."""
LPIPS_BATCH = 8
_BT601 = np.array([65.481, 128.553, 24.966]) / 255


@dataclass(frozen=True)
class QualityScore:
    """Means over ``n`` pictures: of each picture's decibels, not of the errors. Every figure is finite."""

    psnr_db: float
    psnr_y_db: float
    ssim: float
    lpips: float
    color_shift: float
    n: int


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR over all RGB values, peak 255, no border cropped, in dB; at most 100."""
    _check(a, b)
    return _psnr(a.astype(np.float64), b.astype(np.float64))


def psnr_y_db(a: np.ndarray, b: np.ndarray, border: int) -> float:
    """PSNR of BT.601 luma, peak 255, ``border`` px cut off every side, in dB; at most 100.

    Luma as MATLAB's ``rgb2ycbcr``, 16 to 235, not rounded. ``border`` is the scale for super-resolution, by custom.
    """
    _check(a, b)
    height, width = a.shape[:2]
    if min(height, width) <= 2 * border:
        raise InputError(
            f"pictures of {width} x {height} px: nothing left inside a border of {border} px: use larger ones"
        )
    inner = np.s_[border : height - border, border : width - border]
    return _psnr(luma(a)[inner], luma(b)[inner])


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float64, BT.601 luma from 16 to 235."""
    return 16 + picture.astype(np.float64) @ _BT601


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of Wang et al. 2004: Gaussian window of 11 px, sigma 1.5; mean over the three RGB channels; 1 for equals.

    scikit-image's ``structural_similarity``, population covariance, data range 255; sides must be 11 px or more.
    """
    from skimage.metrics import structural_similarity

    _check(a, b)
    value = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    return float(value)


def color_shift(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over R, G, B of the absolute difference of the two pictures' channel means, in 1/255."""
    _check(a, b)
    return float(np.abs(a.mean((0, 1), dtype=np.float64) - b.mean((0, 1), dtype=np.float64)).mean())


def histogram_shift(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over R, G, B of the earth mover's distance between the two pictures' histograms, in 1/255.

    Blind to where values stand: noise hardly moves it, a darkened, clipped, flattened or constant picture does, even
    where PSNR is high or the channels' means agree. Never below ``color_shift``.
    """
    _check(a, b)
    sums = [np.stack([np.bincount(p[..., c].ravel(), minlength=256).cumsum() for c in range(3)]) for p in (a, b)]
    return float(np.abs(sums[0] - sums[1]).sum(1).mean() / (a.shape[0] * a.shape[1]))


def lpips(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[float]:
    """LPIPS (AlexNet, v0.1) of each pair; 0 for equals, lower is nearer. Sides must be 32 px or more."""
    import torch

    _check_lengths(a, b)
    values: list[float] = []
    for group in _equal_sizes(a, b):
        batch_a, batch_b = (torch.from_numpy(to_float(pictures)) for pictures in zip(*group, strict=True))
        with torch.inference_mode():
            values += _lpips_model()(batch_a, batch_b).tolist()
    return values


@cache
def _lpips_model() -> "Lpips":
    from compress.lpips import Lpips

    return Lpips().eval()


def _equal_sizes(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Pairs in order, in runs of one size, LPIPS_BATCH pairs at most."""
    group: list[tuple[np.ndarray, np.ndarray]] = []
    for x, y in zip(a, b, strict=True):
        _check(x, y)
        if group and (x.shape != group[0][0].shape or len(group) == LPIPS_BATCH):
            yield group
            group = []
        group.append((x, y))
    if group:
        yield group


def score(outputs: Sequence[np.ndarray], clean: Sequence[np.ndarray], border: int = 4) -> QualityScore:
    """Score restored pictures against their clean ones; ``border``, in px, is for ``psnr_y_db`` alone: the scale.

    Raises InputError when there are none, or when numbers or sizes differ.
    """
    _check_lengths(outputs, clean)
    if not outputs:
        raise InputError("no pictures to score: give one or more")
    pairs = list(zip(outputs, clean, strict=True))
    return QualityScore(
        psnr_db=fmean(psnr_db(a, b) for a, b in pairs),
        psnr_y_db=fmean(psnr_y_db(a, b, border) for a, b in pairs),
        ssim=fmean(ssim(a, b) for a, b in pairs),
        lpips=fmean(lpips(outputs, clean)),
        color_shift=fmean(color_shift(a, b) for a, b in pairs),
        n=len(pairs),
    )


def mean_score(scores: Sequence[QualityScore]) -> QualityScore:
    """Mean of single pictures' scores."""
    names = [field.name for field in fields(QualityScore) if field.name != "n"]
    return QualityScore(**{name: fmean(getattr(s, name) for s in scores) for name in names}, n=len(scores))


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.square(a - b).mean())
    return min(PSNR_CAP_DB, 10 * float(np.log10(255**2 / error))) if error else PSNR_CAP_DB


def check_picture(picture: np.ndarray) -> None:
    """Raises ValueError unless ``picture`` is (H, W, 3) uint8."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"pictures must be (H, W, 3) uint8, got {picture.shape} {picture.dtype}: use to_uint8")


def _check(a: np.ndarray, b: np.ndarray) -> None:
    check_picture(a)
    check_picture(b)
    if a.shape != b.shape:
        sizes = " and ".join(f"{p.shape[1]} x {p.shape[0]} px" for p in (a, b))
        raise InputError(f"pictures of {sizes} cannot be compared: they must have one size: crop or resize one")


def _check_lengths(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> None:
    if len(a) != len(b):
        raise InputError(f"{len(a)} pictures against {len(b)}: every output needs its clean picture: give as many")
