"""The over-parametrised training form of a convolution, its exact collapse, and the way back.

While training, a 3x3 convolution is a pair: 3x3 to four times the output channels, then 1x1 back. Both are linear
with nothing between, so their product is one 3x3 convolution; the padding belongs to the 3x3, so it is exact.
"""

import torch
from torch import nn

EXPANSION = 4


def conv_pair(c_in: int, c_out: int, *, over_param: bool) -> list[nn.Module]:
    """The two modules that stand for one convolution: (3x3 to 4x, 1x1 back) or (3x3, Identity)."""
    if not over_param:
        return [nn.Conv2d(c_in, c_out, 3, padding=1), nn.Identity()]
    wide = c_out * EXPANSION
    return [nn.Conv2d(c_in, wide, 3, padding=1), nn.Conv2d(wide, c_out, 1)]


def collapse_pair(wide: nn.Conv2d, narrow: nn.Conv2d) -> nn.Conv2d:
    """One 3x3 convolution equal to ``narrow(wide(x))``; multiplied in float64, kept in the weights' own dtype."""
    w1, w2 = wide.weight.double(), narrow.weight.double()[:, :, 0, 0]
    conv = nn.Conv2d(wide.in_channels, narrow.out_channels, 3, padding=1).to(wide.weight)
    bias = torch.zeros(narrow.out_channels).to(w2)
    if wide.bias is not None:
        bias = bias + w2 @ wide.bias.double()
    if narrow.bias is not None:
        bias = bias + narrow.bias.double()
    with torch.no_grad():
        conv.weight.copy_(torch.einsum("om,mikl->oikl", w2, w1))
        conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv.requires_grad_(wide.weight.requires_grad)


def expand_pair(conv: nn.Conv2d, generator: torch.Generator) -> tuple[nn.Conv2d, nn.Conv2d]:
    """A pair whose collapse is ``conv``, to the bit: the first channels carry it, the others are multiplied by 0.

    Those others start at random, as in a fresh pair, so that training can use them.
    """
    first, second = conv_pair(conv.in_channels, conv.out_channels, over_param=True)
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d) and first.bias is not None
    bound = (conv.in_channels * 9) ** -0.5
    with torch.no_grad():
        first.weight.uniform_(-bound, bound, generator=generator)
        first.weight[: conv.out_channels] = conv.weight
        first.bias.zero_()
        second.weight.zero_()
        second.weight[:, : conv.out_channels, 0, 0] = torch.eye(conv.out_channels)
        second.bias.copy_(torch.zeros(()) if conv.bias is None else conv.bias)  # type: ignore[union-attr]
    return first, second


def expand(model: nn.Module, seed: int = 0) -> int:
    """Put a pair, in place, for every convolution below ``model`` that a collapse left; returns how many there were."""
    generator = torch.Generator().manual_seed(seed)
    count = 0
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            conv, after = module[i], module[i + 1]
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and isinstance(after, nn.Identity):
                module[i], module[i + 1] = expand_pair(conv, generator)
                count += 1
    return count


def collapse(model: nn.Module) -> int:
    """Collapse, in place, every over-parametrised pair below ``model``; returns how many there were."""
    count = 0
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            first, second = module[i], module[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d) and _is_pair(first, second):
                module[i], module[i + 1] = collapse_pair(first, second), nn.Identity()
                count += 1
    return count


def _is_pair(first: nn.Conv2d, second: nn.Conv2d) -> bool:
    return first.kernel_size == (3, 3) and second.kernel_size == (1, 1) and first.out_channels == second.in_channels
