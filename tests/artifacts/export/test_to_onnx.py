"""ONNX graphs: static, weights once, nothing of this machine, the same bytes each time; run in ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

import compress
from compress.artifacts.export.to_onnx import save_onnx, to_float16, to_onnx
from compress.elir.model import Elir
from compress.elir.noise import seeded_noise

Pair = tuple[Tensor, Tensor]


def run(proto: Any, **inputs: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["hq"], {name: value.numpy() for name, value in inputs.items()})[0]


def shapes(values: Any) -> dict[str, list[int]]:
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def test_the_interface_is_static(graph: Any) -> None:
    onnx.checker.check_model(graph, full_check=True)
    assert shapes(graph.graph.input) == {"lq": [1, 3, 64, 64], "noise": [1, 16, 8, 8]}
    assert shapes(graph.graph.output) == {"hq": [1, 3, 64, 64]}
    assert {(o.domain, o.version) for o in graph.opset_import if o.domain == ""} == {("", 20)}
    assert {node.domain for node in graph.graph.node} == {""} and not graph.functions


@pytest.mark.numerics
def test_it_gives_what_torch_gives(graph: Any, pair: Pair, wanted: Tensor) -> None:
    np.testing.assert_allclose(run(graph, lq=pair[0], noise=pair[1]), wanted.numpy(), atol=1e-4)


@pytest.mark.numerics
def test_a_rectangle(folded_once: Elir) -> None:
    graph = to_onnx(folded_once, (64, 96))
    assert shapes(graph.graph.input) == {"lq": [1, 3, 64, 96], "noise": [1, 16, 8, 12]}
    lq, noise = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)), seeded_noise(64, 96, 2)
    with torch.no_grad():
        wanted = folded_once(lq, noise).clamp(0, 1)
    np.testing.assert_allclose(run(graph, lq=lq, noise=noise), wanted.numpy(), atol=1e-4)


def test_weights_of_the_steps_are_stored_once(graph: Any, folded: Elir) -> None:
    numbers = sum({id(p): p.numel() for p in folded.parameters()}.values())
    stored = sum(int(np.prod(i.dims)) for i in graph.graph.initializer)
    repeated = sum(p.numel() for p in folded.fmir.steps[1].parameters())  # type: ignore[index]
    assert repeated > 0.2 * numbers
    assert stored < 1.02 * numbers


def test_nothing_of_the_machine_is_inside(graph: Any) -> None:
    data = graph.SerializeToString()
    for place in (str(Path(compress.__file__).parent), "/tmp", "site-packages", ".py"):
        assert place.encode() not in data, place
    assert graph.producer_name == "elir-compress"


def test_the_same_model_gives_the_same_bytes(graph: Any, folded: Elir, tmp_path: Path) -> None:
    save_onnx(graph, tmp_path / "a.onnx")
    save_onnx(to_onnx(folded, (64, 64)), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.fixture(scope="module")
def older(folded: Elir) -> Any:
    """Of an older opset, its noise baked in."""
    return to_onnx(folded, (64, 64), 18, baked_seed=4)


def test_baked_noise_leaves_one_input(older: Any, graph: Any, pair: Pair) -> None:
    assert list(shapes(older.graph.input)) == ["lq"]
    with_input = run(graph, lq=pair[0], noise=seeded_noise(64, 64, 4))
    np.testing.assert_allclose(run(older, lq=pair[0]), with_input, atol=1e-5)


@pytest.mark.numerics
def test_half_precision_is_half_the_size_and_close(graph: Any, pair: Pair, wanted: Tensor) -> None:
    half = to_float16(graph)
    assert half.ByteSize() < 0.53 * graph.ByteSize()
    assert {v.type.tensor_type.elem_type for v in (*half.graph.input, *half.graph.output)} == {onnx.TensorProto.FLOAT}
    np.testing.assert_allclose(run(half, lq=pair[0], noise=pair[1]), wanted.numpy(), atol=5e-3)
    assert graph.graph.initializer[0].data_type == onnx.TensorProto.FLOAT, "the original is left alone"


def test_an_older_opset(older: Any, folded: Elir, pair: Pair) -> None:
    onnx.checker.check_model(older, full_check=True)
    assert [o.version for o in older.opset_import if o.domain == ""] == [18]
    with torch.no_grad():
        wanted = folded(pair[0], seeded_noise(64, 64, 4)).clamp(0, 1)
    np.testing.assert_allclose(run(older, lq=pair[0]), wanted.numpy(), atol=1e-4)


def test_weights_that_float16_holds_are_kept() -> None:
    """The converter's own default cuts them off at 10,000, without a word."""
    from onnx import TensorProto, helper, numpy_helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    weight = numpy_helper.from_array(np.array([20_000, -60_000], np.float32), "w")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    half = to_float16(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    (kept,) = half.graph.initializer
    assert kept.data_type == TensorProto.FLOAT16 and numpy_helper.to_array(kept).tolist() == [20_000, -60_000]
