"""Where a student starts: the teacher's networks with another entry and exit, fitted to what was there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from compress.elir.autoencoder import entry
from compress.elir.model import Elir

RIDGE = 1e-4  # of the least squares, relative to the mean square of an input
Pairs: TypeAlias = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # (lq, noise) of one picture each


def coarse_encoder(model: Elir, scale: int, blocks: tuple[int, ...], pairs: Pairs) -> None:
    """Put an encoder into ``model`` that reads the picture on a grid ``scale`` times coarser, in place.

    Its first convolution is fitted to what the encoder so far has at that resolution, before the ``blocks`` of each
    resolution that stay: the last ones.
    """
    old = list(model.enc.layers)
    starts = [i for i, layer in enumerate(old) if isinstance(layer, nn.Conv2d)]
    first, second = starts[len(starts) - 1 - len(blocks)], starts[len(starts) - len(blocks)]
    new = entry(old[first].out_channels, scale)
    before = nn.Sequential(*old[: second - blocks[0]])
    fit(new, ((lq, before(lq)) for lq, _ in pairs()))
    layers: list[nn.Module] = []
    for begin, end, count in zip(starts[-1 - len(blocks) : -1], starts[-len(blocks) :], blocks, strict=True):
        layers += [old[begin] if layers else new, *old[end - count : end]]
    model.enc.layers = nn.Sequential(*layers, old[-1])
    widths = model.config.enc_widths[-len(blocks) :]
    model.config = replace(model.config, enc_widths=widths, enc_blocks=blocks, enc_scale=scale)


def residual_decoder(model: Elir, teacher: Elir, pairs: Pairs) -> None:
    """Let the decoder of ``model`` draw what the input lacks, in place.

    Its last convolution is fitted to the teacher's picture less the input, on the teacher's latents.
    """
    exit_ = model.dec.layers[-1]
    assert isinstance(exit_, nn.Conv2d)

    def examples() -> Iterator[tuple[Tensor, Tensor]]:
        for lq, noise in pairs():
            stages = teacher.stages(lq, noise)
            yield model.dec.features(stages[f"step_{teacher.k_steps}"]), stages["output"] - lq

    fit(exit_, examples())
    model.config = replace(model.config, residual=True)


@torch.no_grad()
def fit(conv: nn.Conv2d, examples: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set weights and bias of ``conv`` to the least squares on examples, (1, C, H, W) in and out."""
    size = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1] + 1
    gram, cross = torch.zeros(size, size).double(), torch.zeros(size, conv.out_channels).double()
    for given, wanted in examples:
        columns = nn.functional.unfold(given, conv.kernel_size, padding=conv.padding, stride=conv.stride)[0]  # type: ignore[arg-type]
        columns = torch.cat([columns, torch.ones(1, columns.shape[1])]).double()
        gram += columns @ columns.T
        cross += columns @ wanted[0].flatten(1).double().T
    gram += RIDGE * gram.diagonal().mean() * torch.eye(size).double()
    solved = torch.cholesky_solve(cross, torch.linalg.cholesky(gram)).T.float()
    conv.weight.copy_(solved[:, :-1].reshape(conv.weight.shape))
    conv.bias.copy_(solved[:, -1])  # type: ignore[union-attr]
