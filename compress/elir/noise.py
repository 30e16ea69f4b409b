"""The seeded noise that a model and every artifact of it get for a picture."""

import torch
from torch import Tensor

from compress.elir.model import noise_shape


def seeded_noise(size: int, seed: int) -> Tensor:
    """Standard normal noise (1, 16, S/8, S/8) of ``seed``."""
    return torch.randn(noise_shape(size, size), generator=torch.Generator().manual_seed(seed))


def picture_noise(size: int, seed: int, index: int) -> Tensor:
    """The noise of picture number ``index`` of a set; every artifact and the torch model get the same."""
    return seeded_noise(size, (seed << 20) + index)
