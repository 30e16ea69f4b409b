"""weights: convolutions' weights in 4 or 8 bits, or float16; everything is computed in float, as in fp32.

For devices whose activations must stay float, or where only bytes count: a runtime makes floats of the weights when it
loads the file. Rounding needs no calibration picture.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.passes.engines import Quantized
from compress.passes.quantized import WEIGHT_MAX, output_axis, weight_scales
from compress.passes.quantized_model import Conv
from compress.passes.settings import WeightsSettings, is_below

FORMATS = ("openvino", "onnx")


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
            if name not in FORMATS:
                raise InputError(
                    f"passes: weights writes {', '.join(FORMATS)}, not {name}, whose convolutions take integer weights "
                    f"with integer activations only: remove weights from export.{name}.precisions, or use ptq"
                )

    def call(self, subject: Subject) -> None:
        model = copy.deepcopy(subject.model)
        found = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
        for prefix in self.settings.layer_bits:
            if not any(is_below(name, prefix) for name in found):
                raise InputError(
                    f"passes.weights.layer_bits: no layer is named {prefix}: names look like {next(iter(found))}"
                )
        rounded: dict[int, RoundedWeight] = {}
        for name, conv in found.items():
            bits = self.settings.bits_of(name)
            if bits < 32 and id(conv.weight) not in rounded:
                rounded[id(conv.weight)] = weight = round_weight(conv, bits, self.settings.group)
                conv.weight.data = weight.exact
        subject.notes.append(f"weights: {len(rounded)} in {self.settings.bits} bits unless layer_bits says otherwise")
        subject.quantized = Quantized("elir", {"x86": model}, weights=list(rounded.values()))


@torch.no_grad()
def round_weight(conv: Conv, bits: int, group: int | None) -> RoundedWeight:
    """To nearest: 16: float16; 8 or 4: integers, one scale for each output channel and, in it, for each ``group`` input
    channels, where their number divides by it; in 4 bits the scale of least squared error."""
    weight = conv.weight.detach()
    if bits == 16:
        half = weight.half()
        return RoundedWeight(half, None, half.float())
    out, inner = output_axis(conv), 1 - output_axis(conv)
    split = weight
    if group is not None and weight.shape[inner] % group == 0 and weight.shape[inner] > group:
        split = weight.unflatten(inner, (-1, group))
    # Rows: what shares a scale. The output channels' place moves when the input channels before it are split in two.
    groups = [out + (split.ndim - weight.ndim) * (inner < out)] + ([inner] if split.ndim > weight.ndim else [])
    rest = [d for d in range(split.ndim) if d not in groups]
    rows = split.permute(*groups, *rest).flatten(0, len(groups) - 1).flatten(1)
    scales = weight_scales(rows, 0, bits)
    shape = [split.shape[d] for d in groups] + [1] * len(rest)
    back = torch.argsort(torch.tensor([*groups, *rest])).tolist()
    scales = scales.view(shape).permute(*back).contiguous()
    limit = WEIGHT_MAX[bits]
    values = (split / scales).round().clamp(-limit, limit)
    return RoundedWeight(values.to(torch.int8), scales, (values * scales).view_as(weight))
