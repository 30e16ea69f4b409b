"""Graphs that take and give pictures of 8 bits: what stands before and behind a float graph, in each format.

``image`` (1, h, w, 3) uint8 on the picture's own grid -> enlarged as Pillow does, divided by 255, channels first -> the
float graph -> times 255, rounded half up, channels last -> ``restored`` (1, H, W, 3) uint8. It is put around the
finished float graph: quantizers, and engines that quantize a runtime's own graph, never see it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.artifacts.export.deployed import INPUT_NAMES, OUTPUT_NAME
from compress.artifacts.export.enlargement import HALF, STEP, Enlargement
from compress.artifacts.export.onnx_graph import Graph, model_of
from compress.recipe.image_size import Shape

IMAGE, RESTORED = "image", "restored"


class PictureModel(nn.Module):
    """``model`` (lq, noise or nothing) -> hq, for ``shape``, as (image uint8, noise or nothing) -> restored uint8."""

    def __init__(self, model: nn.Module, shape: Shape, enlargement: Enlargement) -> None:
        super().__init__()
        self.model, self.enlarges = model, enlargement.scale > 1
        rows, columns = _reduced(shape, enlargement)
        self.along_rows = _Enlarged(columns, enlargement)
        self.along_columns = self.along_rows if rows == columns else _Enlarged(rows, enlargement)

    def forward(self, image: Tensor, *noise: Tensor) -> Tensor:
        x = image.float().permute(0, 3, 1, 2)  # of floats, axes change places inside of XNNPACK's delegate
        if self.enlarges:
            x = self.along_columns(self.along_rows(x).transpose(2, 3)).transpose(2, 3)
        hq = self.model(x / 255, *noise)
        return (hq * 255 + 0.5).floor().permute(0, 2, 3, 1).to(torch.uint8)


class _Enlarged(nn.Module):
    """Enlargement along the last axis, of ``size`` samples."""

    def __init__(self, size: int, enlargement: Enlargement) -> None:
        super().__init__()
        upper, lower = enlargement.weights(size)
        self.register_buffer("upper", torch.from_numpy(upper.T.copy()))
        self.register_buffer("lower", torch.from_numpy(lower.T.copy()))

    def forward(self, x: Tensor) -> Tensor:
        rest = (functional.linear(x, self.lower) + HALF).floor() / STEP
        return (functional.linear(x, self.upper) + rest).floor().clamp(0, 255)


def picture_inputs(shape: Shape, enlargement: Enlargement, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Example inputs of a ``PictureModel``, of the float model's."""
    return torch.zeros(1, *_reduced(shape, enlargement), 3, dtype=torch.uint8), *inputs[1:]


def _reduced(shape: Shape, enlargement: Enlargement) -> Shape:
    """Shape before the enlargement."""
    height, width = shape
    return height // enlargement.scale, width // enlargement.scale


def picture_onnx(proto: Any, shape: Shape, enlargement: Enlargement) -> Any:
    """A copy of a float graph's ModelProto that takes ``image`` instead of ``lq`` and gives ``restored``."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    before, after = _before(shape, enlargement), _after(shape)
    nodes = [*before.node, *whole.graph.node, *after.node]
    noise = [port for port in whole.graph.input if port.name != INPUT_NAMES[0]]
    for field, values in (("node", nodes), ("input", [*before.input, *noise]), ("output", after.output)):
        kept = list(values)
        whole.graph.ClearField(field)
        getattr(whole.graph, field).extend(kept)
    whole.graph.initializer.extend([*before.initializer, *after.initializer])
    return whole


def picture_openvino(model: Any, shape: Shape, enlargement: Enlargement) -> Any:
    """``model`` (ov.Model) with the same around it; it is changed."""
    import openvino as ov

    from compress.artifacts.export.to_openvino import to_openvino

    before, after = (to_openvino(model_of(graph)) for graph in (_before(shape, enlargement), _after(shape)))
    lq, hq = model.input(INPUT_NAMES[0]), model.output(0).get_node().input_value(0)
    for made, reader in ((before.output(0).get_node().input_value(0), lq), (hq, after.input(0))):
        for user in reader.get_target_inputs():
            user.replace_source_output(made)
    noise = [port for port in model.get_parameters() if port.get_friendly_name() != lq.get_node().get_friendly_name()]
    return ov.Model(after.get_results(), [*before.get_parameters(), *noise])


def _before(shape: Shape, enlargement: Enlargement) -> Any:
    """GraphProto: ``image`` -> ``lq``."""
    from onnx import TensorProto

    small = _reduced(shape, enlargement)
    graph = Graph("before")
    x = graph.add("Cast", IMAGE, to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    if enlargement.scale > 1:
        # Stored in float16, which holds them exactly: half the bytes. Runtimes make floats of them while loading.
        parts = {
            side: [
                graph.add("Cast", graph.constant(part.astype(np.float16)), to=TensorProto.FLOAT)
                for part in enlargement.weights(side)
            ]
            for side in dict.fromkeys(reversed(small))
        }
        for side in reversed(small):  # along rows, then along columns, as Pillow
            x = graph.add("Transpose", _enlarged(graph, x, *parts[side]), perm=[0, 1, 3, 2])
    graph.add("Div", x, graph.constant(np.float32(255)), made=INPUT_NAMES[0])
    return graph.proto((IMAGE, "UINT8", [1, *small, 3]), (INPUT_NAMES[0], "FLOAT", [1, 3, *shape]))


def _enlarged(graph: Graph, x: str, upper: str, lower: str) -> str:
    """Along the last axis."""
    rest = graph.add("Add", graph.add("MatMul", x, lower), graph.constant(np.float32(HALF)))
    rest = graph.add("Div", graph.add("Floor", rest), graph.constant(np.float32(STEP)))
    whole = graph.add("Floor", graph.add("Add", graph.add("MatMul", x, upper), rest))
    return graph.add("Clip", whole, graph.constant(np.float32(0)), graph.constant(np.float32(255)))


def _after(shape: Shape) -> Any:
    """GraphProto: ``hq`` -> ``restored``."""
    from onnx import TensorProto

    graph = Graph("after")
    x = graph.add("Mul", OUTPUT_NAME, graph.constant(np.float32(255)))
    x = graph.add("Floor", graph.add("Add", x, graph.constant(np.float32(0.5))))
    graph.add("Transpose", graph.add("Cast", x, to=TensorProto.UINT8), perm=[0, 2, 3, 1], made=RESTORED)
    return graph.proto((OUTPUT_NAME, "FLOAT", [1, 3, *shape]), (RESTORED, "UINT8", [1, *shape, 3]))
