"""The file for Hexagon NPUs: every operator quantized, by the very weights of our engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor

from compress.artifacts.export.htp_graph import htp_graph
from compress.artifacts.export.to_onnx import save_onnx, to_onnx
from compress.artifacts.inspect.htp_rules import lint
from compress.elir.model import Elir
from compress.measure.decibels import decibels
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.elir import quantize
from compress.recipe.passes import PtqSettings

SIZE = 64
KEPT = "enc.layers.3"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def float_graph(folded_once: Elir) -> Any:
    return to_onnx(folded_once, (SIZE, SIZE))


@pytest.fixture(scope="module")
def quantized(folded_once: Elir, float_graph: Any, pair: tuple[Tensor, Tensor]) -> QuantizedModel:
    subject = Subject(folded_once, lambda: iter([pair]), 1, (SIZE, SIZE), ("onnx",), htp=True)
    subject.float_graph = lambda format_: float_graph
    return quantize(subject, PtqSettings(keep_float=[KEPT]))


@pytest.fixture(scope="module")
def graph(folded_once: Elir, float_graph: Any, quantized: QuantizedModel) -> Any:
    return htp_graph(float_graph, folded_once, quantized.layers, quantized.ranges)


def test_every_operator_is_in_quantized_form(graph: Any, tmp_path: Path) -> None:
    save_onnx(graph, tmp_path / "model.onnx")
    assert lint(tmp_path / "model.onnx") == []
    stored = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    kinds = {stored[node.input[2]] for node in graph.graph.node if node.op_type == "QuantizeLinear"}
    assert kinds == {TensorProto.UINT16}, "activations have 16 bits"


def test_the_weights_are_the_engines_to_the_bit(graph: Any, quantized: QuantizedModel, folded_once: Elir) -> None:
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    makers = {node.output[0]: node for node in graph.graph.node}
    convs = [makers[node.input[1]].input for node in graph.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert all(stored[weight].dtype == np.int8 for weight, _, _ in convs), f"{KEPT} has 8 bits, too"
    written = {(stored[weight].tobytes(), stored[scale].tobytes()) for weight, scale, _ in convs}
    for layer in quantized.layers.values():
        assert (layer.weight.values.numpy().tobytes(), layer.weight.scales.numpy().tobytes()) in written


@pytest.mark.numerics
def test_nearer_to_the_float_model_than_8_bits(
    graph: Any,
    quantized: QuantizedModel,
    folded_once: Elir,
    pair: tuple[Tensor, Tensor],
    onnxruntime_run: Callable[..., list[np.ndarray]],
) -> None:
    output = torch.from_numpy(onnxruntime_run(graph, {"lq": pair[0].numpy(), "noise": pair[1].numpy()}, True)[0])
    with torch.no_grad():
        wanted = folded_once(*pair).clamp(0, 1)
        in_8_bits = quantized.modules["onnxruntime"](*pair).clamp(0, 1)
    errors = [(x - wanted).square().mean().item() for x in (output, in_8_bits)]
    assert decibels(errors[0]) > decibels(errors[1]) + 5
