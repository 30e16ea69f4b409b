"""A decoder that draws what the input lacks: its last convolution, fitted; training starts from there."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.elir.model import Elir

RIDGE = 1e-4  # of the least squares, relative to the mean square of an input


def make_residual(model: Elir, examples: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Let the decoder of ``model`` draw what the input lacks, in place.

    Its last convolution is fitted to ``examples``: a restored latent (1, 16, h, w), and what is to be added to the
    input (1, 3, 8h, 8w).
    """
    exit_ = model.dec.layers[-1]
    assert isinstance(exit_, nn.Conv2d)
    fit(exit_, ((model.dec.features(latent), lacking) for latent, lacking in examples))
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
