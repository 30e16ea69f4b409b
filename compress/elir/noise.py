"""The inputs of a model for a picture: ``lq``, and the seeded noise, or its seed, that every artifact gets for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from compress.data.pictures import to_float
from compress.elir.latent import noise_shape
from compress.elir.noise_torus import PERIOD
from compress.elir.numpy_noise import standard_normal

if TYPE_CHECKING:
    from torch import Tensor


def seeded_noise(height: int, width: int, seed: int) -> "Tensor":
    """Standard normal noise (1, 16, H/8, W/8) of ``seed``."""
    import torch

    return torch.randn(noise_shape(height, width), generator=torch.Generator().manual_seed(seed))


def picture_noise(size: Sequence[int], seed: int, index: int) -> np.ndarray:
    """The noise (1, 16, H/8, W/8) float32 of picture number ``index`` of a set; ``size``: its height and width.

    Every artifact and the torch model get the same; it is torch's own where torch is installed, since a runtime is
    all that `compress verify` needs.
    """
    height, width = size
    seed = (seed << 20) + index
    try:
        return seeded_noise(height, width, seed).numpy()
    except ImportError:
        return standard_normal(noise_shape(height, width), seed)


def picture_seed(seed: int, index: int) -> np.ndarray:
    """What an artifact of ``noise: seed`` gets for picture number ``index`` instead of its noise: (1,) int64."""
    return np.array([((seed << 20) + index) % PERIOD], np.int64)


def picture_inputs(picture: np.ndarray, seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """``lq`` (1, 3, H, W) in [0, 1] and ``noise`` (1, 16, H/8, W/8), float32, of (H, W, 3) uint8, number ``index``."""
    return to_float([picture]), picture_noise(picture.shape[:2], seed, index)


def noise_field(height: int, width: int, seed: int) -> np.ndarray:
    """Standard normal noise (16, h/8, w/8) float32 for a picture of height x width px, rounded up to 32.

    For pictures of any size, which are restored in tiles: every tile takes its part.
    """
    return np.random.default_rng(seed).standard_normal(noise_shape(height, width)[1:], dtype=np.float32)
