"""Full-reference quality of pictures (H, W, 3) uint8, that is, after rounding to 8 bits; each measure on one pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from compress.data.pictures import to_float
from compress.errors import InputError
from compress.measure.decibels import decibels
from compress.measure.strips import strips

if TYPE_CHECKING:
    from torch import Tensor

    from compress.measure.lpips import Lpips

PSNR_CAP_DB = 100.0
"""PSNR of equal pictures: infinity has no place in JSON. One differing value in a 256 px picture gives 101 dB."""
LPIPS_BATCH = 8
SSIM_RADIUS = 5  # px, of a window of 11
SSIM_SIGMA, SSIM_TRUNCATE = 1.5, 3.5  # the window ends after 3.5 sigma
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
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
    rows = (np.s_[top:bottom] for top, bottom in strips(*a.shape[:2]))
    return _picture_db(sum(int(np.square(a[r].astype(np.int32) - b[r]).sum(dtype=np.int64)) for r in rows) / a.size)


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
    inner_a, inner_b = (p[border : height - border, border : width - border] for p in (a, b))
    rows = (np.s_[top:bottom] for top, bottom in strips(*inner_a.shape[:2]))
    total = sum(float(np.square(luma(inner_a[r]) - luma(inner_b[r])).sum()) for r in rows)
    return _picture_db(total / (inner_a.shape[0] * inner_a.shape[1]))


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float64, BT.601 luma from 16 to 235."""
    return 16 + picture.astype(np.float64) @ _BT601


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of Wang et al. 2004: Gaussian window of 11 px, sigma 1.5; mean over the three RGB channels; 1 for equals.

    scikit-image's ``structural_similarity``, population covariance, data range 255; sides must be 11 px or more.
    """
    _check(a, b)
    height, width = a.shape[:2]
    if min(height, width) <= 2 * SSIM_RADIUS:
        raise InputError(f"pictures of {width} x {height} px: SSIM needs 11 px a side: use larger ones")
    total = 0.0
    # The mean is over pixels whose window lies inside: each strip with the rows that its windows reach.
    for top, bottom in strips(height - 2 * SSIM_RADIUS, width):
        rows = np.s_[top : bottom + 2 * SSIM_RADIUS]
        total += (bottom - top) * fmean(_ssim(a[rows, :, c], _Windows(b[rows, :, c])) for c in range(3))
    return total / (height - 2 * SSIM_RADIUS)


class _Windows:
    """One channel (H, W) and, around each pixel, the mean of its window and of the squares in it."""

    def __init__(self, channel: np.ndarray) -> None:
        self.values = channel.astype(np.float64)
        self.mean, self.squares = _window_mean(self.values), _window_mean(self.values * self.values)


def _ssim(channel: np.ndarray, other: _Windows) -> float:
    """Mean SSIM of the pixels whose window lies inside."""
    values = channel.astype(np.float64)
    mean = _window_mean(values)
    products, squares = mean * other.mean, mean * mean + other.mean * other.mean
    covariance = _window_mean(values * other.values) - products
    variances = _window_mean(values * values) + other.squares - squares
    similar = (2 * products + SSIM_C1) * (2 * covariance + SSIM_C2)
    similar /= (squares + SSIM_C1) * (variances + SSIM_C2)
    return float(similar[SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS].mean())


def _window_mean(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, SSIM_SIGMA, mode="reflect", truncate=SSIM_TRUNCATE)


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
    away = (_histogram(a) - _histogram(b)).cumsum(1)
    return float(np.abs(away).sum(1).mean() / (a.shape[0] * a.shape[1]))


def _histogram(picture: np.ndarray) -> np.ndarray:
    """Counts (3, 256) of the channels' values."""
    rows = (picture[top:bottom] for top, bottom in strips(*picture.shape[:2]))
    return np.sum([[np.bincount(r[..., c].ravel(), minlength=256) for c in range(3)] for r in rows], axis=0)


def lpips(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[float]:
    """LPIPS (AlexNet, v0.1) of each pair; 0 for equals, lower is nearer. Sides must be 32 px or more."""
    import torch

    _check_lengths(a, b)
    values: list[float] = []
    for group in _equal_sizes(a, b):
        with torch.inference_mode():
            if len(list(strips(*group[0][0].shape[:2]))) > 1:
                values += [_large_lpips(*pair) for pair in group]
            else:
                batch_a, batch_b = (torch.from_numpy(to_float(pictures)) for pictures in zip(*group, strict=True))
                values += _lpips_model()(batch_a, batch_b).tolist()
    return values


def _large_lpips(a: np.ndarray, b: np.ndarray) -> float:
    """LPIPS of one pair, strip by strip: each with what its features reach, of which none but its own are counted."""
    import torch

    from compress.measure.lpips import REACH, STRIDES

    sums, counts = np.zeros(len(STRIDES)), np.zeros(len(STRIDES))
    for top, bottom in strips(a.shape[0], a.shape[1], STRIDES[-1]):
        start = max(0, top - REACH)
        pair = (torch.from_numpy(to_float([picture[start : bottom + REACH]])) for picture in (a, b))
        for i, (stride, layer) in enumerate(zip(STRIDES, _lpips_model().maps(*pair), strict=True)):
            own = layer[0, (top - start) // stride : None if bottom == len(a) else (bottom - start) // stride]
            sums[i] += float(own.sum(dtype=torch.float64))
            counts[i] += own.numel()
    return float((sums / counts).sum())


@cache
def _lpips_model() -> "Lpips":
    from compress.measure.lpips import Lpips

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


class Reference:
    """A clean picture that several outputs are scored against: what the measures need of it is computed once."""

    def __init__(self, clean: np.ndarray, border: int = 4) -> None:
        check_picture(clean)
        self.clean, self.border = clean, border
        # A large picture is measured strip by strip, so that memory does not grow with it: nothing of it is kept.
        self._whole = len(list(strips(*clean.shape[:2]))) == 1

    def score(self, output: np.ndarray) -> QualityScore:
        """``score`` of one output. Raises InputError when its size differs."""
        if not self._whole:
            return score([output], [self.clean], self.border)
        _check(output, self.clean)
        return QualityScore(
            psnr_db=psnr_db(output, self.clean),
            psnr_y_db=psnr_y_db(output, self.clean, self.border),
            ssim=fmean(_ssim(output[..., c], windows) for c, windows in enumerate(self._windows)),
            lpips=self._lpips(output),
            color_shift=color_shift(output, self.clean),
            n=1,
        )

    @cached_property
    def _windows(self) -> list[_Windows]:
        return [_Windows(self.clean[..., c]) for c in range(3)]

    @cached_property
    def _features(self) -> "list[Tensor]":
        import torch

        with torch.inference_mode():
            return _lpips_model().features_of(torch.from_numpy(to_float([self.clean])))

    def _lpips(self, output: np.ndarray) -> float:
        import torch

        with torch.inference_mode():
            features = _lpips_model().features_of(torch.from_numpy(to_float([output])))
            return float(_lpips_model().distances(features, self._features))


def mean_score(scores: Sequence[QualityScore]) -> QualityScore:
    """Mean of single pictures' scores."""
    names = [field.name for field in fields(QualityScore) if field.name != "n"]
    return QualityScore(**{name: fmean(getattr(s, name) for s in scores) for name in names}, n=len(scores))


def _picture_db(error: float) -> float:
    """PSNR of 8-bit pictures' mean square error."""
    return decibels(error, peak=255, cap=PSNR_CAP_DB)


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
