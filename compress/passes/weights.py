"""weights: convolutions' weights in 4 or 8 bits, or float16; everything is computed in float, as in fp32.

For devices whose activations must stay float, or where only bytes count: a runtime makes floats of the weights when it
loads the file. Rounding needs no calibration picture.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.model import Conv
from compress.passes.quantize.round_weights import WEIGHT_MAX, weight_scales
from compress.passes.quantize.schemes import BOTH_X86
from compress.recipe.passes import WeightsSettings, check_format, is_below
from compress.recipe.task import Task
from compress.tensors import too_large


@dataclass(frozen=True)
class RoundedWeight:
    """A convolution's weight as a file stores it: ``values`` int8 times ``scales`` float32, reshaped to ``exact``'s
    shape; or ``values`` float16 with ``scales`` None. ``exact``: the float32 numbers that come of it."""

    values: Tensor
    scales: Tensor | None
    exact: Tensor


class Weights(Pass):
    """Rounds weights, on a copy of the model."""

    name = "weights"
    settings: WeightsSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        for name in subject.formats:
            check_format(self.settings, name)

    def check(self, model: Elir, task: Task) -> None:
        _layers(model, self.settings)

    def call(self, subject: Subject) -> None:
        model = copy.deepcopy(subject.model)
        convs = _layers(model, self.settings)
        rounded: dict[int, RoundedWeight] = {}
        for name, conv in convs.items():
            bits = self.settings.bits_of(name)
            if bits < 32 and id(conv.weight) not in rounded:
                rounded[id(conv.weight)] = weight = round_weight(conv, bits, self.settings.group)
                conv.weight.data = weight.exact
        subject.notes.append(f"weights: {len(rounded)} in {self.settings.bits} bits unless layer_bits says otherwise")
        subject.quantized = QuantizedModel("elir", {BOTH_X86: model}, weights=list(rounded.values()))


def _layers(model: Elir, settings: WeightsSettings) -> dict[str, Conv]:
    """The model's convolutions by name. Raises InputError for bits of a layer that is not there, and for Euler steps
    that give the weight they share different bits."""
    convs = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    for prefix in settings.layer_bits:
        if not any(is_below(name, prefix) for name in convs):
            raise InputError(
                f"passes.weights.layer_bits: no layer is named {prefix}: names look like {next(iter(convs))}"
            )
    owners: dict[int, str] = {}
    for name, conv in convs.items():
        owner = owners.setdefault(id(conv.weight), name)
        bits, shared = settings.bits_of(name), settings.bits_of(owner)
        if bits != shared:
            raise InputError(
                f"passes.weights.layer_bits: {name} gets {bits} bits, {owner} {shared}, and they share one weight: "
                "give all Euler steps the same bits"
            )
    return convs


@torch.no_grad()
def round_weight(conv: Conv, bits: int, group: int | None) -> RoundedWeight:
    """Round to nearest. 16 bits: float16. 8 or 4: integers, with one scale for each output channel and, in it, for
    each ``group`` input channels, where their number divides by it; in 4 bits the scale of least squared error."""
    weight = conv.weight.detach()
    if bits == 16:
        if problem := too_large({"a weight": weight}, torch.float16):
            raise InputError(f"weights: {problem}: give its layer 32 bits in layer_bits")
        half = weight.half()
        return RoundedWeight(half, None, half.float())
    transposed = isinstance(conv, nn.ConvTranspose2d)
    rows = weight.transpose(0, 1) if transposed else weight  # output channels first
    if group is not None and rows.shape[1] > group and rows.shape[1] % group == 0:
        rows = rows.unflatten(1, (-1, group))
    own = rows.ndim - 3  # dimensions whose every entry has a scale of its own
    scales = weight_scales(rows.flatten(0, own - 1).flatten(1), 0, bits).view(*rows.shape[:own], 1, 1, 1)
    values = (rows / scales).round().clamp(-WEIGHT_MAX[bits], WEIGHT_MAX[bits])
    if transposed:
        values, scales = values.movedim(0, -3), scales.movedim(0, -3)
    return RoundedWeight(
        values.to(torch.int8).contiguous(), scales.contiguous(), (values * scales).reshape_as(weight).contiguous()
    )
