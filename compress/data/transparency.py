"""Colours under full transparency: nobody sees them in the source, and everybody would in what is made of it."""

import numpy as np

REACH = 64
"""How far, in px, the nearest visible colour is carried; farther away the mean visible colour lies."""
_STRIP = 256  # rows at a time


def bleed(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``rgb`` (H, W, 3) uint8 with the colours of fully transparent pixels replaced by the nearest visible ones.

    A restorer would otherwise mix what lies hidden into the edge: black or coloured outlines. ``alpha`` (H, W) uint8.
    Semi-transparent pixels keep their colours; so does a picture of which nothing is visible.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return rgb
    from scipy.ndimage import distance_transform_edt

    out = rgb.copy()
    mean = _mean(rgb, hidden)
    height = len(rgb)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        if not hidden[top:bottom].any():
            continue
        first, last = max(0, top - REACH), min(height, bottom + REACH)
        around = hidden[first:last]
        inner = slice(top - first, bottom - first)
        here = around[inner]
        if around.all():
            out[top:bottom] = mean
            continue
        distance, (rows, columns) = distance_transform_edt(around, return_indices=True)
        near = rgb[first:last][rows[inner], columns[inner]]
        near[distance[inner] > REACH] = mean
        out[top:bottom][here] = near[here]
    return out


def _mean(rgb: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Mean colour of what is not hidden, (3,) uint8."""
    total, count = np.zeros(3), 0
    for top in range(0, len(rgb), _STRIP):
        seen = rgb[top : top + _STRIP][~hidden[top : top + _STRIP]]
        total += seen.sum(0, dtype=np.float64)
        count += len(seen)
    return (total / count).round().astype(np.uint8)
