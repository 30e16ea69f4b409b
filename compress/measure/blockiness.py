"""How visible the blocks of JPEG compression are in a picture, whatever its file is now."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BLOCK = 8
VISIBLE = 1.3
"""Of 71 photographs, none reaches it without JPEG (at most 1.28), 9 do at quality 70, 28 at 50, 51 at 30, 65 at 20."""
SIDE = 1024
"""Px of the middle that is looked at: enough for the mean, and quick in a picture of any size."""
FLAT = 0.05
"""Mean step inside of blocks, in 1/255, below which a drawing, not a photograph, is flat between its own edges."""


def blockiness(picture: "np.ndarray") -> float:
    """(H, W, 3) uint8 -> how many times as large steps of brightness are between blocks of 8 px as inside of them.

    About 1 without blocks. The blocks may begin anywhere, as in a picture that was cropped; both directions must have
    them, and the smaller ratio counts. 1 for a picture of fewer than 4 blocks, and for one that is flat inside of them.
    """
    import numpy as np

    height, width = picture.shape[:2]
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    middle = picture[top : top + SIDE, left : left + SIDE] @ np.array([0.299, 0.587, 0.114], np.float32)
    if min(middle.shape) < 4 * BLOCK:
        return 1.0
    return min(_ratio(middle), _ratio(middle.T))


def _ratio(grey: "np.ndarray") -> float:
    """Compare the steps from column to column: the ratio of the largest mean, over the eight places in a block, to the
    median of the others.
    """
    import numpy as np

    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    means = np.array([steps[place::BLOCK].mean() for place in range(BLOCK)])
    inside = float(np.median(np.delete(means, means.argmax())))
    return float(means.max()) / inside if inside > FLAT else 1.0
