"""Weights of several files in one: nothing twice, what the files compute unchanged."""

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.artifacts.export.shared_weights import ALIGNED, share_weights
from compress.artifacts.inspect.external_data import external_data, files_beside, weights_of

RNG = np.random.default_rng(0)
COMMON, SMALL = RNG.standard_normal((64, 64)).astype(np.float32), np.ones(4, np.float32)


def graph(own: np.ndarray) -> onnx.ModelProto:
    """y = x COMMON + own + SMALL[0]."""
    nodes = [
        helper.make_node("MatMul", ["x", "common"], ["a"]),
        helper.make_node("Add", ["a", "own"], ["b"]),
        helper.make_node("Gather", ["small", "zero"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    values = {"common": COMMON, "own": own, "small": SMALL, "zero": np.int64(0)}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy")
    made = helper.make_graph(
        nodes, "g", [x], [y], [numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()]
    )
    return helper.make_model(made, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


OWN = [RNG.standard_normal((1, 64)).astype(np.float32) for _ in range(3)]


def wanted(x: np.ndarray, own: np.ndarray) -> np.ndarray:
    return x @ COMMON + own + 1


@pytest.fixture()
def x() -> np.ndarray:
    return RNG.standard_normal((1, 64)).astype(np.float32)


def test_onnx(tmp_path: Path, x: np.ndarray) -> None:
    import onnxruntime

    entries = [tmp_path / name for name in ("model.onnx", "model_64x96.onnx", "model_96x64.onnx")]
    for entry, own in zip(entries, OWN, strict=True):
        onnx.save(graph(own), entry)
    share_weights(entries, "onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"model.data", *(entry.name for entry in entries)}
    assert (tmp_path / "model.data").read_bytes() == COMMON.tobytes()
    for entry, own in zip(entries, OWN, strict=True):
        assert external_data(entry.read_bytes()) == {"model.data"}
        assert files_beside(entry, "onnx") == {"model.data": tmp_path / "model.data"}
        session = onnxruntime.InferenceSession(entry, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted(x, own), rtol=1e-4, atol=1e-4)


def test_openvino(tmp_path: Path, x: np.ndarray) -> None:
    entries = [tmp_path / name for name in ("model.xml", "model_64x96.xml", "model_96x64.xml")]
    for entry, own in zip(entries, OWN, strict=True):
        onnx.save(graph(own), tmp_path / "m.onnx")
        ov.save_model(ov.convert_model(tmp_path / "m.onnx"), entry, compress_to_fp16=False)
    (tmp_path / "m.onnx").unlink()
    first, data = entries[0].read_text(), entries[0].with_suffix(".bin").read_bytes()
    share_weights(entries, "openvino")
    assert {path.name for path in tmp_path.iterdir()} == {"model.bin", *(entry.name for entry in entries)}
    shared = (tmp_path / "model.bin").read_bytes()
    # The first one's files stay as they are, but for what is added for the others.
    assert entries[0].read_text() == first and shared.startswith(data)
    assert len(shared) < len(data) + 2 * (64 * 4 + ALIGNED)
    for entry, own in zip(entries, OWN, strict=True):
        assert weights_of(entry) == tmp_path / "model.bin"
        model = ov.Core().read_model(entry, weights_of(entry))
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        np.testing.assert_allclose(compiled(x)[0], wanted(x, own), rtol=1e-4, atol=1e-4)
