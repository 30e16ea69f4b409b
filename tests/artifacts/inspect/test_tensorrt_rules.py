"""TensorRT's rules for ONNX files, without TensorRT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.artifacts.inspect.tensorrt_rules import lint
from compress.errors import VerificationError


def model(path: Path, kind: int = TensorProto.INT8, point: int = 0, opset: int = 20, width: int | str = 8) -> Path:
    """Quantize, dequantize one input."""
    dtype = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8}[kind]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "point"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "point"], ["y"]),
    ]
    stored = [
        onnx.numpy_helper.from_array(np.float32(0.1), "scale"),
        onnx.numpy_helper.from_array(dtype(point), "point"),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)
    return path


def test_a_right_file(tmp_path: Path) -> None:
    assert lint(model(tmp_path / "m.onnx")) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": TensorProto.UINT8, "point": 128}, "DequantizeLinear in uint8: TensorRT takes int8 only"),
        ({"point": 3}, "DequantizeLinear with a zero point that is not 0: TensorRT takes symmetric int8 only"),
        ({"opset": 21}, "opset 21 is newer than 20: export with export.onnx.opset 20"),
        ({"width": "n"}, "input x has a dynamic shape: export static shapes"),
    ],
)
def test_each_breach_is_one_line(tmp_path: Path, settings: dict, text: str) -> None:
    assert text in lint(model(tmp_path / "m.onnx", **settings))


def test_a_dequantized_bias(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(8, np.int32), "bias"))
    proto.graph.node.append(helper.make_node("DequantizeLinear", ["bias", "scale"], ["b"]))
    onnx.save(proto, path)
    assert lint(path) == ["1 biases are dequantized from int32: leave biases in float"]


def _changed(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    def spoil(data: bytes) -> bytes:
        proto = onnx.load_model_from_string(data)
        change(proto)
        return bytes(proto.SerializeToString())

    return spoil


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "no protobuf": lambda data: b"\xff" * 100,
    "cut": lambda data: data[:-7],
    "text that is not UTF-8": lambda data: data.replace(b"point", b"p\xff\xfent"),
    "a node without inputs": _changed(lambda p: p.graph.node[0].ClearField("input")),
    "a dequantizer without inputs": _changed(lambda p: p.graph.node[1].ClearField("input")),
    "a tensor of no known type": _changed(lambda p: setattr(p.graph.initializer[1], "data_type", 999)),
    "a tensor without its numbers": _changed(lambda p: p.graph.initializer[1].ClearField("raw_data")),
    "a tensor of a negative side": _changed(lambda p: p.graph.initializer[1].dims.append(-5)),
    "numbers that lie elsewhere": _changed(lambda p: setattr(p.graph.initializer[1], "data_location", 1)),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_strangers_file_is_linted_or_refused(how: str, tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx")
    path.write_bytes(SPOILT[how](path.read_bytes()))
    try:
        assert all(line.isprintable() for line in lint(path))
    except VerificationError as error:
        assert str(error).startswith(f"{path}: not a readable ONNX model (") and str(error).isprintable()
