"""Enlargement and convolution as one: the same picture, borders included."""

import pytest
import torch
from torch import nn

from compress.artifacts.export.upsample import merged, merges


@pytest.mark.parametrize("bias", [True, False])
def test_it_gives_what_the_two_gave(bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    upsample, conv = nn.Upsample(scale_factor=2), nn.Conv2d(5, 7, 3, padding=1, bias=bias)
    x = torch.randn(2, 5, 6, 9, generator=generator)
    assert merges(upsample, conv)
    torch.testing.assert_close(merged(conv)(x), conv(upsample(x)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("upsample", "conv"),
    [
        (nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 3, padding=1)),
        (nn.Upsample(scale_factor=3), nn.Conv2d(4, 4, 3, padding=1)),
        (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)),
        (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 1)),
        (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1, groups=2)),
        (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1, stride=2)),
        (nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
    ],
)
def test_other_pairs_are_left_alone(upsample: nn.Module, conv: nn.Conv2d) -> None:
    assert not merges(upsample, conv)
