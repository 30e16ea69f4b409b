"""The quantized model: which convolutions are quantized how, by scheme, from what calibration settled."""

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from compress.elir.autoencoder import Block
from compress.elir.hooks import Conv
from compress.elir.latent import LATENT_STRIDE
from compress.elir.model import Elir
from compress.passes.quantize.modules import QuantBlock, QuantConv, QuantEnlarge, QuantUpsample
from compress.passes.quantize.round_weights import QuantizedWeight
from compress.passes.quantize.schemes import ActivationRange, Scheme


@dataclass(frozen=True)
class Layer:
    """What calibration settles for one convolution, whatever the scheme; Euler steps share ``weight``, not ranges.

    ``bias``: the corrected one; None: the convolution's own.
    """

    inputs: ActivationRange
    outputs: ActivationRange
    weight: QuantizedWeight
    bias: Tensor | None


def ends(model: Elir) -> tuple[str, ...]:
    """Small layers that stay float where outputs must be quantized to be quick: 1 % of the multiplications; their
    inputs or outputs are the picture, the latent and the velocity."""
    encoder, decoder = len(model.enc.layers) - 1, len(model.dec.layers) - 1
    return "enc.layers.0", f"enc.layers.{encoder}", "first_proj", "final_proj", "dec.layers.0", f"dec.layers.{decoder}"


def large_blocks(model: Elir) -> set[str]:
    """Residual blocks at full and half resolution: their float shortcuts took a tenth of the int8 model's time on CPUs
    with VNNI. All the others' together take 1 %, and would cost another 1.4 dB."""
    names = set()
    for net, pixels in (("enc", 1), ("dec", LATENT_STRIDE)):
        for i, layer in enumerate(getattr(model, net).layers):
            if isinstance(layer, nn.Conv2d):
                pixels *= layer.stride[0]
            elif isinstance(layer, nn.Upsample):
                pixels //= 2
            elif isinstance(layer, Block) and pixels <= 2:
                names.add(f"{net}.layers.{i}")
    return names


def summands(model: Elir) -> set[str]:
    """Last convolutions of the large blocks: OpenVINO adds the shortcut inside of the convolution only when a quantizer
    stands between convolution and sum."""
    return {f"{name}.conv.4" for name in large_blocks(model)}


def build(model: Elir, scheme: Scheme, convs: dict[str, Conv], layers: dict[str, Layer]) -> nn.Module:
    """A copy of ``model`` with quantized convolutions; what is not quantized is shared with it."""
    copied = copy.deepcopy(model, {id(p): p for p in model.parameters()})
    followed, float_ends, summed = followed_by_conv(copied), ends(model), summands(model)
    for name, conv in convs.items():
        if scheme.outputs and name.endswith(float_ends):
            continue
        layer = layers[name]
        quantize_output = (scheme.outputs and name not in followed) or (scheme.shortcuts and name in summed)
        output_range = layer.outputs if quantize_output else None
        quantized = QuantConv(conv, layer.weight, layer.inputs, output_range, scheme)
        if layer.bias is not None:
            quantized.bias = nn.Parameter(layer.bias, requires_grad=False)
        replace_module(copied, name, quantized)
    if scheme.shortcuts:
        for name in large_blocks(model):
            branch = copied.get_submodule(name).conv
            if isinstance(branch[0], QuantConv):
                replace_module(copied, name, QuantBlock(branch))  # type: ignore[arg-type]
    if scheme.shortcuts or scheme.enlarges:
        _quantize_before_upsampling(copied.dec.layers, scheme)
    return copied.eval()


def _quantize_before_upsampling(layers: nn.Sequential, scheme: Scheme) -> None:
    for i in range(len(layers) - 1):
        upsample, conv = layers[i], layers[i + 1]
        if isinstance(upsample, nn.Upsample) and isinstance(conv, QuantConv):
            layers[i] = QuantEnlarge(conv) if scheme.enlarges else QuantUpsample(upsample, conv)


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` where ``name`` was."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def followed_by_conv(model: nn.Module) -> set[str]:
    """Convolutions whose output, through a ReLU, feeds only another convolution: its input quantizer suffices."""
    return {f"{name}.conv.{i}" for name, m in model.named_modules() if isinstance(m, Block) for i in (0, 2)}
