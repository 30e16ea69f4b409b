"""Rounding of weights: to nearest, or with error compensation (GPTQ, Frantar et al., arXiv 2210.17323)."""

import torch
from torch import Tensor

DAMPING = 0.01  # of the mean diagonal
BLOCK = 128  # columns that are rounded between two updates of the rest


def gptq(w: Tensor, scales: Tensor, limit: int, moments: Tensor) -> Tensor:
    """Integers (rows, k) of the matrix ``w`` (rows, k) on per-row ``scales`` (rows,), within +-limit.

    Each column's rounding error is carried to the columns not yet rounded, so that the error on inputs with second
    ``moments`` (k, k) is small, not that of the weights.
    """
    order = torch.argsort(moments.diagonal(), descending=True)
    w = w[:, order].double()
    inverse = _inverse_factor(moments[order][:, order].double())
    columns = w.shape[1]
    integers = torch.zeros_like(w)
    step = scales.double()[:, None]
    for start in range(0, columns, BLOCK):
        end = min(start + BLOCK, columns)
        errors = torch.zeros(w.shape[0], end - start, dtype=torch.float64)
        for j in range(start, end):
            integers[:, j : j + 1] = (w[:, j : j + 1] / step).round().clamp(-limit, limit)
            error = (w[:, j : j + 1] - integers[:, j : j + 1] * step) / inverse[j, j]
            w[:, j + 1 : end] -= error * inverse[j, j + 1 : end]
            errors[:, j - start] = error[:, 0]
        w[:, end:] -= errors @ inverse[start:end, end:]
    return integers[:, torch.argsort(order)]


def _inverse_factor(moments: Tensor) -> Tensor:
    """Upper Cholesky factor of the damped inverse of ``moments``."""
    moments = moments + torch.eye(len(moments), dtype=torch.float64) * (DAMPING * moments.diagonal().mean() + 1e-10)
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments)), upper=True)
