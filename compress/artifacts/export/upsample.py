"""Enlargement by nearest neighbours and the 3x3 convolution after it, as one transposed convolution: exact, and 4
multiplications where the two took 9, since equal neighbours share the sum of their weights."""

import torch
from torch import nn

# Row: tap of the transposed convolution; column: tap of the convolution. Along either axis.
_TAPS = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])


def merges(upsample: nn.Module, conv: nn.Module) -> bool:
    """Whether ``conv`` right after ``upsample`` is a pair that ``merged`` takes."""
    doubles = isinstance(upsample, nn.Upsample) and upsample.mode == "nearest" and upsample.scale_factor == 2
    plain = isinstance(conv, nn.Conv2d) and conv.groups == 1 and conv.stride == conv.padding == conv.dilation == (1, 1)
    return doubles and plain and conv.kernel_size == (3, 3)


def merged(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """``conv`` on what was enlarged twice, as a convolution of what was not: (N, C_in, h, w) -> (N, C_out, 2h, 2w)."""
    made = nn.ConvTranspose2d(conv.in_channels, conv.out_channels, 4, stride=2, padding=1, bias=False)
    weight = conv.weight.detach()
    taps = _TAPS.to(weight)
    made.weight = nn.Parameter(torch.einsum("ka,lb,oiab->iokl", taps, taps, weight), requires_grad=False)
    made.bias = conv.bias
    return made
