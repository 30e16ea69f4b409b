"""What weights take, read from the files that a runtime reads."""

from typing import Any

import numpy as np
import onnx
import pytest

from compress.artifacts.inspect.weight_bits import stored_weights


@pytest.fixture()
def model() -> Any:
    """Four weights of 60 numbers each, in 4, 8, 16 and 32 bits; a bias, scales and a noise that are none."""
    from openvino import Model, Type
    from openvino import opset13 as ops

    values = np.ones((4, 5, 3, 1))
    weights = [ops.constant(values.astype(np.int8), Type.i4)]
    weights += [ops.constant(values.astype(kind)) for kind in (np.int8, np.float16, np.float32)]
    others = [ops.constant(np.ones(shape, np.float32)) for shape in ((1, 8, 1, 1), (8, 1, 1, 1), (1, 16, 4, 4), (9, 9))]
    return Model([ops.convert(constant, Type.f32) for constant in weights] + others, [])


def test_openvino(model: Any, tmp_path: Any) -> None:
    import openvino

    openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    assert stored_weights([tmp_path / "model.xml"], "openvino") == {"4": 60, "8": 60, "16": 60, "32": 60}


def test_onnx(tmp_path: Any) -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    shapes = {"INT4": (4, 5, 2, 3, 3), "FLOAT": (4, 5, 1, 1, 1), "INT8": (4, 5, 3, 1), "FLOAT16": (1, 4, 3, 3)}
    stored = [
        onnx.numpy_helper.from_array(np.ones(shape, helper.tensor_dtype_to_np_dtype(getattr(kinds, kind))), kind)
        for kind, shape in shapes.items()
    ]
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], stored)), tmp_path / "model.onnx")
    assert stored_weights([tmp_path / "model.onnx"], "onnx") == {"4": 360, "8": 60}


def test_executorch_tells_nothing(tmp_path: Any) -> None:
    assert stored_weights([tmp_path / "model.pte"], "executorch") is None
