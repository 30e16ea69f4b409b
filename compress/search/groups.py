"""What a search chooses for: layers that share a weight, and so their bits, with what each choice costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.pipeline.probe import network
from compress.recipe.passes import FLOAT

if TYPE_CHECKING:
    from torch import Tensor

    from compress.elir.model import Elir
    from compress.passes.quantize.model import Conv
    from compress.passes.quantize.schemes import Scheme

STORED = {4: 4, 7: 8, 8: 8, FLOAT: 32}
"""Bits in the file for each weight; 4-bit weights two a byte (``compress.artifacts.export.four_bits``), but for
ExecuTorch."""


@dataclass(frozen=True)
class Group:
    """Layers with one weight: one layer, or the same one of every Euler step. ``macs``: of all of them together."""

    layers: tuple[str, ...]
    parameters: int
    macs: int

    @property
    def name(self) -> str:
        return self.layers[0]

    @property
    def network(self) -> str:
        """encoder, MMSE estimator, flow or decoder."""
        return network(self.name)

    def bytes(self, bits: int, format_: str) -> float:
        """Bytes of its weights in the file."""
        stored = 8 if bits == 4 and format_ == "executorch" else STORED[bits]
        return self.parameters * stored / 8


def groups_of(
    model: "Elir", convs: "Mapping[str, Conv]", scheme: "Scheme", lq: "Tensor", noise: "Tensor"
) -> list[Group]:
    """Groups of the convolutions that ``scheme`` quantizes, in the model's order; multiplications of one (lq, noise).

    Layers that it always leaves in float are nobody's choice.
    """
    from compress.passes.quantize.model import ends

    macs = _macs(model, convs, lq, noise)
    members: dict[int, list[str]] = {}
    for name, conv in convs.items():
        if not (scheme.outputs and name.endswith(ends(model))):
            members.setdefault(id(conv.weight), []).append(name)
    return [
        Group(tuple(names), convs[names[0]].weight.numel(), sum(macs[name] for name in names))
        for names in members.values()
    ]


def _macs(model: "Elir", convs: "Mapping[str, Conv]", lq: "Tensor", noise: "Tensor") -> dict[str, int]:
    """Multiply-accumulates of each convolution, by its name."""
    import torch

    from compress.elir.hooks import hooks

    macs: dict[str, int] = {}

    def count(name: str, conv: "Conv", x: "Tensor", y: "Tensor") -> None:
        pixels = (x if conv.transposed else y)[0, 0].numel()
        macs[name] = conv.weight.numel() * pixels

    counters = (
        conv.register_forward_hook(lambda conv, x, y, name=name: count(name, conv, x[0], y))  # type: ignore[misc]
        for name, conv in convs.items()
    )
    with hooks(counters), torch.inference_mode():
        model(lq, noise)
    return macs


def prefixes(bits: Mapping[str, int], usual: int) -> dict[str, int]:
    """Bits by layer -> the fewest ``layer_bits`` that say the same, where every other layer has ``usual``."""
    by_prefix: dict[str, int] = {}
    _cover("", dict(bits), usual, by_prefix)
    return by_prefix


def _cover(at: str, below: dict[str, int], usual: int, by_prefix: dict[str, int]) -> None:
    values = set(below.values())
    if values == {usual}:
        return
    if len(values) == 1 and at:
        by_prefix[at] = values.pop()
        return
    children: dict[str, dict[str, int]] = {}
    for layer, value in below.items():
        part = layer.removeprefix(at).lstrip(".").partition(".")[0]
        children.setdefault(f"{at}.{part}" if at else part, {})[layer] = value
    for child, inside in children.items():
        _cover(child, inside, usual, by_prefix)
