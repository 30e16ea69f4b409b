"""Rounding of weights: to nearest, or with error compensation (GPTQ, Frantar et al., arXiv 2210.17323)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

DAMPING = 0.01  # of the mean diagonal
BLOCK = 128  # columns that are rounded between two updates of the rest
PAIR_MAX = 128  # 255 x 128 fits int16, 255 x 129 does not
WEIGHT_MAX = {8: 127, 7: 63, 4: 7}  # 7 bits: two products of u8 and s8 fit int16, so vpmaddubsw cannot saturate


@dataclass(frozen=True)
class QuantizedWeight:
    """int8 values on a per-output-channel symmetric grid; shared by every Euler step that uses the convolution.

    ``bits``: 8, 7 or 4 (``WEIGHT_MAX``). ``paired``: neighbouring input channels' values are limited in their sum.
    """

    values: Tensor
    scales: Tensor
    axis: int
    bits: int = 8
    paired: bool = False


def output_axis(conv: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Dimension of a convolution's weight that counts its output channels."""
    return 1 if isinstance(conv, nn.ConvTranspose2d) else 0


def quantize_weight(conv: nn.Conv2d | nn.ConvTranspose2d, bits: int, *, pair_limit: bool = False) -> QuantizedWeight:
    """Round to nearest on the per-channel grid of ``weight_scales``.

    ``pair_limit``: two neighbouring input channels' weights fit together (``can_pair`` says where).
    """
    axis = output_axis(conv)
    w = conv.weight.detach()
    scales = weight_scales(w, axis, bits, pair_limit=pair_limit)
    shape = [1] * w.ndim
    shape[axis] = -1
    values = (w / scales.view(shape)).round().clamp(-WEIGHT_MAX[bits], WEIGHT_MAX[bits])
    return QuantizedWeight(values.to(torch.int8), scales, axis, bits, pair_limit)


def weight_scales(w: Tensor, axis: int, bits: int, *, pair_limit: bool = False) -> Tensor:
    """Scale of each output channel: largest magnitude, of one weight or of a pair's sum / largest integer.

    In 4 bits the few largest weights clip, as far as that lessens the channel's squared error.
    """
    rest = [d for d in range(w.ndim) if d != axis]
    largest = w.abs().amax(rest)
    if pair_limit:
        largest = torch.maximum(largest, w.unflatten(1 - axis, (-1, 2)).sum(2 - axis).abs().amax(rest))
    scales = (largest / WEIGHT_MAX[bits]).clamp_min(1e-8)
    return scales if bits > 4 else _least_error(w.transpose(0, axis).flatten(1), scales, WEIGHT_MAX[bits])


def _least_error(rows: Tensor, scales: Tensor, limit: int) -> Tensor:
    """``scales`` (rows,), each lowered by the factor with the least squared error of its row."""
    candidates = torch.stack([scales * factor for factor in torch.linspace(1, 0.4, 31).tolist()])
    errors = torch.stack(
        [((rows / s).round().clamp(-limit, limit) * s - rows).square().sum(1) for s in candidates.unsqueeze(-1)]
    )
    return candidates.gather(0, errors.argmin(0, keepdim=True))[0]


def can_pair(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether kernels add input channels 2i and 2i + 1 of one tap in 16 bits, and never other pairs."""
    return conv.in_channels % 2 == 0 and conv.groups == 1


def pair_partners(conv: nn.Conv2d) -> Tensor:
    """For each column of the weight as a matrix (out, in x kh x kw), the column of the other channel of its pair."""
    columns = torch.arange(conv.weight[0].numel()).view(conv.in_channels // 2, 2, -1)
    return columns.flip(1).flatten()


def gptq(
    w: Tensor,
    scales: Tensor,
    limit: int,
    moments: Tensor,
    partners: Tensor | None = None,
    zeros: Tensor | None = None,
) -> Tensor:
    """Integers (rows, k) of the matrix ``w`` (rows, k) on per-row ``scales`` (rows,), within +-limit.

    Each column's rounding error is carried to the columns not yet rounded, so that the error on inputs with second
    ``moments`` (k, k) is small, not that of the weights. ``partners`` (k,): the column whose integers, added to this
    one's, must stay within +-``PAIR_MAX``. ``zeros`` (rows, k): where true, the integer is 0.
    """
    order = torch.argsort(moments.diagonal(), descending=True)
    back = torch.argsort(order)
    mates = None if partners is None else back[partners[order]].tolist()
    inverse = _inverse_factor(moments[order][:, order].double())
    # A column of ``w`` is a row here, so that it lies together. By numpy: a hundred thousand operations on so few
    # numbers would mostly be torch's overhead.
    columns, step = w[:, order].T.double().contiguous().numpy(), scales.double().numpy()
    integers = np.zeros_like(columns)
    kept = None if zeros is None else ~zeros[:, order].T.numpy()
    for start in range(0, len(columns), BLOCK):
        end = min(start + BLOCK, len(columns))
        errors = np.zeros((end - start, columns.shape[1]))
        for j in range(start, end):
            nearest = np.rint(columns[j] / step).clip(-limit, limit)
            if mates is not None:  # a partner that is not rounded yet is 0, and leaves the limit as it is
                nearest = nearest.clip(*pair_bounds(integers[mates[j]]))
            if kept is not None:
                nearest *= kept[j]
            integers[j] = nearest
            errors[j - start] = (columns[j] - nearest * step) / inverse[j, j]
            columns[j + 1 : end] -= np.multiply.outer(inverse[j, j + 1 : end], errors[j - start])
        # By torch, whose threads are limited as the run's are.
        rest = torch.from_numpy(errors).T @ torch.from_numpy(inverse[start:end, end:])
        columns[end:] -= rest.T.numpy()
    return torch.from_numpy(integers)[back].T.contiguous()


def pair_bounds(partner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest integer beside ``partner`` whose products with two u8 add up within 16 bits."""
    return -PAIR_MAX - np.minimum(partner, 0), PAIR_MAX - np.maximum(partner, 0)


def _inverse_factor(moments: Tensor) -> np.ndarray:
    """Upper Cholesky factor U of the inverse of the damped ``moments``: U.T U is the inverse.

    The factor L of the moments in reverse order gives it at once, as the inverse of a triangle: reversed again, L is
    the upper R of R R.T. Half the work of inverting the moments and factoring the inverse.
    """
    identity = torch.eye(len(moments), dtype=torch.float64)
    damped = moments + identity * (DAMPING * moments.diagonal().mean() + 1e-10)
    lower = torch.linalg.cholesky(damped.flip(0, 1))
    # LAPACK's own inverse of a triangle, by scipy, takes five to twenty times as long.
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    return np.ascontiguousarray(inverse.numpy()[::-1, ::-1])


def limit_pairs(values: Tensor, axis: int) -> Tensor:
    """``values`` with the larger one of neighbours along ``axis`` lowered where their sum is beyond +-``PAIR_MAX``."""
    pairs = values.unflatten(axis, (-1, 2))
    total = pairs.sum(axis + 1, keepdim=True)
    excess = (total.abs() - PAIR_MAX).clamp_min(0) * total.sign()
    first, second = pairs.abs().unbind(axis + 1)
    larger = torch.stack([first >= second, first < second], axis + 1)
    return (pairs - excess * larger).flatten(axis, axis + 1)
