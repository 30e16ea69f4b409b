"""torchao: one calibration, signed for XNNPACK, the same numbers unsigned for x86."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compress.artifacts.export.to_onnx import to_onnx
from compress.artifacts.export.to_openvino import to_openvino
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.round_weights import limit_pairs
from compress.recipe.passes import PtqSettings

pytestmark = pytest.mark.slow

_OPS = torch.ops.quantized_decomposed
CONVS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)


def int8_weights(module: torch.nn.Module) -> list[torch.Tensor]:
    result = {id(b): b for b in [*module.buffers(), *module.parameters()] if b.dtype == torch.int8}
    return list(result.values())


def with_pairs(weights: list[torch.Tensor], model: torch.nn.Module) -> list[tuple[torch.Tensor, int]]:
    """Weights with an even number of input channels, each with its dimension of them."""
    transposed = {m.weight.shape for m in model.modules() if isinstance(m, torch.nn.ConvTranspose2d)}
    result = [(w, 0 if w.shape in transposed else 1) for w in weights]
    return [(w, axis) for w, axis in result if w.shape[axis] % 2 == 0]


def quantizers(module: Any) -> list[torch.fx.Node]:
    return [node for node in module.graph.graph.nodes if node.target == _OPS.quantize_per_tensor.default]


def quantize(subject: Subject, **given: Any) -> dict[str, torch.nn.Module]:
    Ptq(PtqSettings.model_validate({"engine": "torchao", **given})).run(subject)
    return subject.quantized.modules


@pytest.fixture()
def two_steps(folded: Callable[..., Subject]) -> Subject:
    return folded(("openvino", "onnx", "executorch"), k_steps=2)


def test_both_steps_are_quantized_and_share_their_weights(
    two_steps: Subject, closeness: Callable[..., float], capfd: Any
) -> None:
    modules = quantize(two_steps)
    assert capfd.readouterr().out == ""
    assert modules.keys() == {"openvino", "onnxruntime", "xnnpack"}
    assert modules["openvino"] is modules["onnxruntime"]
    graph = modules["xnnpack"].graph.graph  # type: ignore[union-attr]
    kinds = Counter(node.target for node in graph.nodes)
    convs = sum(count for target, count in kinds.items() if "aten.conv" in str(target))
    layers = [m for m in two_steps.model.modules() if isinstance(m, CONVS)]
    assert kinds[_OPS.dequantize_per_channel.default] == convs == len(layers)
    weights = int8_weights(modules["xnnpack"])
    distinct = {id(m.weight) for m in layers}
    assert len(weights) == len(distinct) < convs
    assert max(int(w.abs().max()) for w in weights) == 63
    assert closeness(two_steps, modules["xnnpack"]) > 26
    lq, noise = next(iter(two_steps.calibration()))
    assert torch.equal(modules["openvino"](lq, noise), modules["xnnpack"](lq, noise))
    assert {node.args[5] for node in quantizers(modules["openvino"])} == {torch.uint8}


@pytest.mark.numerics
def test_it_is_exported_and_run(
    folded: Callable[..., Subject], closeness: Callable, run_onnx: Callable, run_openvino: Callable
) -> None:
    subject = folded(("onnx",))
    modules = quantize(subject, range="min_max", weight_bits=8, keep_float=["dec"])
    assert modules.keys() == {"onnxruntime"}
    convs = [n for n, m in subject.model.named_modules() if isinstance(m, CONVS) and not n.startswith("dec.")]
    assert len(int8_weights(modules["onnxruntime"])) == len(convs)
    weights = [w.int() for w in int8_weights(modules["onnxruntime"])]
    assert 64 < max(int(w.abs().max()) for w in weights) <= 127
    assert all(torch.equal(limit_pairs(w, axis), w) for w, axis in with_pairs(weights, subject.model))
    proto = to_onnx(modules["onnxruntime"], subject.shape)
    assert Counter(node.op_type for node in proto.graph.node)["QuantizeLinear"] > 50
    simulated = closeness(subject, modules["onnxruntime"])
    assert simulated > 26
    for run in (run_onnx(proto), run_openvino(to_openvino(proto))):
        assert closeness(subject, run) > simulated - 3  # saturated, it would lose 10 dB


def test_eight_whole_bits_where_the_recipe_says_so(folded: Callable[..., Subject], closeness: Callable) -> None:
    subject = folded(("executorch",))
    modules = quantize(subject, range="min_max", weight_bits=8, pair_limit=False, keep_float=["mmse", "fmir", "dec"])
    assert all(int(w.abs().max()) == 127 for w in int8_weights(modules["xnnpack"]))
    assert closeness(subject, modules["xnnpack"]) > 26
