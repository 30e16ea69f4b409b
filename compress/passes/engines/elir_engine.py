"""Our own engine: calibrate once on the real trajectory, then write every format from that one truth.

Only convolutions are quantized (99 % of the multiplications); sums, norms and activations between them stay float,
which costs little time and keeps the residual stream exact.
"""

import copy
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from compress.elir.autoencoder import Block
from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.engines import Quantized
from compress.passes.observers import MomentObserver, RangeObserver
from compress.passes.quantized import (
    ONNXRUNTIME,
    OPENVINO,
    TENSORRT,
    WEIGHT_MAX,
    XNNPACK,
    ActivationRange,
    QuantConv,
    QuantizedWeight,
    Scheme,
    quantize_weight,
)
from compress.passes.rounding import gptq
from compress.passes.settings import PtqSettings

Conv: TypeAlias = nn.Conv2d | nn.ConvTranspose2d
SCHEMES = {"openvino": OPENVINO, "onnxruntime": ONNXRUNTIME, "tensorrt": TENSORRT, "xnnpack": XNNPACK}
# Where outputs must be quantized to be quick, these few small layers stay float: 0.5 % of the multiplications, and
# their outputs are the latent, the velocity and the picture itself.
ENDS = ("enc.layers.14", "first_proj", "final_proj", "dec.layers.0", "dec.layers.18")
MOMENT_PICTURES = 16  # second moments settle long before ranges do, and cost more


@dataclass
class Statistics:
    """Observers of one convolution; ``moments`` is shared by the Euler steps that share its weight."""

    inputs: RangeObserver = field(default_factory=RangeObserver)
    outputs: RangeObserver = field(default_factory=RangeObserver)
    moments: MomentObserver = field(default_factory=MomentObserver)


def quantize(subject: Subject, settings: PtqSettings) -> Quantized:
    """Calibrate, round, and build one module a scheme."""
    convs = quantizable(subject.model, settings)
    statistics = calibrate(subject, settings, convs)
    weights = round_weights(convs, statistics, settings, subject)
    wanted = {"openvino": "openvino", "onnxruntime": "onnx", "tensorrt": "onnx", "xnnpack": "executorch"}
    modules: dict[str, nn.Module] = {
        name: build(subject.model, SCHEMES[name], convs, statistics, weights, settings)
        for name, format_ in wanted.items()
        if format_ in subject.formats
    }
    subject.notes.append(f"ptq: {len(convs)} convolutions, {settings.weight_bits}-bit weights, {settings.range} ranges")
    return Quantized("elir", modules)


def quantizable(model: nn.Module, settings: PtqSettings) -> dict[str, Conv]:
    """Convolutions to quantize, by name."""
    found = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    for prefix in settings.keep_float:
        if not any(_below(name, prefix) for name in found):
            raise InputError(f"passes.ptq.keep_float: no layer is named {prefix}: names look like {next(iter(found))}")
    return {n: m for n, m in found.items() if not any(_below(n, prefix) for prefix in settings.keep_float)}


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def calibrate(subject: Subject, settings: PtqSettings, convs: dict[str, Conv]) -> dict[str, Statistics]:
    """Run every picture through the float model's whole trajectory and observe each convolution's tensors."""
    shared: dict[int, MomentObserver] = {}
    histogram = settings.range != "min_max"
    statistics = {
        n: Statistics(
            RangeObserver(histogram=histogram),
            RangeObserver(histogram=histogram),
            shared.setdefault(id(c.weight), MomentObserver()),
        )
        for n, c in convs.items()
    }
    generator = torch.Generator().manual_seed(0)
    current = {"picture": 0}
    wanted = settings.rounding == "gptq" or settings.bias_correction

    def hook(name: str) -> object:
        stat = statistics[name]

        def observe(conv: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            try:
                stat.inputs.add(inputs[0])
                if name not in branches:
                    stat.outputs.add(output)
            except FloatingPointError as error:
                picture = current["picture"] + 1
                raise InputError(f"{name}: {error} on calibration picture {picture}: check weights and data") from None
            if isinstance(conv, nn.Conv2d) and wanted and current["picture"] < MOMENT_PICTURES:
                stat.moments.add(inputs[0], conv, generator)

        return convs[name].register_forward_hook(observe)  # type: ignore[arg-type]

    def branch_hook(name: str, sequence: nn.Module) -> object:
        # relu(y + x) is 0 wherever y < -x: what lies below -x may clip, and need not widen the range.
        return sequence.register_forward_hook(
            lambda _, x, y: statistics[name].outputs.add(torch.maximum(y, -x[0]))  # type: ignore[func-returns-value]
        )

    branches = {n: m for n, m in _branches(subject.model).items() if n in convs}
    handles = [hook(name) for name in convs] + [branch_hook(n, m) for n, m in branches.items()]
    try:
        with torch.no_grad():
            for i, (lq, noise) in enumerate(subject.calibration()):
                current["picture"] = i
                subject.model(lq, noise)
                subject.advance("calibrate", i + 1, subject.calibration_count)
    finally:
        for handle in handles:
            handle.remove()  # type: ignore[attr-defined]
    return statistics


def round_weights(
    convs: dict[str, Conv], statistics: dict[str, Statistics], settings: PtqSettings, subject: Subject
) -> dict[int, QuantizedWeight]:
    """int8 weights, one for each distinct tensor, by its id."""
    done: dict[int, QuantizedWeight] = {}
    for i, (name, conv) in enumerate(convs.items()):
        if id(conv.weight) not in done:
            weight = quantize_weight(conv, settings.weight_bits)
            moments = statistics[name].moments.moments
            if settings.rounding == "gptq" and moments is not None and isinstance(conv, nn.Conv2d):
                flat = conv.weight.detach().flatten(1)
                values = gptq(flat, weight.scales, WEIGHT_MAX[settings.weight_bits], moments)
                weight = QuantizedWeight(values.view_as(conv.weight).to(torch.int8), weight.scales, weight.axis)
            done[id(conv.weight)] = weight
        subject.advance("round weights", i + 1, len(convs))
    return done


def build(
    model: Elir,
    scheme: Scheme,
    convs: dict[str, Conv],
    statistics: dict[str, Statistics],
    weights: dict[int, QuantizedWeight],
    settings: PtqSettings,
) -> nn.Module:
    """A copy of ``model`` with quantized convolutions; what is not quantized is shared with it."""
    copied = copy.deepcopy(model, {id(p): p for p in model.parameters()})
    followed = _followed_by_conv(copied)
    for name, conv in convs.items():
        if scheme.outputs and name.endswith(ENDS):
            continue
        stat, weight = statistics[name], weights[id(conv.weight)]
        output_range = None if name in followed or not scheme.outputs else _range(stat.outputs, settings)
        quantized = QuantConv(conv, weight, _range(stat.inputs, settings), output_range, scheme)
        if settings.bias_correction and stat.moments.count and isinstance(conv, nn.Conv2d):
            quantized.bias = _corrected_bias(conv, weight, stat.moments.mean)
        parent, _, leaf = name.rpartition(".")
        setattr(copied.get_submodule(parent), leaf, quantized)
    return copied.eval()


def _range(observer: RangeObserver, settings: PtqSettings) -> ActivationRange:
    return observer.range(settings.range, settings.percentile)


def _corrected_bias(conv: nn.Conv2d, weight: QuantizedWeight, mean: Tensor) -> nn.Parameter:
    """Bias plus the mean output that rounding lost, (W - Wq) E[patch]."""
    rounded = weight.values.float() * weight.scales.view(-1, 1, 1, 1)
    shift = (conv.weight - rounded).flatten(1) @ mean
    return nn.Parameter(shift if conv.bias is None else conv.bias + shift, requires_grad=False)


def _branches(model: nn.Module) -> dict[str, nn.Module]:
    """Last convolution of each block's branch -> the branch."""
    return {f"{name}.conv.4": m.conv for name, m in model.named_modules() if isinstance(m, Block)}


def _followed_by_conv(model: nn.Module) -> set[str]:
    """Convolutions whose output, through a ReLU, feeds only another convolution: its input quantizer suffices."""
    return {f"{name}.conv.{i}" for name, m in model.named_modules() if isinstance(m, Block) for i in (0, 2)}
