"""What an ONNX model reads beside its own file, found wherever onnx.proto can put a tensor."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compress.artifacts.inspect.external_data import external_data

PLACES = ("initializer", "sparse", "attribute", "attributes", "subgraph", "function", "training")


def tensor(location: str | None) -> TensorProto:
    made = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("offset", "0"), ("location", location), ("length", "16")):
            made.external_data.add(key=key, value=value)
    return made


def graph(tensors: list[TensorProto], nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    return helper.make_graph(nodes, "g", [port], [port], tensors)


def model(place: str, location: str | None, depth: int) -> bytes:
    """A model with one tensor in ``place``, below ``depth`` graphs."""
    held = tensor(location)
    node = helper.make_node("Constant", [], ["c"])
    if place == "attribute":
        node.attribute.append(helper.make_attribute("value", held))
    if place == "attributes":
        node.attribute.append(helper.make_attribute("values", [held, held]))
    inner = graph([held] if place in ("initializer", "subgraph") else [], [node])
    if place == "sparse":
        inner.sparse_initializer.add().values.CopyFrom(held)
    for _ in range(depth + (place == "subgraph")):
        inner = graph([], [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=graph([], []))])
    proto = helper.make_model(inner)
    if place == "function":
        body = helper.make_node("Constant", [], ["c"], value=held)
        proto.functions.append(helper.make_function("own", "f", [], ["c"], [body], [helper.make_opsetid("", 18)]))
    if place == "training":
        proto.training_info.add().algorithm.CopyFrom(graph([held], []))
    return proto.SerializeToString()


@given(
    place=st.sampled_from(PLACES),
    location=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    depth=st.integers(0, 3),
)
def test_a_location_is_found_wherever_it_stands(place: str, location: str, depth: int) -> None:
    assert external_data(model(place, location, depth)) == {location}
    assert external_data(model(place, None, depth)) == set()


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(PLACES))
def test_what_is_no_model_is_a_value_error(noise: bytes, at: int, place: str) -> None:
    for data in (noise, model(place, "w", 1)[:at] + noise):
        try:
            assert all(isinstance(name, str) for name in external_data(data))
        except ValueError as error:
            assert "\n" not in str(error)


def test_nested_without_end() -> None:
    data = b""
    for _ in range(20_000):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # g of an attribute of a node of a graph
            size = len(data)
            digits = bytearray()
            while size >= 0x80:
                digits.append(size & 0x7F | 0x80)
                size >>= 7
            data = tag + bytes([*digits, size]) + data
        if len(data) > 100_000:
            break
    with_graph = b"\x3a" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7 & 0x7F | 0x80, len(data) >> 14]) + data
    assert external_data(with_graph) == set()


@pytest.mark.parametrize("data", [b"<?xml version='1.0'?>", b"\x3a\x7f", b"\xff" * 20])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        external_data(data)
