"""Where a student starts: the teacher's networks with another entry and exit, fitted to what was there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor, nn

from compress.elir.autoencoder import entry
from compress.elir.model import Elir
from compress.elir.residual import fit, make_residual

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
    """Let the decoder of ``model`` draw what the input lacks, in place: fitted to the teacher's picture less the input,
    on the teacher's latents.
    """

    def examples() -> Iterator[tuple[Tensor, Tensor]]:
        for lq, noise in pairs():
            stages = teacher.stages(lq, noise)
            yield stages[f"step_{teacher.k_steps}"], stages["output"] - lq

    make_residual(model, examples())
