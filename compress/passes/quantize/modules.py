"""Convolutions with explicit quantize/dequantize pairs: one module, run in torch, exported everywhere.

The operators are PT2E's ``quantized_decomposed`` ones, so that eager torch is the simulated int8 model, the ONNX
exporter writes QuantizeLinear/DequantizeLinear, and XNNPACK's partitioner sees what torchao would have given it.
"""

import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn
from torch.nn import functional

from compress.passes.quantize.round_weights import WEIGHT_MAX, QuantizedWeight
from compress.passes.quantize.schemes import ActivationRange, Scheme

_OPS = torch.ops.quantized_decomposed


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
