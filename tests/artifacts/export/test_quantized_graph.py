"""A quantized model's graph, written into the float one: what an export of the module itself gives, to the bit."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

from compress.artifacts.export.quantized_graph import quantized_graph
from compress.artifacts.export.to_onnx import to_onnx
from compress.elir.model import Elir
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.elir import quantize
from compress.recipe.passes import PtqSettings

SIZE = 64
pytestmark = pytest.mark.slow
Run = Callable[..., list[np.ndarray]]
Pair = tuple[Tensor, Tensor]


def quantized(model: Elir, pair: Pair, **settings: Any) -> QuantizedModel:
    subject = Subject(model, lambda: iter([pair]), 1, (SIZE, SIZE), ("openvino", "onnx"))
    return quantize(subject, PtqSettings(**settings))


@pytest.fixture(scope="module")
def rounded(folded: Elir, pair: Pair) -> QuantizedModel:
    """With some layers left in float, among them one step's whose weight the other rounds."""
    return quantized(folded, pair, keep_float=["enc.layers.3", "fmir.steps.1.mid_blocks"], rounding="nearest")


@pytest.fixture(scope="module")
def once(folded_once: Elir, pair: Pair) -> QuantizedModel:
    return quantized(folded_once, pair)


@pytest.fixture(scope="module")
def graph_once(folded_once: Elir) -> Any:
    return to_onnx(folded_once, (SIZE, SIZE))


def nodes(proto: Any) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def stored(proto: Any) -> list[tuple[int, tuple[int, ...]]]:
    return sorted((i.data_type, tuple(i.dims)) for i in proto.graph.initializer)


def check(exported: Any, written: Any, pair: Pair, run: Run) -> None:
    onnx.checker.check_model(written, full_check=True)
    assert nodes(written) == nodes(exported)
    assert stored(written) == stored(exported)
    feeds = {"lq": pair[0].numpy(), "noise": pair[1].numpy()}
    (expected,), (output,) = (run(proto, feeds, exact=True) for proto in (exported, written))
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("scheme", ["onnxruntime", "tensorrt"])
def test_it_is_what_exporting_the_module_gives(
    scheme: str, once: QuantizedModel, graph_once: Any, pair: Pair, onnxruntime_run: Run
) -> None:
    module = once.modules[scheme]
    check(to_onnx(module, (SIZE, SIZE)), quantized_graph(graph_once, once.model, module), pair, onnxruntime_run)


def test_steps_share_integers_unless_one_stays_float(
    rounded: QuantizedModel, graph: Any, pair: Pair, onnxruntime_run: Run
) -> None:
    module = rounded.modules["openvino"]
    check(to_onnx(module, (SIZE, SIZE)), quantized_graph(graph, rounded.model, module), pair, onnxruntime_run)


@pytest.mark.parametrize("settings", [{"keep_float": ["fmir.steps.0"]}, {"layer_bits": {"fmir.steps.0": 16}}])
def test_a_first_step_in_float_keeps_its_biases(
    settings: dict[str, Any], folded: Elir, graph: Any, pair: Pair, onnxruntime_run: Run
) -> None:
    """Steps share a float bias, which is named after the last; what that one is corrected by is its own."""
    rounded = quantized(folded, pair, rounding="nearest", **settings)
    module = rounded.modules["openvino"]
    check(to_onnx(module, (SIZE, SIZE)), quantized_graph(graph, rounded.model, module), pair, onnxruntime_run)


def test_the_float_graph_stays_as_it_is(rounded: QuantizedModel, graph: Any) -> None:
    before = graph.SerializeToString(deterministic=True)
    quantized_graph(graph, rounded.model, rounded.modules["openvino"])
    assert graph.SerializeToString(deterministic=True) == before


def test_equal_float_weights_may_be_rounded_apart(folded_once: Elir, pair: Pair, onnxruntime_run: Run) -> None:
    model = copy.deepcopy(folded_once)
    first, second = (model.get_submodule(f"dec.layers.2.conv.{i}") for i in (0, 2))
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    second.weight = first.weight.__class__(first.weight.clone(), requires_grad=False)
    module = quantized(model, pair, layer_bits={"dec.layers.2.conv.2": 4}).modules["openvino"]
    check(
        to_onnx(module, (SIZE, SIZE)),
        quantized_graph(to_onnx(model, (SIZE, SIZE)), model, module),
        pair,
        onnxruntime_run,
    )


def test_a_graph_of_another_model_is_refused(
    rounded: QuantizedModel, folded: Elir, graph: Any, graph_once: Any
) -> None:
    with pytest.raises(RuntimeError, match="convolutions in the float graph"):
        quantized_graph(graph_once, rounded.model, rounded.modules["openvino"])
    other = copy.deepcopy(folded)
    other.get_submodule("dec.layers.0").weight.data.neg_()  # type: ignore[union-attr, operator]
    with pytest.raises(RuntimeError, match=r"dec\.layers\.0: the float graph has other weights"):
        quantized_graph(graph, other, rounded.modules["openvino"])
