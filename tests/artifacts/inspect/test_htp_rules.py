"""Operators in float, named without Qualcomm's compiler."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.artifacts.inspect.htp_rules import lint
from compress.errors import VerificationError

SCALE = ["scale", "point"]


def pair(read: str, made: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [read, *SCALE], [f"{made}/integers"]),
        helper.make_node("DequantizeLinear", [f"{made}/integers", *SCALE], [made]),
    ]


def save(path: Path, nodes: list[onnx.NodeProto]) -> Path:
    """A graph x -> y."""
    stored = {"scale": np.float32(0.1), "point": np.uint16(7), "half": np.float32([0.5]), "double": np.float32([1, 2])}
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)), path)
    return path


def test_every_operator_in_quantized_form(tmp_path: Path) -> None:
    nodes = [
        *pair("x", "a"),
        *pair("half", "h"),
        helper.make_node("Mul", ["a", "h"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        *pair("r", "b"),
        helper.make_node("Resize", ["b", "", "double"], ["e"]),
        *pair("e", "y"),
    ]
    assert lint(save(tmp_path / "m.onnx", nodes)) == []


def test_operators_in_float_are_counted_by_type(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),  # reads the picture itself
        *pair("s", "a"),
        helper.make_node("Mul", ["a", "half"], ["m"]),  # by a constant in float
        *pair("m", "b"),
        helper.make_node("Mul", ["b", "b"], ["p"]),  # its product is read in float, too
        helper.make_node("Relu", ["p"], ["r"]),
        *pair("r", "c"),
        helper.make_node("Add", ["c", "p"], ["y"]),
    ]
    (line,) = lint(save(tmp_path / "m.onnx", nodes))
    assert line.startswith(
        "4 operators are in float (2 Mul, 1 Add, 1 Sigmoid), which an NPU from version 73 on computes"
    )
    assert line.endswith("set export.onnx.htp to true, and use onnx-int8-htp")


@pytest.mark.parametrize("times", [1, 2])
def test_a_chain_that_branches_at_every_node_takes_no_time(times: int, tmp_path: Path) -> None:
    """Of a stranger's file: followed from each reader to the next, this would be 2 ** 2000 ways."""
    nodes = [helper.make_node("Clip", [f"t{i}"] * times, [f"t{i + 1}"]) for i in range(2000)]
    ends = [*pair("x", "t0"), *nodes, *pair("t2000", "y")]
    assert lint(save(tmp_path / "m.onnx", ends)) == []
    (line,) = lint(save(tmp_path / "m.onnx", [*ends, helper.make_node("Tanh", ["t2000"], ["z"])]))
    assert line.startswith("2001 operators are in float (2000 Clip, 1 Tanh)")


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(VerificationError, match="not a readable ONNX model"):
        lint(tmp_path / "m.onnx")
