"""Rounding of weights: to nearest, or with error compensation (GPTQ, Frantar et al., arXiv 2210.17323)."""

import numpy as np
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
    mates = None if partners is None else back[partners[order]].tolist()
    inverse = _inverse_factor(moments[order][:, order].double())
    # A column of ``w`` is a row here, so that it lies together. By numpy: a hundred thousand operations on so few
    # numbers would mostly be torch's overhead.
    columns, step = w[:, order].T.double().contiguous().numpy(), scales.double().numpy()
    integers = np.zeros_like(columns)
    for start in range(0, len(columns), BLOCK):
        end = min(start + BLOCK, len(columns))
        errors = np.zeros((end - start, columns.shape[1]))
        for j in range(start, end):
            nearest = np.rint(columns[j] / step).clip(-limit, limit)
            if mates is not None:  # a partner that is not rounded yet is 0, and leaves the limit as it is
                nearest = nearest.clip(*pair_bounds(integers[mates[j]]))
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
    from scipy.linalg.lapack import dtrtri

    moments = moments + torch.eye(len(moments), dtype=torch.float64) * (DAMPING * moments.diagonal().mean() + 1e-10)
    lower = torch.linalg.cholesky(moments.flip(0, 1))
    inverse, _ = dtrtri(lower.numpy(), lower=1)  # a Cholesky factor's diagonal is never 0
    return np.ascontiguousarray(inverse[::-1, ::-1])


def limit_pairs(values: Tensor, axis: int) -> Tensor:
    """``values`` with the larger one of neighbours along ``axis`` lowered where their sum is beyond +-``PAIR_MAX``."""
    pairs = values.unflatten(axis, (-1, 2))
    total = pairs.sum(axis + 1, keepdim=True)
    excess = (total.abs() - PAIR_MAX).clamp_min(0) * total.sign()
    first, second = pairs.abs().unbind(axis + 1)
    larger = torch.stack([first >= second, first < second], axis + 1)
    return (pairs - excess * larger).flatten(axis, axis + 1)
