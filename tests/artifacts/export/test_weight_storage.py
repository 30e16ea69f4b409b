"""Rounded weights in a file: the float model's outputs to the last bit, in fewer bytes, made float while loading."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor

from compress.artifacts.export.to_onnx import save_onnx, to_onnx
from compress.artifacts.export.to_openvino import save_openvino, to_openvino
from compress.artifacts.export.weight_storage import store_rounded
from compress.artifacts.inspect.weight_bits import stored_weights
from compress.artifacts.runtime.base import Format
from compress.artifacts.runtime.open import open_runner
from compress.elir.model import Elir
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.weights import Weights
from compress.recipe.passes import WeightsSettings

SIZE = 64
SUFFIX: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}


@pytest.fixture(scope="module")
def rounded(folded: Elir) -> tuple[QuantizedModel, Any]:
    """Weights of 4 bits in groups of 8 channels, of 8 bits and of 16, and the graph of the model that has them."""
    subject = Subject(folded, lambda: iter(()), 0, (SIZE, SIZE), ("openvino", "onnx"))
    Weights(WeightsSettings(bits=4, group=8, layer_bits={"enc": 8, "dec": 16})).run(subject)
    return subject.quantized, to_onnx(subject.quantized.modules["x86"], (SIZE, SIZE))


def save(proto: Any, path: Path) -> Path:
    if path.suffix == ".xml":
        save_openvino(to_openvino(proto, half_weights=True), path, compact=True)
    else:
        save_onnx(proto, path)
    return path


@pytest.mark.parametrize("format_", SUFFIX)
def test_outputs_are_those_of_the_float_file(
    rounded: tuple[QuantizedModel, Any], pair: tuple[Tensor, Tensor], tmp_path: Path, format_: Format
) -> None:
    quantized, graph = rounded
    stored = copy.deepcopy(graph)
    store_rounded([stored], quantized.weights)
    onnx.checker.check_model(stored, full_check=True)
    small, plain = (save(p, tmp_path / f"{n}{SUFFIX[format_]}") for n, p in (("small", stored), ("plain", graph)))
    inputs = [x.numpy() for x in pair]
    assert np.array_equal(*(open_runner(path, format_, 1).run(*inputs) for path in (small, plain)))
    held = stored_weights([small], format_)
    # what OpenVINO multiplies into a weight while it converts stays float: 1 % at most
    assert held is not None and held.get("32", 0) < 0.01 * sum(held.values())
    assert min(held[bits] for bits in ("4", "8", "16")) > 0.1 * sum(held.values())


def test_a_weight_that_is_not_in_the_graph_is_told(rounded: tuple[QuantizedModel, Any]) -> None:
    quantized, graph = rounded
    other, count = copy.deepcopy(graph), len(quantized.weights)
    for tensor in other.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    with pytest.raises(RuntimeError, match=f"^{count} of {count} rounded weights are not in the graph$"):
        store_rounded([other], quantized.weights)
