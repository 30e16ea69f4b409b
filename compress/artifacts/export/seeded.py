"""Graphs that hold their noise and take a seed: what stands before a graph's noise, in each format.

``seed`` (1,) int64 -> a window of the noise torus (``elir.noise_torus``) -> the float graph's ``noise``. It is put
before the finished float graph, which quantizers see as it is without. Integers are taken modulo first: no product
leaves the range that float32 holds exactly, as which OpenVINO's CPU plugin divides them.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.artifacts.export.deployed import INPUT_NAMES
from compress.artifacts.export.onnx_graph import Graph, model_of
from compress.artifacts.runtime.base import SEED
from compress.elir.latent import noise_shape
from compress.elir.noise_torus import COLUMN_FACTOR, COLUMNS, ROW_FACTOR, ROWS, STEP
from compress.recipe.image_size import Shape

AXES = ((ROWS, ROW_FACTOR), (COLUMNS, COLUMN_FACTOR))
"""Each axis of the torus: its length, and the factor that a seed is multiplied by."""


class SeededModel(nn.Module):
    """``model`` (lq, noise) -> hq, for ``shape``, as (lq, seed) -> hq."""

    def __init__(self, model: nn.Module, shape: Shape, torus: np.ndarray) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("torus", torch.from_numpy(torus))
        for name, side in zip(("rows", "columns"), noise_shape(*shape)[2:], strict=True):
            self.register_buffer(name, torch.arange(side))

    def forward(self, lq: Tensor, seed: Tensor) -> Tensor:
        window = self.torus
        for axis, (places, (length, factor)) in enumerate(zip((self.rows, self.columns), AXES, strict=True), start=2):
            window = window.index_select(axis, (seed % length * factor + places) % length)
        return self.model(lq, window.float() * float(STEP))


def seeded_onnx(proto: Any, shape: Shape, torus: np.ndarray) -> Any:
    """A copy of a float graph's ModelProto that takes ``seed`` instead of ``noise``."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    before = _before(shape, torus)
    nodes = [*before.node, *whole.graph.node]
    others = [port for port in whole.graph.input if port.name != INPUT_NAMES[1]]
    for field, values in (("node", nodes), ("input", [*others, *before.input])):
        kept = list(values)
        whole.graph.ClearField(field)
        getattr(whole.graph, field).extend(kept)
    whole.graph.initializer.extend(before.initializer)
    return whole


def seeded_openvino(model: Any, shape: Shape, torus: np.ndarray) -> Any:
    """``model`` (ov.Model) with the same before its noise; it is changed."""
    import openvino as ov

    from compress.artifacts.export.to_openvino import to_openvino

    before, noise = to_openvino(model_of(_before(shape, torus))), model.input(INPUT_NAMES[1])
    for user in noise.get_target_inputs():
        user.replace_source_output(before.output(0).get_node().input_value(0))
    own = noise.get_node().get_friendly_name()
    others = [port for port in model.get_parameters() if port.get_friendly_name() != own]
    return ov.Model(model.get_results(), [*others, *before.get_parameters()])


def _before(shape: Shape, torus: np.ndarray) -> Any:
    """GraphProto: ``seed`` -> ``noise``."""
    from onnx import TensorProto

    graph, sides = Graph("seeded"), noise_shape(*shape)[2:]
    window = graph.constant(torus)
    for axis, (side, (length, factor)) in enumerate(zip(sides, AXES, strict=True), start=2):
        modulus = graph.constant(np.array([length], np.int64))
        first = graph.add("Mul", graph.add("Mod", SEED, modulus), graph.constant(np.array([factor], np.int64)))
        places = graph.add("Add", first, graph.constant(np.arange(side, dtype=np.int64)))
        window = graph.add("Gather", window, graph.add("Mod", places, modulus), axis=axis)
    floats = graph.add("Cast", window, to=TensorProto.FLOAT)
    graph.add("Mul", floats, graph.constant(STEP), made=INPUT_NAMES[1])
    return graph.proto((SEED, "INT64", [1]), (INPUT_NAMES[1], "FLOAT", list(noise_shape(*shape))))
