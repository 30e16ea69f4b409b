"""Statistics of activations over the real sampling trajectory, gathered one picture at a time.

Every Euler step is its own module, so each has its own range. Memory does not grow with the number of pictures.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.passes.quantize.schemes import ActivationRange

BINS = 2048
HISTOGRAM_SAMPLES = 65536  # values of one tensor that enter the histogram
WINDOW = 24  # side, in output pixels, of the window that enters the second moments
LEVELS = 256  # of 8 bits
ROWS = 288  # of a symmetric matrix that are computed at once: a third of the work is saved where there are many
_FRACTIONS = torch.linspace(1.0, 0.3, 36, dtype=torch.float64)  # of the full range, tried for mse and entropy


@dataclass
class RangeObserver:
    """Smallest and largest value, and a histogram for the calibrators that clip.

    The histogram begins with half as much again as the first picture has to spare, and becomes twice as wide, its
    bins two by two one, as often as a later one goes beyond.
    """

    low: float = 0.0
    high: float = 0.0
    histogram: bool = True  # min_max does without, in a third of the time
    ends: tuple[float, float] | None = None
    counts: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))

    def add(self, x: Tensor) -> None:
        """Take in a tensor of any shape."""
        values = x.detach().numpy()  # torch takes twenty times as long where channels come last
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise FloatingPointError("NaN or Inf among the activations")
        self.low, self.high = min(self.low, low), max(self.high, high)
        if not self.histogram:
            return
        if self.ends is None:
            self.ends = (1.5 * self.low, max(1.5 * self.high, 1e-6))
        self.ends = self._widened(*self.ends)
        flat = x.flatten()
        # A prime stride does not lock onto rows or channels.
        stride = max(1, flat.numel() // HISTOGRAM_SAMPLES) | 1
        self.counts += torch.histc(flat[::stride].clamp(*self.ends), BINS, *self.ends).double()

    def _widened(self, start: float, end: float) -> tuple[float, float]:
        """Ends between which every value lies, the counts moved accordingly."""
        while self.low < start or self.high > end:
            pairs, width = self.counts.view(-1, 2).sum(1), end - start
            upwards = self.high > end
            start, end = (start, end + width) if upwards else (start - width, end)
            self.counts = torch.cat([pairs, pairs * 0] if upwards else [pairs * 0, pairs])
        return start, end

    def range(self, method: str, percentile: float) -> ActivationRange:
        """The range that ``method`` (min_max, percentile, mse, entropy) chooses; always holds 0.

        Entropy: the least Kullback-Leibler divergence of the histogram from its 8-bit form, as TensorRT calibrates
        (Migacz, "8-bit inference with TensorRT", GTC 2017), over ranges that keep 0 where it is.
        """
        full = ActivationRange(min(self.low, 0.0), max(self.high, 0.0))
        if method == "min_max" or self.ends is None:
            return full
        edges = torch.linspace(*self.ends, BINS + 1, dtype=torch.float64)
        centers = (edges[1:] + edges[:-1]) / 2
        if method == "percentile":
            return self._percentile(full, centers, percentile)
        cost = self._squared_error if method == "mse" else self._divergence
        candidates = [ActivationRange(full.low * f, full.high * f) for f in _FRACTIONS.tolist()]
        return min(candidates, key=lambda candidate: cost(candidate, centers))

    def _percentile(self, full: ActivationRange, centers: Tensor, percentile: float) -> ActivationRange:
        tail = (100 - percentile) / 200
        if not tail:
            return full  # a bin's centre would clip what lies beyond it
        low, high = (
            centers[int(torch.searchsorted(counts.cumsum(0) / counts.sum(), tail))].item()
            for counts, centers in ((self.counts, centers), (self.counts.flip(0), centers.flip(0)))
        )
        return ActivationRange(max(full.low, min(low, 0.0)), min(full.high, max(high, 0.0)))

    def _squared_error(self, range_: ActivationRange, centers: Tensor) -> float:
        low, high = range_.low, range_.high
        scale = max(high - low, 1e-8) / (LEVELS - 1)
        inside = (centers > low) & (centers < high)
        error = (centers.clamp(low, high) - centers).square() + scale**2 / 12 * inside
        return (self.counts * error).sum().item()

    def _divergence(self, range_: ActivationRange, centers: Tensor) -> float:
        """Divergence of the values, those outside the range counted at its ends, from the same in LEVELS levels."""
        low, high = range_.low, range_.high
        inside = (centers >= low) & (centers <= high)
        if not inside.any():
            return float("inf")
        kept = self.counts[inside]
        clipped = kept.clone()
        clipped[0] += self.counts[centers < low].sum()
        clipped[-1] += self.counts[centers > high].sum()
        level = ((centers[inside] - low) / max(high - low, 1e-8) * (LEVELS - 1)).round().long()
        filled = (clipped > 0).double()  # empty bins of a level stay empty
        sums, filled_bins = (torch.zeros(LEVELS, dtype=torch.float64).index_add_(0, level, v) for v in (kept, filled))
        coarse = (sums / filled_bins.clamp_min(1))[level] * filled
        p, q = clipped / clipped.sum(), (coarse / coarse.sum().clamp_min(1e-30)).clamp_min(1e-12)
        return (p[p > 0] * (p[p > 0] / q[p > 0]).log()).sum().item()


def _gram(x: Tensor) -> Tensor:
    """x @ x.T, whose lower triangle is a copy of the upper one."""
    gram = x.new_empty(len(x), len(x))
    for start in range(0, len(x), ROWS):
        end = start + ROWS
        gram[start:end, start:] = x[start:end] @ x[start:].T
        gram[end:, start:end] = gram[start:end, end:].T
    return gram


@dataclass
class MomentObserver:
    """Second moments of a convolution's input patches, (k, k) with k = kernel area x input channels, and their mean."""

    moments: Tensor | None = None
    total: Tensor | None = None
    count: int = 0

    def add(self, x: Tensor, conv: nn.Conv2d, generator: torch.Generator) -> None:
        """Take in a random window of the input x (1, C, H, W) of ``conv``."""
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        side = (WINDOW - 1) * stride + kernel
        height, width = x.shape[-2:]
        y, z = (int(torch.randint(max(1, n - side + 1), (1,), generator=generator)) for n in (height, width))
        window = x[..., y : y + side, z : z + side]
        # A latent smaller than the kernel has no patch without the convolution's padding.
        padding = conv.padding[0] if min(height, width) < side else 0  # type: ignore[call-overload]
        patches = functional.unfold(window, kernel, stride=stride, padding=padding)[0]
        gram, total = _gram(patches), patches.sum(1)
        self.moments = gram if self.moments is None else self.moments.add_(gram)
        self.total = total if self.total is None else self.total.add_(total)
        self.count += patches.shape[1]

    @property
    def mean(self) -> Tensor:
        """Mean patch (k,)."""
        assert self.total is not None
        return self.total / self.count
