"""The noise without torch is torch's."""

import numpy as np
import pytest

from compress.elir.latent import noise_shape
from compress.elir.noise import picture_noise
from compress.elir.numpy_noise import standard_normal


@pytest.mark.parametrize(("size", "seed", "index"), [(64, 0, 0), (96, 0, 7), (256, 5, 3), (64, 2**20, 1)])
def test_it_is_what_artifacts_were_measured_with(size: int, seed: int, index: int) -> None:
    ours = standard_normal(noise_shape(size, size), (seed << 20) + index)
    assert ours.dtype == np.float32
    assert np.abs(ours - picture_noise((size, size), seed, index)).max() < 1e-6


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 5\) holds 15 values: a multiple of 16 is needed"):
        standard_normal((3, 5), 0)
