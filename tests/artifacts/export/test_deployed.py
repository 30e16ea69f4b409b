"""What is exported: clipped, and with the noise as an input or inside."""

import numpy as np
import torch
from torch import Tensor, nn

from compress.artifacts.export.deployed import deployed
from compress.elir.model import Elir
from compress.elir.noise import picture_noise, seeded_noise


class Loud(nn.Module):
    """Leaves [0, 1] on both sides."""

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return 10 * lq - 5 + noise.mean()


def test_the_output_is_clipped() -> None:
    module, inputs = deployed(Loud(), (64, 64), None)
    hq = module(*inputs)
    assert (hq.min().item(), hq.max().item()) == (0.0, 1.0)
    assert [tuple(x.shape) for x in inputs] == [(1, 3, 64, 64), (1, 16, 8, 8)]


def test_baked_noise_is_that_of_its_seed(folded: Elir, pair: tuple[Tensor, Tensor]) -> None:
    module, inputs = deployed(folded, (64, 64), 5)
    assert len(inputs) == 1
    with torch.no_grad():
        assert torch.equal(module(pair[0]), folded(pair[0], seeded_noise(64, 64, 5)).clamp(0, 1))
        assert not torch.equal(module(pair[0]), folded(pair[0], seeded_noise(64, 64, 6)).clamp(0, 1))


def test_each_picture_has_its_own_noise_the_same_every_time() -> None:
    assert np.array_equal(picture_noise((64, 64), 0, 1), picture_noise((64, 64), 0, 1))
    kinds = [picture_noise((64, 64), seed, index) for seed in (0, 1) for index in (0, 1)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(kinds) for b in kinds[:i])
    assert abs(np.concatenate(kinds).std() - 1) < 0.05
