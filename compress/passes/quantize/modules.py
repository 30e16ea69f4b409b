"""Convolutions with explicit quantize/dequantize pairs: one module, run in torch, exported everywhere.

The operators are PT2E's ``quantized_decomposed`` ones, so that eager torch is the simulated int8 model, the ONNX
exporter writes QuantizeLinear/DequantizeLinear, and XNNPACK's partitioner sees what torchao would have given it.
"""

from dataclasses import dataclass

import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn
from torch.nn import functional

from compress.passes.quantize.schemes import ActivationRange, Scheme

_OPS = torch.ops.quantized_decomposed
WEIGHT_MAX = {8: 127, 7: 63, 4: 7}  # 7 bits: two products of u8 and s8 fit int16, so vpmaddubsw cannot saturate


class FakeQuantize(nn.Module):
    """Quantize to 8 bits and back with fixed parameters; any shape, float32.

    In training mode the gradient goes straight through where nothing clips (arXiv 1308.3432); values are the same.
    """

    def __init__(self, range_: ActivationRange, scheme: Scheme) -> None:
        super().__init__()
        self.range = range_
        scheme = scheme.of(range_)
        self.qmin, self.qmax, self.dtype = (-128, 127, torch.int8) if scheme.signed else (0, 255, torch.uint8)
        if scheme.symmetric:
            self.qmin = -127
            self.scale = max(-range_.low, range_.high, 1e-8) / 127
            self.zero_point = 0
        else:
            self.scale = max(range_.high - range_.low, 1e-8) / 255
            self.zero_point = int(min(max(self.qmin - round(range_.low / self.scale), self.qmin), self.qmax))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, self.qmin, self.qmax)
        args = (self.scale, self.zero_point, self.qmin, self.qmax, self.dtype)
        return _OPS.dequantize_per_tensor(_OPS.quantize_per_tensor(x, *args), *args)


class QuantUpsample(nn.Module):
    """Quantizes what the convolution after it reads before enlarging: nearest neighbours come out the same."""

    def __init__(self, upsample: nn.Upsample, conv: "QuantConv") -> None:
        super().__init__()
        self.input_quantizer, self.upsample = conv.input_quantizer, upsample
        conv.input_quantizer = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(self.input_quantizer(x))


class QuantEnlarge(nn.Module):
    """``QuantUpsample`` as a transposed convolution with ones, 2x2: XNNPACK takes no nearest neighbours. Exact: it maps
    integers to themselves."""

    def __init__(self, conv: "QuantConv") -> None:
        super().__init__()
        self.input_quantizer = conv.input_quantizer
        conv.input_quantizer = nn.Identity()
        channels = conv.weight.shape[1]
        ones = WEIGHT_MAX[8] * torch.eye(channels, dtype=torch.int8)
        self.register_buffer("weight", ones[:, :, None, None].repeat(1, 1, 2, 2))
        self.register_buffer("weight_scale", torch.full((channels,), 1 / WEIGHT_MAX[8]))
        self.register_buffer("weight_zero_point", torch.zeros(channels, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        w = _OPS.dequantize_per_channel(
            self.weight, self.weight_scale, self.weight_zero_point, 1, -128, 127, torch.int8
        )
        return self.input_quantizer(functional.conv_transpose2d(self.input_quantizer(x), w, stride=2))


class QuantBlock(nn.Module):
    """A residual block that quantizes its input once, for the branch ``conv`` and for the shortcut."""

    def __init__(self, conv: nn.Sequential) -> None:
        super().__init__()
        self.input_quantizer = conv[0].input_quantizer
        conv[0].input_quantizer = nn.Identity()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_quantizer(x)
        return torch.relu(self.conv(x) + x)


@dataclass(frozen=True)
class QuantizedWeight:
    """int8 values on a per-output-channel symmetric grid; shared by every Euler step that uses the convolution.

    ``bits``: 8, 7 or 4 (``WEIGHT_MAX``). ``paired``: neighbouring input channels' values are limited in their sum.
    """

    values: Tensor
    scales: Tensor
    axis: int
    bits: int = 8
    paired: bool = False


class QuantConv(nn.Module):
    """A Conv2d or ConvTranspose2d with int8 weights and quantized input (and output, where the scheme says so)."""

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        weight: QuantizedWeight,
        input_range: ActivationRange,
        output_range: ActivationRange | None,
        scheme: Scheme,
        *,
        fused_relu: bool = False,
    ) -> None:
        super().__init__()
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        self.stride, self.padding, self.axis = conv.stride, conv.padding, weight.axis
        self.register_buffer("weight", weight.values)
        self.register_buffer("weight_scale", weight.scales)
        self.register_buffer("weight_zero_point", torch.zeros(len(weight.scales), dtype=torch.int64))
        self.bias = conv.bias
        self.input_quantizer = FakeQuantize(input_range, scheme)
        self.fused_relu = fused_relu
        self.output_quantizer = None if output_range is None else FakeQuantize(output_range, scheme)

    def forward(self, x: Tensor) -> Tensor:
        w = _OPS.dequantize_per_channel(
            self.weight, self.weight_scale, self.weight_zero_point, self.axis, -128, 127, torch.int8
        )
        return self.convolve(x, w, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The quantized convolution with other parameters."""
        conv = functional.conv_transpose2d if self.transposed else functional.conv2d
        y = conv(self.input_quantizer(x), weight, bias, self.stride, self.padding)
        if self.fused_relu:
            y = torch.relu(y)
        return y if self.output_quantizer is None else self.output_quantizer(y)


def output_axis(conv: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Dimension of a convolution's weight that counts its output channels."""
    return 1 if isinstance(conv, nn.ConvTranspose2d) else 0


def quantize_weight(conv: nn.Conv2d | nn.ConvTranspose2d, bits: int, *, pair_limit: bool = False) -> QuantizedWeight:
    """Round to nearest on the per-channel grid of ``weight_scales``.

    ``pair_limit``: two neighbouring input channels' weights fit together (``can_pair`` says where).
    """
    axis = output_axis(conv)
    w = conv.weight.detach()
    scales = weight_scales(w, axis, bits, pair_limit=pair_limit)
    shape = [1] * w.ndim
    shape[axis] = -1
    values = (w / scales.view(shape)).round().clamp(-WEIGHT_MAX[bits], WEIGHT_MAX[bits])
    return QuantizedWeight(values.to(torch.int8), scales, axis, bits, pair_limit)


def weight_scales(w: Tensor, axis: int, bits: int, *, pair_limit: bool = False) -> Tensor:
    """Scale of each output channel: largest magnitude, of one weight or of a pair's sum / largest integer.

    In 4 bits the few largest weights clip, as far as that lessens the channel's squared error.
    """
    rest = [d for d in range(w.ndim) if d != axis]
    largest = w.abs().amax(rest)
    if pair_limit:
        largest = torch.maximum(largest, w.unflatten(1 - axis, (-1, 2)).sum(2 - axis).abs().amax(rest))
    scales = (largest / WEIGHT_MAX[bits]).clamp_min(1e-8)
    return scales if bits > 4 else _least_error(w.transpose(0, axis).flatten(1), scales, WEIGHT_MAX[bits])


def _least_error(rows: Tensor, scales: Tensor, limit: int) -> Tensor:
    """``scales`` (rows,), each lowered by the factor with the least squared error of its row."""
    candidates = torch.stack([scales * factor for factor in torch.linspace(1, 0.4, 31).tolist()])
    errors = torch.stack(
        [((rows / s).round().clamp(-limit, limit) * s - rows).square().sum(1) for s in candidates.unsqueeze(-1)]
    )
    return candidates.gather(0, errors.argmin(0, keepdim=True))[0]


def can_pair(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether kernels add input channels 2i and 2i + 1 of one tap in 16 bits, and never other pairs."""
    return conv.in_channels % 2 == 0 and conv.groups == 1


def pair_partners(conv: nn.Conv2d) -> Tensor:
    """For each column of the weight as a matrix (out, in x kh x kw), the column of the other channel of its pair."""
    columns = torch.arange(conv.weight[0].numel()).view(conv.in_channels // 2, 2, -1)
    return columns.flip(1).flatten()
