"""equalize: the channels of the autoencoder get equal ranges, so that one scale per tensor fits every channel.

The network computes the same as before.

Cross-layer equalisation (Nagel et al., ICCV 2019, arXiv 1906.04721), extended to residual streams:
ReLU(s x) = s ReLU(x) for s > 0, and sums keep it, so every convolution that writes a stream may scale its output
channels if every one that reads it scales its input channels back. MMSE and flow have SiLU and GroupNorm, where this
does not hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.elir.autoencoder import Block
from compress.passes.base import Pass, Subject
from compress.passes.channel_ranges import inputs_of, peaks, relative, require_calibration
from compress.recipe.passes import EqualizeSettings


@dataclass
class Stream:
    """Channels shared by ``writers`` (their outputs) and ``readers`` (their inputs)."""

    writers: list[nn.Conv2d]
    readers: list[nn.Conv2d]


class Equalize(Pass):
    """Scale channels by range ** -strength; the ranges are the means of the calibration pictures' largest values."""

    name = "equalize"
    exact = True
    settings: EqualizeSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        require_calibration(subject, self.name)

    def call(self, subject: Subject) -> None:
        streams = [s for net in (subject.model.enc, subject.model.dec) for s in find_streams(net.layers)]
        groups = [(s.readers[0].in_channels, s.readers) for s in streams]
        ranges = peaks(subject, self.name, inputs_of, groups, self.settings.pictures)
        with torch.no_grad():
            for stream, observed in zip(streams, ranges, strict=True):
                _scale(stream, _factors(observed, self.settings.strength))
        subject.notes.append(f"equalize: {len(streams)} streams, strength {self.settings.strength:g}")


def find_streams(layers: nn.Sequential) -> Iterator[Stream]:
    """Streams of an encoder or decoder: inside each block, and the residual stream of each resolution."""
    writers: list[nn.Conv2d] = []
    readers: list[nn.Conv2d] = []
    for layer in layers:
        if isinstance(layer, Block):
            first, second, third = (m for m in layer.conv if isinstance(m, nn.Conv2d))
            yield Stream([first], [second])
            yield Stream([second], [third])
            writers.append(third)
            readers.append(first)
        elif isinstance(layer, nn.Conv2d):
            if writers:
                yield Stream(writers, [*readers, layer])
            writers, readers = [layer], []


def _factors(ranges: Tensor, strength: float) -> Tensor:
    factors = relative(ranges) ** -strength
    return factors / factors.log().mean().exp()


def _scale(stream: Stream, factors: Tensor) -> None:
    for conv in stream.writers:
        conv.weight.mul_(factors[:, None, None, None])
        if conv.bias is not None:
            conv.bias.mul_(factors)
    for conv in stream.readers:
        conv.weight.div_(factors[None, :, None, None])
