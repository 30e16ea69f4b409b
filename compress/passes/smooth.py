"""smooth: the input channels of the convolutions in the MMSE estimator and the flow get equal ranges.

The networks compute the same as before.

SmoothQuant (arXiv 2211.10438): a convolution's input channel j is divided by s_j = max|X_j|^a / max|W_j|^(1 - a), its
weights are multiplied by it. In the autoencoder ``equalize`` lets the layer before do the division; behind a SiLU no
layer can, so the division is an operation of its own, one a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.elir.flow import NormConv
from compress.elir.mmse import ResidualDenseBlock
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.passes.channel_ranges import outputs_of, peaks, relative, require_calibration
from compress.recipe.passes import SmoothSettings


class ScaledSiLU(nn.Module):
    """SiLU, then a factor a channel; (N, C, h, w) -> the same shape."""

    def __init__(self, factors: nn.Parameter) -> None:
        super().__init__()
        self.factors = factors  # a parameter: the Euler steps share it, as they share the weights that it belongs to

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x) * self.factors


@dataclass
class Site:
    """SiLUs, the same of every Euler step, and the convolutions that read them: each with its first channel of them."""

    activations: list[tuple[nn.Sequential, int]]
    readers: list[tuple[nn.Conv2d, int]]

    @property
    def channels(self) -> int:
        """How many channels the SiLUs give."""
        first, start = self.readers[0]
        return first.in_channels - start

    def weights(self) -> Iterator[Tensor]:
        """The readers' weights for these channels, each once."""
        for conv, start in self.readers:
            yield conv.weight[:, start : start + self.channels]


class Smooth(Pass):
    """Divide by s_j behind every SiLU that only convolutions read; ranges are the pictures' mean largest values."""

    name = "smooth"
    exact = True
    settings: SmoothSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        require_calibration(subject, self.name)
        if any(isinstance(module, ScaledSiLU) for module in subject.model.modules()):
            raise InputError("passes: smooth comes twice: remove one")

    def call(self, subject: Subject) -> None:
        subject.keep_reference()  # the fp32 artifact has no use for the divisions
        sites = list(find_sites(subject.model))
        groups = [(s.channels, [sequence[i] for sequence, i in s.activations]) for s in sites]
        site_peaks = peaks(subject, self.name, outputs_of, groups, self.settings.pictures)
        with torch.no_grad():
            for site, peak in zip(sites, site_peaks, strict=True):
                _apply(site, self._factors(site, peak))
        subject.notes.append(f"smooth: {len(sites)} activations, strength {self.settings.strength:g}")

    def _factors(self, site: Site, peak: Tensor) -> Tensor:
        """s, of geometric mean 1."""
        strength = self.settings.strength
        weight = torch.stack([w.abs().amax((0, 2, 3)) for w in site.weights()]).amax(0)
        factors = relative(peak) ** strength / relative(weight) ** (1 - strength)
        return factors / factors.log().mean().exp()


def find_sites(model: nn.Module) -> Iterator[Site]:
    """Every SiLU between convolutions of MMSE estimator and flow, with its readers."""
    shared: dict[int, Site] = {}
    for module in model.modules():
        if isinstance(module, NormConv):
            conv = module.block[2]
            assert isinstance(conv, nn.Conv2d)
            site = shared.setdefault(id(conv.weight), Site([], [(conv, 0)]))
            site.activations.append((module.block, 1))
        elif isinstance(module, ResidualDenseBlock):
            blocks = [getattr(module, f"conv{i}").block for i in range(1, 6)]
            for i, block in enumerate(blocks[:-1]):
                start = blocks[i + 1][0].in_channels - _width(block)  # the newest features are the last
                yield Site([(block, len(block) - 1)], [(later[0], start) for later in blocks[i + 1 :]])
    yield from shared.values()


def _width(block: nn.Sequential) -> int:
    """Output channels of a block's last convolution."""
    return next(m.out_channels for m in reversed(block) if isinstance(m, nn.Conv2d))  # type: ignore[call-overload]


def _apply(site: Site, factors: Tensor) -> None:
    for weight in site.weights():
        weight.mul_(factors[None, :, None, None])
    inverse = nn.Parameter((1 / factors)[None, :, None, None], requires_grad=False)
    for sequence, i in site.activations:
        sequence[i] = ScaledSiLU(inverse)
