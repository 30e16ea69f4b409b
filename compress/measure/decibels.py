"""Decibels of an error: what every PSNR is computed by."""

import math

CAP_DB = 150.0


def decibels(error: float, *, peak: float = 1.0, cap: float = CAP_DB) -> float:
    """``10 log10(peak^2 / error)`` of a mean square error, in dB; ``cap`` for none at all, NaN for NaN."""
    if error == 0:
        return cap
    value = 10 * math.log10(peak**2 / error)
    return cap if value > cap else value  # min() would give ``cap`` for NaN
