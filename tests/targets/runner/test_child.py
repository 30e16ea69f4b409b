"""An artifact cold, in the runner's own process: one that fails there, or gives another shape, is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from compress.targets.job import INPUTS, Job, JobArtifact
from compress.targets.runner.accuracy import as_picture
from compress.targets.runner.child import cold
from compress.targets.runner.failure import DAMAGED, Failure

SIDE = 64
SHAPES = {"lq": (1, 3, SIDE, SIDE), "noise": (1, 16, SIDE // 8, SIDE // 8)}
NODES = {
    "right": [helper.make_node("Identity", ["lq"], ["hq"])],
    "another every time": [helper.make_node("RandomUniformLike", ["lq"], ["hq"], seed=1.0)],
    "another size": [helper.make_node("Concat", ["lq", "lq"], ["hq"], axis=3)],
    "fewer dimensions": [helper.make_node("ReduceMax", ["lq"], ["hq"], keepdims=0)],
    "text": [helper.make_node("Cast", ["lq"], ["hq"], to=TensorProto.STRING)],
    "an index that is not there": [
        helper.make_node("Cast", ["lq"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "thousand"], ["index"]),
        helper.make_node("Gather", ["lq", "index"], ["hq"], axis=0),
    ],
}


def job(folder: Path, nodes: list[Any], kind: int = TensorProto.FLOAT) -> dict[str, Any]:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in SHAPES.items()]
    stored = [numpy_helper.from_array(np.array(1000, np.int64), "thousand")]
    output = [helper.make_tensor_value_info("hq", kind, None)]
    graph = helper.make_graph(nodes, "g", ports, output, stored)
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    pictures = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    np.savez(folder / INPUTS, lq=pictures, noise=np.zeros((2, *SHAPES["noise"][1:]), np.float32))
    made = Job(artifacts={"it": JobArtifact(entry="model.onnx")}, runtime="onnxruntime", threads=1, outputs=True)
    return dict(json.loads(made.model_dump_json()))


def test_a_right_one_is_measured(tmp_path: Path) -> None:
    result = cold(str(tmp_path), job(tmp_path, NODES["right"]), "it")
    assert result["first_inference_ms"] > 0 and (tmp_path / "output-it.npy").is_file()


def test_a_picture_is_run_once(tmp_path: Path) -> None:
    """A software Vulkan device takes minutes a picture."""
    cold(str(tmp_path), job(tmp_path, NODES["another every time"]), "it")
    session = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    wanted = [as_picture(session.run(None, given)[0]) for _ in range(2)]
    np.testing.assert_array_equal(np.load(tmp_path / "output-it.npy"), wanted)
    assert (wanted[0] != wanted[1]).any()


@pytest.mark.parametrize("how", [name for name in NODES if name not in ("right", "another every time")])
def test_another_is_refused_in_one_line(how: str, tmp_path: Path) -> None:
    kind = TensorProto.STRING if how == "text" else TensorProto.FLOAT
    with pytest.raises(Failure, match=r"^it (gives|fails when it is run) .*: do not use it$") as caught:
        cold(str(tmp_path), job(tmp_path, NODES[how], kind), "it")
    assert caught.value.exit_code == DAMAGED and not (tmp_path / "output-it.npy").exists()
