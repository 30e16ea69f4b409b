"""Weights that become 0 where they stand: unstructured, or two of each four (2:4). Shapes, and so dense kernels' time,
stay as they are."""

from functools import partial

import torch
from torch import Tensor, nn

Conv = nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def unstructured(model: nn.Module, share: float) -> None:
    """Zero the ``share`` of all convolutions' weights that is smallest, each against its own layer's mean magnitude."""
    weights = [m.weight for m in model.modules() if isinstance(m, Conv)]
    relative = torch.cat([(w.abs() / w.abs().mean().clamp_min(1e-30)).flatten() for w in weights])
    bound = relative.kthvalue(max(1, round(share * relative.numel()))).values
    for w in weights:
        w.mul_(w.abs() / w.abs().mean().clamp_min(1e-30) > bound)


@torch.no_grad()
def two_of_four(model: nn.Module) -> int:
    """Zero the two smallest of every four adjacent weights along the input channels; returns how many layers
    that reached: those whose input channels are a multiple of 4."""
    done = 0
    for m in model.modules():
        if isinstance(m, nn.Conv2d) and m.in_channels % 4 == 0:
            m.weight.mul_(_largest_two(m.weight))
            done += 1
    return done


def _largest_two(weight: Tensor) -> Tensor:
    """1 where a weight (out, in, kh, kw) is among the two largest of its four input channels, else 0."""
    fours = weight.abs().permute(0, 2, 3, 1).reshape(-1, 4)
    kept = torch.zeros_like(fours).scatter_(1, fours.topk(2, dim=1).indices, 1.0)
    out, channels, height, width = weight.shape
    return kept.reshape(out, height, width, channels).permute(0, 3, 1, 2)


def hold_zeros(model: nn.Module) -> None:
    """Keep a convolution's weights at 0 through a training where they are 0 at its start: their gradients are 0."""
    for m in model.modules():
        if isinstance(m, Conv):
            hold(m.weight.requires_grad_(True), m.weight.detach() == 0)


def hold(weights: nn.Parameter, zero: Tensor) -> None:
    """Keep ``weights`` as they are through a training where ``zero`` is true."""
    weights.register_hook(partial(_masked, ~zero))


def _masked(learns: Tensor, grad: Tensor) -> Tensor:
    return grad * learns.to(grad.device)


def zeros(model: nn.Module) -> float:
    """Share of the convolutions' weights that are 0."""
    weights = [m.weight for m in model.modules() if isinstance(m, Conv)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
