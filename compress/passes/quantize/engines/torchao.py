"""torchao: PT2E with XNNPACK's quantizer; one calibration, emitted in every format.

Only convolutions are annotated: with XNNPACK's own choice, sums, products and concatenations too, the residual stream
is rounded at every block.
"""

import copy
from dataclasses import replace
from typing import Any

import torch

from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.common import by_scheme, example, excluded
from compress.passes.quantize.engines.pt2e import (
    ConvertedGraph,
    fold_weights,
    layer_of,
    limit_weights,
    unshare,
    unsigned,
)
from compress.passes.quantize.feeds import pictures
from compress.passes.quantize.round_weights import WEIGHT_MAX
from compress.quiet import quiet
from compress.recipe.passes import PtqSettings


def quantize(subject: Subject, settings: PtqSettings) -> QuantizedModel:
    """One converted module; for x86 its int8 activations become uint8, the same numbers.

    Raises InputError when ``keep_float`` names no layer.
    """
    own: dict[str, torch.nn.Module] = {}
    if subject.accelerator:
        own["ethos_u"] = _for_ethos_u(subject, settings)
        subject.notes.append(f"ptq: torchao, every operator in int8, as an {subject.accelerator} computes")
        if subject.formats == ("executorch",):
            return QuantizedModel("torchao", own)
    with quiet(), torch.no_grad():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        exported = torch.export.export(subject.model, example(subject), strict=False).module(check_guards=False)
        unshare(exported)
        prepared = prepare_pt2e(exported, _quantizer(subject, settings))
        limit_weights(prepared, settings)
        for lq, noise in pictures(subject):
            prepared(lq, noise)
        converted = convert_pt2e(prepared)
        fold_weights(converted)
    subject.notes.append(f"ptq: torchao, {settings.weight_bits}-bit weights, {settings.range} ranges")
    modules = by_scheme(subject, ConvertedGraph(unsigned(converted)), ConvertedGraph(converted))
    return QuantizedModel("torchao", {**modules, **own})


class _Clipped(torch.nn.Module):
    """(lq, noise) -> hq in [0, 1]."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, lq: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.model(lq, noise).clamp(0, 1)


def _for_ethos_u(subject: Subject, settings: PtqSettings) -> ConvertedGraph:
    """Every operator in int8, by Arm's quantizer: an Ethos-U has no float, and Arm's passes write GroupNorm and the
    like as what it has. Raises InputError for layers that are to stay float."""
    if settings.keep_float:
        raise InputError("passes.ptq.keep_float: an Ethos-U has no float: leave it out, or use another backend")
    subject.notes.append("ptq: by Arm's own quantizer, on which range, weight_bits and pair_limit have no effect")
    with quiet(), torch.no_grad():
        from executorch.backends.arm.ethosu import EthosUCompileSpec
        from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        quantizer = EthosUQuantizer(EthosUCompileSpec(subject.accelerator))
        quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
        model = copy.deepcopy(subject.model)
        if not subject.accelerator.startswith("ethos-u85"):
            _pad_before_long_strides(model)
        exported = torch.export.export(_Clipped(model), example(subject), strict=False)
        prepared = prepare_pt2e(exported.module(check_guards=False), quantizer)
        for lq, noise in pictures(subject):
            prepared(lq, noise)
        return ConvertedGraph(convert_pt2e(prepared))


def _pad_before_long_strides(model: torch.nn.Module) -> None:
    """Pad the inputs of convolutions with strides above 3 in an operation of its own, in place: the same numbers.

    An Ethos-U55 or U65 has such convolutions without padding only: Arm's partitioner leaves the others to the CPU.
    """
    for name, layer in [*model.named_modules()]:
        if isinstance(layer, torch.nn.Conv2d) and max(layer.stride) > 3 and any(layer.padding):
            high, wide = layer.padding
            layer.padding = (0, 0)
            model.set_submodule(name, torch.nn.Sequential(torch.nn.ZeroPad2d((wide, wide, high, high)), layer))


def _quantizer(subject: Subject, settings: PtqSettings) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    limit = WEIGHT_MAX[settings.weight_bits]
    config = get_symmetric_quantization_config(is_per_channel=True, weight_qmin=-limit, weight_qmax=limit)
    if settings.range == "min_max":
        config = _with_min_max(config)
    quantizer = XNNPACKQuantizer()
    # Every further operator costs seconds: its patterns are exported again.
    for target in (torch.ops.aten.conv2d.default, torch.ops.aten.conv_transpose2d.input):
        quantizer.set_operator_type(target, config)
    layers = excluded(subject, settings)
    return quantizer.set_filter_function(lambda node: layer_of(node) not in layers)


def _with_min_max(config: Any) -> Any:
    from torchao.quantization.pt2e import MinMaxObserver

    observer = MinMaxObserver.with_args(eps=2**-12)
    spec = replace(config.input_activation, observer_or_fake_quant_ctr=observer)
    return replace(config, input_activation=spec, output_activation=spec)
