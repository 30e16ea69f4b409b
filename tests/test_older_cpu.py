"""The second reading is that of an older CPU: an 8-bit convolution whose sums overflow 16 bits tells the two apart."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.reliability.older_cpu import ENVIRONMENT, NEWER, flags, held, saturates

CHANNELS = 64
X = np.ones((1, CHANNELS, 16, 16), np.float32)


def overflowing() -> Any:
    """ModelProto: x (1, 64, 16, 16) of ones -> y, exactly 1 and -1, by products whose pairs add up to 2 x 255 x 127."""
    weight = np.full((CHANNELS, CHANNELS, 3, 3), 127, np.int8)
    weight[::2] = -127
    values = {
        "w": weight,
        "ws": np.full(CHANNELS, 1 / 127 / CHANNELS / 9, np.float32),
        "wz": np.zeros(CHANNELS, np.int8),
        **{"xs": np.float32(1 / 255), "xz": np.uint8(0), "ys": np.float32(1 / 127), "yz": np.uint8(128)},
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "ys", "yz"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, CHANNELS, s, s]) for n, s in (("x", 16), ("y", 14))]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "overflowing", ends[:1], ends[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check(y: np.ndarray) -> None:
    wanted = np.where(np.arange(CHANNELS) % 2, 1, -1).reshape(1, -1, 1, 1)
    if saturates():
        assert np.abs(y).max() < 0.6, f"up to {np.abs(y).max()}: this reading is not that of a CPU without VNNI"
    else:
        np.testing.assert_allclose(y, np.broadcast_to(wanted, y.shape), atol=1e-6)


@pytest.mark.numerics
def test_onnxruntime(onnxruntime_run: Callable[..., list[np.ndarray]]) -> None:
    check(onnxruntime_run(overflowing(), {"x": X})[0])


@pytest.mark.numerics
def test_openvino(tmp_path: Any) -> None:
    from openvino import Core

    onnx.save(overflowing(), tmp_path / "overflowing.onnx")
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    check(Core().compile_model(tmp_path / "overflowing.onnx", "CPU", settings)([X])[0])


@pytest.mark.numerics
def test_torch_is_held_down_with_them() -> None:
    if held():
        assert torch.backends.cpu.get_cpu_capability() == "AVX2"


def test_the_command_prints_what_the_second_reading_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.older_cpu"], capture_output=True, text=True, check=False
    )
    if flags() & NEWER:
        assert dict(pair.split("=") for pair in done.stdout.split()) == ENVIRONMENT and done.returncode == 0
    else:
        assert (done.stdout, done.returncode) == ("", 3) and "nothing newer than AVX2" in done.stderr
