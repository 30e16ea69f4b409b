"""Our own engine: calibrate once on the real trajectory, then write every format from that one truth.

Only convolutions are quantized (99 % of the multiplications); sums, norms and activations between them stay float,
which costs little time and keeps the residual stream exact. (Where it does cost, in OpenVINO's large residual blocks,
8-bit tensors are added.)
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.elir.autoencoder import Block
from compress.elir.hooks import hooks
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.model import Conv, Layer, build, followed_by_conv
from compress.passes.quantize.observers import MomentObserver, RangeObserver
from compress.passes.quantize.round_weights import (
    WEIGHT_MAX,
    QuantizedWeight,
    can_pair,
    gptq,
    output_axis,
    pair_partners,
    quantize_weight,
)
from compress.passes.quantize.schemes import FORMAT_OF, SCHEMES, ActivationRange
from compress.passes.quantize.tensor_ranges import tensor_ranges
from compress.recipe.passes import PtqSettings, is_below

MOMENT_PICTURES = 16  # second moments settle long before ranges do, and cost more
SPARSE = 4  # px between values of an output that no scheme quantizes: qat takes its step from their range, no more


@dataclass
class Statistics:
    """Observers of one convolution; ``moments`` is shared by the Euler steps that share its weight."""

    inputs: RangeObserver = field(default_factory=RangeObserver)
    outputs: RangeObserver = field(default_factory=RangeObserver)
    moments: MomentObserver = field(default_factory=MomentObserver)


def quantize(subject: Subject, settings: PtqSettings) -> QuantizedModel:
    """Calibrate and round, once for all formats, and build one module per scheme."""
    convs = quantizable(subject.model, settings)
    kept = subject.keep("calibration", lambda: pack(settle(subject, settings, convs), convs))
    counts = Counter(weight_grid(name, conv, settings)[0] for name, conv in convs.items())
    bits = ", ".join(f"{count} with {bits}-bit weights" for bits, count in sorted(counts.items(), reverse=True))
    subject.notes.append(f"ptq: {len(convs)} convolutions, {bits}, {settings.range} ranges")
    if 4 in counts and "executorch" in subject.formats:
        subject.notes.append("ptq: ExecuTorch's file holds 4-bit weights as int8: XNNPACK has no 4-bit convolution")
    quantized = as_quantized(subject, convs, unpack(kept, convs, settings), settings)
    if subject.htp:
        quantized.ranges = tensor_ranges(subject)
    return quantized


def as_quantized(
    subject: Subject, convs: dict[str, Conv], layers: dict[str, Layer], settings: PtqSettings
) -> QuantizedModel:
    """One module for each scheme that the subject's formats need."""
    modules: dict[str, nn.Module] = {
        name: build(subject.model, SCHEMES[name], convs, layers)
        for name, format_ in FORMAT_OF.items()
        if format_ in subject.formats
    }
    return QuantizedModel("elir", modules, layers=layers, model=subject.model, settings=settings)


def settle(subject: Subject, settings: PtqSettings, convs: dict[str, Conv]) -> dict[str, Layer]:
    """Ranges, integer weights and corrected biases of every convolution, from the calibration pictures."""
    return settle_on(calibrate(subject, settings, convs), subject, settings, convs)


def settle_on(
    statistics: dict[str, Statistics], subject: Subject, settings: PtqSettings, convs: dict[str, Conv]
) -> dict[str, Layer]:
    """``settle`` on what was observed already: ``statistics`` do not depend on the bits of weights."""
    weights = round_weights(convs, statistics, settings, subject)
    layers = {}
    for name, conv in convs.items():
        stat, weight = statistics[name], weights[id(conv.weight)]
        correct = settings.bias_correction and stat.moments.count and isinstance(conv, nn.Conv2d)
        bias = _corrected_bias(conv, weight, stat.moments.mean) if correct else None
        inputs, outputs = (o.range(settings.range, settings.percentile) for o in (stat.inputs, stat.outputs))
        layers[name] = Layer(inputs, outputs, weight, bias)
    return layers


def pack(layers: dict[str, Layer], convs: dict[str, Conv]) -> dict[str, Tensor]:
    """The layers as tensors by name, for a file; a weight that several convolutions share is there once."""
    packed: dict[str, Tensor] = {}
    for (name, layer), owner in zip(layers.items(), _owners(convs), strict=True):
        ends = (layer.inputs.low, layer.inputs.high, layer.outputs.low, layer.outputs.high)
        packed[f"{name}.ranges"] = torch.tensor(ends, dtype=torch.float64)
        packed[f"{owner}.values"], packed[f"{owner}.scales"] = layer.weight.values, layer.weight.scales
        if layer.bias is not None:
            packed[f"{name}.bias"] = layer.bias
    return packed


def unpack(packed: dict[str, Tensor], convs: dict[str, Conv], settings: PtqSettings) -> dict[str, Layer]:
    """What ``pack`` packed."""
    layers = {}
    for (name, conv), owner in zip(convs.items(), _owners(convs), strict=True):
        inputs, outputs = packed[f"{name}.ranges"].view(2, 2).tolist()
        values, scales = packed[f"{owner}.values"], packed[f"{owner}.scales"]
        weight = QuantizedWeight(values, scales, output_axis(conv), *weight_grid(owner, conv, settings))
        ranges = ActivationRange(*inputs), ActivationRange(*outputs)
        layers[name] = Layer(*ranges, weight, packed.get(f"{name}.bias"))
    return layers


def _owners(convs: dict[str, Conv]) -> list[str]:
    """For each convolution, the first one that has the same weight."""
    first: dict[int, str] = {}
    return [first.setdefault(id(conv.weight), name) for name, conv in convs.items()]


def _turns(convs: dict[str, Conv]) -> dict[str, tuple[int, int]]:
    """For each convolution, its number among those that have the same weight, and how many they are: they take turns
    at the second moments, which are the weight's."""
    owners = _owners(convs)
    users, seen = Counter(owners), Counter[str]()
    turns = {}
    for name, owner in zip(convs, owners, strict=True):
        turns[name] = seen[owner], users[owner]
        seen[owner] += 1
    return turns


def quantizable(model: nn.Module, settings: PtqSettings) -> dict[str, Conv]:
    """Convolutions to quantize, by name. Raises InputError for a prefix that names none, and for Euler steps that give
    the weight they share different bits."""
    every = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    for key, prefixes in (("keep_float", settings.keep_float), ("layer_bits", list(settings.layer_bits))):
        for prefix in prefixes:
            if not any(is_below(name, prefix) for name in every):
                raise InputError(f"passes.ptq.{key}: no layer is named {prefix}: names look like {next(iter(every))}")
    chosen = {name: conv for name, conv in every.items() if settings.bits_of(name) < 16}
    for name, owner in zip(chosen, _owners(chosen), strict=True):
        bits, shared = settings.bits_of(name), settings.bits_of(owner)
        if bits != shared:
            raise InputError(
                f"passes.ptq.layer_bits: {name} gets {bits} bits, {owner} {shared}, and they share one weight: "
                "give all Euler steps the same bits, or 16"
            )
    return chosen


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
    turns, inner = _turns(convs), followed_by_conv(subject.model)

    def hook(name: str) -> RemovableHandle:
        stat = statistics[name]

        def observe(conv: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            try:
                stat.inputs.add(inputs[0])
                if name not in branches:
                    stat.outputs.add(output[..., ::SPARSE, ::SPARSE] if name in inner else output)
            except FloatingPointError as error:
                picture = current["picture"] + 1
                raise InputError(f"{name}: {error} on calibration picture {picture}: check weights and data") from None
            turn, users = turns[name]
            due = current["picture"] < MOMENT_PICTURES and current["picture"] % users == turn
            if isinstance(conv, nn.Conv2d) and wanted and due:
                stat.moments.add(inputs[0], conv, generator)

        return convs[name].register_forward_hook(observe)  # type: ignore[arg-type]

    def branch_hook(name: str, sequence: nn.Module) -> RemovableHandle:
        # relu(y + x) is 0 wherever y < -x: what lies below -x may clip, and need not widen the range.
        return sequence.register_forward_hook(
            lambda _, x, y: statistics[name].outputs.add(torch.maximum(y, -x[0]))  # type: ignore[func-returns-value]
        )

    branches = {n: m for n, m in _branches(subject.model).items() if n in convs}
    handles = [hook(name) for name in convs] + [branch_hook(n, m) for n, m in branches.items()]
    with hooks(handles), torch.no_grad():
        for i, (lq, noise) in enumerate(subject.calibration()):
            current["picture"] = i
            subject.model(lq, noise)
            subject.advance("calibrate", i + 1, subject.calibration_count)
    return statistics


def round_weights(
    convs: dict[str, Conv], statistics: dict[str, Statistics], settings: PtqSettings, subject: Subject
) -> dict[int, QuantizedWeight]:
    """int8 weights, one for each distinct tensor, by its id."""
    done: dict[int, QuantizedWeight] = {}
    for i, (name, conv) in enumerate(convs.items()):
        if id(conv.weight) not in done:
            bits, paired = weight_grid(name, conv, settings)
            weight = quantize_weight(conv, bits, pair_limit=paired)
            moments = statistics[name].moments.moments
            if settings.rounding == "gptq" and moments is not None and isinstance(conv, nn.Conv2d):
                flat, partners = conv.weight.detach().flatten(1), pair_partners(conv) if paired else None
                zeros = flat == 0 if subject.sparse else None
                values = gptq(flat, weight.scales, WEIGHT_MAX[bits], moments, partners, zeros)
                weight = replace(weight, values=values.view_as(conv.weight).to(torch.int8))
            done[id(conv.weight)] = weight
        subject.advance("round weights", i + 1, len(convs))
    return done


def weight_grid(name: str, conv: Conv, settings: PtqSettings) -> tuple[int, bool]:
    """Bits of the weights of ``conv``, and whether pairs of them are limited; 7 bits where pairs are not known."""
    bits = settings.bits_of(name)
    if bits < 8 or not settings.pair_limit:
        return bits, False
    return (8, True) if can_pair(conv) else (7, False)


@torch.no_grad()
def _corrected_bias(conv: nn.Conv2d, weight: QuantizedWeight, mean: Tensor) -> Tensor:
    """Bias plus the mean output that rounding lost, (W - Wq) E[patch]."""
    rounded = weight.values.float() * weight.scales.view(-1, 1, 1, 1)
    shift = (conv.weight - rounded).flatten(1) @ mean
    return shift if conv.bias is None else conv.bias + shift


def _branches(model: nn.Module) -> dict[str, nn.Module]:
    """Last convolution of each block's branch -> the branch."""
    return {f"{name}.conv.4": m.conv for name, m in model.named_modules() if isinstance(m, Block)}
