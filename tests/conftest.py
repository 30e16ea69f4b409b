"""Shared fixtures: a small ELIR with seeded random weights, and a real photograph."""

import numpy as np
import pytest
import torch

from compress.elir.model import Elir, ElirConfig


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture()
def tiny_elir() -> Elir:
    """The smallest ELIR that the architecture admits, over the whole K = 3 path."""
    torch.manual_seed(0)
    return Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(256, 256, 3) uint8: scikit-image's astronaut, centre crop."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[128:384, 128:384])
