"""What XNNPACK's delegate does not run, written as what it does: GroupNorm, and enlargement by nearest neighbours."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.artifacts.export.upsample import merged, merges


class DelegatedGroupNorm(nn.Module):
    """GroupNorm by means over pixels, then over a group's channels; (N, C, H, W) -> the same shape.

    XNNPACK averages over pixels only; the mean over channels is a 1x1 convolution of a picture of one pixel.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        size = norm.num_channels // norm.num_groups
        self.register_buffer("average", torch.full((norm.num_channels, size, 1, 1), 1 / size))
        self.register_buffer("weight", norm.weight.detach().view(1, -1, 1, 1).clone())
        self.register_buffer("bias", norm.bias.detach().view(1, -1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        centred = x - self._mean(x)
        scale = torch.rsqrt(self._mean(centred * centred) + self.eps) * self.weight
        return centred * scale + self.bias

    def _mean(self, x: Tensor) -> Tensor:
        return functional.conv2d(x.mean((2, 3), keepdim=True), self.average, groups=self.groups)


def delegate(model: nn.Module) -> None:
    """Replace, in place, what XNNPACK would leave to portable kernels; exact but for rounding."""
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential):
            _merge_upsampling(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, DelegatedGroupNorm(child))


def _merge_upsampling(layers: nn.Sequential) -> None:
    for (i, upsample), (k, conv) in pairwise(list(enumerate(layers))):
        if merges(upsample, conv):
            assert isinstance(conv, nn.Conv2d)
            layers[i], layers[k] = nn.Identity(), merged(conv)
