"""equalize: channels of the autoencoder get ranges alike, exactly, so that one scale a tensor fits them all.

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
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.passes.settings import EqualizeSettings

MIN_RANGE = 1e-3  # of the widest channel: a dead channel is not blown up


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
        if not subject.calibration_count:
            raise InputError("passes: equalize needs calibration pictures: give data.calibration")

    def call(self, subject: Subject) -> None:
        streams = [s for net in (subject.model.enc, subject.model.dec) for s in find_streams(net.layers)]
        ranges = self._observe(subject, streams)
        with torch.no_grad():
            for stream, observed in zip(streams, ranges, strict=True):
                _scale(stream, _factors(observed, self.settings.strength))
        subject.notes.append(f"equalize: {len(streams)} streams, strength {self.settings.strength:g}")

    def _observe(self, subject: Subject, streams: list[Stream]) -> list[Tensor]:
        """Mean over pictures of each channel's largest magnitude, as the stream's readers see it."""
        sums = [torch.zeros(s.readers[0].in_channels) for s in streams]
        handles = [
            reader.register_forward_pre_hook(lambda _, x, i=i: _add_peak(sums[i], x[0]))  # type: ignore[misc]
            for i, stream in enumerate(streams)
            for reader in stream.readers
        ]
        try:
            with torch.no_grad():
                for n, (lq, noise) in enumerate(subject.calibration()):
                    if n == self.settings.pictures:
                        break
                    subject.model(lq, noise)
                    subject.advance("equalize", n + 1, min(self.settings.pictures, subject.calibration_count))
        finally:
            for handle in handles:
                handle.remove()
        return sums


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


def _add_peak(total: Tensor, x: Tensor) -> None:
    total += x.abs().amax((0, 2, 3))


def _factors(ranges: Tensor, strength: float) -> Tensor:
    relative = (ranges / ranges.max()).clamp_min(MIN_RANGE)
    factors = relative**-strength
    return factors / factors.log().mean().exp()


def _scale(stream: Stream, factors: Tensor) -> None:
    for conv in stream.writers:
        conv.weight.mul_(factors[:, None, None, None])
        if conv.bias is not None:
            conv.bias.mul_(factors)
    for conv in stream.readers:
        conv.weight.div_(factors[None, :, None, None])
