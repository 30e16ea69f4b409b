"""Where a student starts: the teacher's networks with another entry, fewer blocks and fewer channels."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.elir.autoencoder import entry
from compress.elir.model import Elir

RIDGE = 1e-4  # of the least squares, relative to the mean square of an input


def coarse_encoder(model: Elir, scale: int, blocks: tuple[int, ...], pictures: Iterator[Tensor]) -> None:
    """Put an encoder into ``model`` that reads the picture on a grid ``scale`` times coarser, in place.

    Its first convolution is fitted, by least squares on ``pictures`` (1, 3, H, W), to what the encoder so far has at
    that resolution; ``blocks`` of each resolution stay, the last ones.
    """
    old = list(model.enc.layers)
    starts = [i for i, layer in enumerate(old) if isinstance(layer, nn.Conv2d)]
    first = starts[len(starts) - 1 - len(blocks)]  # opens the finest resolution that stays
    new = entry(old[first].out_channels, scale)
    second = starts[len(starts) - len(blocks)]
    fit(new, nn.Sequential(*old[: second - blocks[0]]), pictures)
    layers: list[nn.Module] = []
    for begin, end, count in zip(starts[-1 - len(blocks) : -1], starts[-len(blocks) :], blocks, strict=True):
        layers += [old[begin] if layers else new, *old[end - count : end]]
    model.enc.layers = nn.Sequential(*layers, old[-1])
    widths = model.config.enc_widths[-len(blocks) :]
    model.config = replace(model.config, enc_widths=widths, enc_blocks=blocks, enc_scale=scale)


@torch.no_grad()
def fit(conv: nn.Conv2d, target: nn.Module, pictures: Iterator[Tensor]) -> None:
    """Set weights and bias of ``conv`` to the least squares that give ``target``'s output on the same pictures."""
    size = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1] + 1
    gram, cross = torch.zeros(size, size).double(), torch.zeros(size, conv.out_channels).double()
    for picture in pictures:
        columns = nn.functional.unfold(picture, conv.kernel_size, padding=conv.padding, stride=conv.stride)[0].double()
        columns = torch.cat([columns, torch.ones(1, columns.shape[1]).double()])
        gram += columns @ columns.T
        cross += columns @ target(picture)[0].flatten(1).double().T
    gram += RIDGE * gram.diagonal().mean() * torch.eye(size).double()
    solved = torch.linalg.solve(gram, cross).T.float()
    conv.weight.copy_(solved[:, :-1].reshape(conv.weight.shape))
    conv.bias.copy_(solved[:, -1])  # type: ignore[union-attr]
