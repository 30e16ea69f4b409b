"""Rounding of weights: to nearest, or with error compensation (GPTQ, Frantar et al., arXiv 2210.17323)."""

import torch
from torch import Tensor

DAMPING = 0.01  # of the mean diagonal
BLOCK = 128  # columns that are rounded between two updates of the rest
PAIR_MAX = 128  # 255 x 128 fits int16, 255 x 129 does not


def gptq(w: Tensor, scales: Tensor, limit: int, moments: Tensor, partners: Tensor | None = None) -> Tensor:
    """Integers (rows, k) of the matrix ``w`` (rows, k) on per-row ``scales`` (rows,), within +-limit.

    Each column's rounding error is carried to the columns not yet rounded, so that the error on inputs with second
    ``moments`` (k, k) is small, not that of the weights. ``partners`` (k,): the column whose integers, added to this
    one's, must stay within +-``PAIR_MAX``.
    """
    order = torch.argsort(moments.diagonal(), descending=True)
    back = torch.argsort(order)
    mates = None if partners is None else back[partners[order]]
    w = w[:, order].double()
    inverse = _inverse_factor(moments[order][:, order].double())
    columns = w.shape[1]
    integers = torch.zeros_like(w)
    step = scales.double()[:, None]
    for start in range(0, columns, BLOCK):
        end = min(start + BLOCK, columns)
        errors = torch.zeros(w.shape[0], end - start, dtype=torch.float64)
        for j in range(start, end):
            nearest = (w[:, j : j + 1] / step).round().clamp(-limit, limit)
            if mates is not None:  # a partner that is not rounded yet is 0, and leaves the limit as it is
                nearest = nearest.clamp(*pair_bounds(integers[:, mates[j], None]))
            integers[:, j : j + 1] = nearest
            error = (w[:, j : j + 1] - integers[:, j : j + 1] * step) / inverse[j, j]
            w[:, j + 1 : end] -= error * inverse[j, j + 1 : end]
            errors[:, j - start] = error[:, 0]
        w[:, end:] -= errors @ inverse[start:end, end:]
    return integers[:, back]


def pair_bounds(partner: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest integer beside ``partner`` whose products with two u8 add up within 16 bits."""
    return -PAIR_MAX - partner.clamp_max(0), PAIR_MAX - partner.clamp_min(0)


def _inverse_factor(moments: Tensor) -> Tensor:
    """Upper Cholesky factor of the damped inverse of ``moments``."""
    moments = moments + torch.eye(len(moments), dtype=torch.float64) * (DAMPING * moments.diagonal().mean() + 1e-10)
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments)), upper=True)


def limit_pairs(values: Tensor, axis: int) -> Tensor:
    """``values`` with the larger one of neighbours along ``axis`` lowered where their sum is beyond +-``PAIR_MAX``."""
    pairs = values.unflatten(axis, (-1, 2))
    total = pairs.sum(axis + 1, keepdim=True)
    excess = (total.abs() - PAIR_MAX).clamp_min(0) * total.sign()
    first, second = pairs.abs().unbind(axis + 1)
    larger = torch.stack([first >= second, first < second], axis + 1)
    return (pairs - excess * larger).flatten(axis, axis + 1)
