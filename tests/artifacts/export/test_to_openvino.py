"""OpenVINO IR: reads back, equals torch, weights once, both files whole."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import compress
from compress.artifacts.export.to_openvino import save_openvino, to_openvino
from compress.elir.model import Elir

Pair = tuple[Tensor, Tensor]


def run(path: Path, pair: Pair) -> np.ndarray:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return compiled({"lq": pair[0].numpy(), "noise": pair[1].numpy()})["hq"]


@pytest.fixture()
def saved(graph: Any, tmp_path: Path) -> Path:
    save_openvino(to_openvino(graph), tmp_path / "model.xml")
    return tmp_path / "model.xml"


@pytest.mark.numerics
def test_it_gives_what_torch_gives(saved: Path, pair: Pair, wanted: Tensor) -> None:
    np.testing.assert_allclose(run(saved, pair), wanted.numpy(), atol=1e-4)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model.bin", "model.xml"]


def test_the_interface_is_static(saved: Path) -> None:
    import openvino

    model = openvino.Core().read_model(saved)
    assert {i.get_any_name(): list(i.shape) for i in model.inputs} == {"lq": [1, 3, 64, 64], "noise": [1, 16, 8, 8]}
    assert {o.get_any_name(): list(o.shape) for o in model.outputs} == {"hq": [1, 3, 64, 64]}


def test_weights_of_the_steps_are_stored_once(saved: Path, folded: Elir) -> None:
    numbers = sum({id(p): p.numel() for p in folded.parameters()}.values())
    assert saved.with_suffix(".bin").stat().st_size < 1.03 * 4 * numbers


@pytest.mark.numerics
def test_half_precision_is_half_the_size_and_close(graph: Any, saved: Path, pair: Pair, wanted: Tensor) -> None:
    path = saved.with_name("half.xml")
    save_openvino(to_openvino(graph), path, float16=True)
    assert path.with_suffix(".bin").stat().st_size < 0.51 * saved.with_suffix(".bin").stat().st_size
    np.testing.assert_allclose(run(path, pair), wanted.numpy(), atol=5e-3)


@pytest.mark.numerics
def test_compact_is_smaller_and_the_same_model(graph: Any, saved: Path, pair: Pair) -> None:
    path = saved.with_name("compact.xml")
    save_openvino(to_openvino(graph), path, compact=True)
    assert path.stat().st_size < 0.8 * saved.stat().st_size
    assert np.array_equal(run(path, pair), run(saved, pair))


def test_the_same_model_gives_the_same_bytes_and_no_path(graph: Any, saved: Path) -> None:
    path = saved.with_name("again.xml")
    save_openvino(to_openvino(graph), path)
    for suffix in (".xml", ".bin"):
        assert path.with_suffix(suffix).read_bytes() == saved.with_suffix(suffix).read_bytes()
    text = saved.read_text()
    for place in (str(Path(compress.__file__).parent), "/tmp", "site-packages", "model.onnx"):
        assert place not in text, place


REPORTS = """
import sys
told = []
WATCHED = ("subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")
# A torch for CUDA asks the linker's cache where its libraries lie.
sys.addaudithook(lambda event, args: event in WATCHED and "ldconfig" not in str(args[0]) and told.append(event))
import compress
from compress.artifacts.export.to_openvino import to_openvino
import onnx
import nncf
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
to_openvino(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
print(sorted(set(told)), "openvino_telemetry.main" in sys.modules)
"""


def test_a_conversion_reports_nothing_to_anybody() -> None:
    done = subprocess.run([sys.executable, "-c", REPORTS], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[] False"], done.stdout + done.stderr
