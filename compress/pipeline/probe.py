"""A float model beside itself with a few convolutions quantized, on the middles of a few pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.data.sets import PictureSet
from compress.elir.latent import LATENT_STRIDE
from compress.errors import InputError
from compress.measure.decibels import decibels
from compress.pipeline.models import Models

if TYPE_CHECKING:
    import torch
    from torch import nn

    from compress.passes.quantize.model import Layer

CROP = 128  # px, the middle of each picture: a hundred models are run
NETWORKS = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}


def network(layer: str) -> str:
    """The network that a layer belongs to."""
    return NETWORKS[layer.partition(".")[0]]


def settled(models: Models) -> "dict[str, Layer]":
    """What quantization settled for each convolution. Raises InputError for an engine that settles none by itself."""
    quantized = models.quantized
    if not quantized.layers:
        raise InputError(f"passes.ptq.engine: {quantized.engine} settles no layer by itself: use engine elir")
    return quantized.layers


@dataclass(frozen=True)
class ProbeLoss:
    """What is lost with some convolutions quantized. ``fidelity_db``: PSNR against the float model's output, not
    rounded to 8 bits; ``psnr_drop_db``: how much further from the clean pictures, None without them; ``parameters``
    are counted once for all Euler steps.
    """

    layers: int
    parameters: int
    fidelity_db: float
    psnr_drop_db: float | None

    @property
    def error(self) -> float:
        """Mean squared error of the output, of [0, 1]."""
        return float(10 ** (-self.fidelity_db / 10))


class Probe:
    """The float model, what was settled for each convolution, and the first ``most`` pictures to compare on."""

    def __init__(
        self, models: Models, scheme: str, pictures: PictureSet, most: int, layers: "dict[str, Layer]"
    ) -> None:
        from compress.passes.quantize.schemes import SCHEMES

        self.models, self.scheme_name, self.scheme = models, scheme, SCHEMES[scheme]
        self.model, self.layers = models.subject.model, layers
        self.convs = {name: self.model.get_submodule(name) for name in layers}
        self.lq, self.noise, self.clean = self._pictures(pictures, most)
        self.reference = self._restore(self.model)

    def _pictures(self, chosen: PictureSet, most: int) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]":
        import torch

        from compress.data.pictures import to_float

        crops = []
        for (lq, noise), item in zip(self.models.pairs(chosen, most), chosen, strict=False):
            clean = item.degraded if item.clean is None else item.clean  # of one size; dropped below
            crops.append(
                (
                    _middle(lq, LATENT_STRIDE),
                    _middle(noise, 1),
                    _middle(torch.from_numpy(to_float([clean])), LATENT_STRIDE),
                )
            )
        lqs, noises, cleans = (torch.cat(parts) for parts in zip(*crops, strict=True))
        return lqs, noises, cleans if chosen.has_truth else None

    def _restore(self, model: "nn.Module") -> "torch.Tensor":
        import torch

        with torch.no_grad():
            return model(self.lq, self.noise).clamp(0, 1)

    def stages(self) -> dict[str, list[str]]:
        """The convolutions of each stage: encoder, MMSE estimator, every Euler step, decoder."""
        stages: dict[str, list[str]] = {}
        for name in self.convs:
            step = name.split(".")[2] if name.startswith("fmir.steps.") else None
            label = self.network(name) if step is None else f"flow, step {int(step) + 1}"
            stages.setdefault(label, []).append(name)
        return stages

    def network(self, name: str) -> str:
        """The network that a convolution belongs to."""
        return network(name)

    def loss(self, convs: Iterable[str], layers: "dict[str, Layer] | None" = None) -> ProbeLoss:
        """Figures of the model whose convolutions ``convs`` alone are quantized, with ``layers`` or the probe's own."""
        from compress.passes.quantize.model import build

        chosen = {name: self.convs[name] for name in convs}
        restored = self._restore(build(self.model, self.scheme, chosen, layers or self.layers))
        weights = {id(conv.weight): conv.weight.numel() for conv in chosen.values()}
        return ProbeLoss(
            layers=len(chosen),
            parameters=sum(weights.values()),
            fidelity_db=_psnr(restored, self.reference),
            psnr_drop_db=None if self.clean is None else self._drop(restored, self.clean),
        )

    def _drop(self, restored: "torch.Tensor", clean: "torch.Tensor") -> float:
        """Mean PSNR of the float model less that of ``restored``, in dB."""
        drops = [_psnr(r, c) - _psnr(x, c) for r, x, c in zip(self.reference, restored, clean, strict=True)]
        return sum(drops) / len(drops)


def _psnr(a: "torch.Tensor", b: "torch.Tensor") -> float:
    return decibels((a - b).square().mean().item())


def _middle(x: "torch.Tensor", cell: int) -> "torch.Tensor":
    """The middle of (1, C, H, W) with ``cell`` px a latent pixel, CROP px of the picture; all where it is smaller."""
    side = CROP // LATENT_STRIDE * cell
    top, left = ((n // cell - min(n, side) // cell) // 2 * cell for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side]
