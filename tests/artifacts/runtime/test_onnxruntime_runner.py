"""ONNX Runtime: settings in force, unknown ones refused."""

from pathlib import Path

import numpy as np
import pytest

from compress.artifacts.runtime.open import open_runner
from compress.errors import InputError, VerificationError

only = pytest.mark.parametrize("format", ["onnx"], indirect=True)


@only
def test_settings_reach_the_runtime(artifact: Path) -> None:
    import onnxruntime as ort

    settings = open_runner(artifact, "onnx", threads=1)._session.get_session_options()  # type: ignore[attr-defined]
    assert settings.intra_op_num_threads == 1
    assert settings.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options = {"graph_optimization_level": "basic", "session.intra_op.allow_spinning": False}
    settings = open_runner(artifact, "onnx", 1, options)._session.get_session_options()  # type: ignore[attr-defined]
    assert settings.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@only
def test_only_the_cpu_is_used(artifact: Path) -> None:
    session = open_runner(artifact, "onnx", threads=1)._session  # type: ignore[attr-defined]
    assert session.get_providers() == ["CPUExecutionProvider"]


@only
def test_unknown_options_are_refused(artifact: Path) -> None:
    with pytest.raises(InputError, match=r"graph_optimization_level must be one of .*basic, disable, got x"):
        open_runner(artifact, "onnx", 1, {"graph_optimization_level": "x"})
    with pytest.raises(InputError, match=r"option threads: unknown to ONNX Runtime"):
        open_runner(artifact, "onnx", 1, {"threads": 2})


@pytest.mark.parametrize("kind", ["STRING", "INT64", "DOUBLE", "BOOL", "FLOAT16"])
def test_an_output_of_another_type_is_refused(kind: str, tmp_path: Path) -> None:
    """What comes next counts on float32: text, of the right shape, failed when it was rounded."""
    from onnx import TensorProto, helper

    to, shape = getattr(TensorProto, kind), [1, 3, 64, 64]
    ports = [helper.make_tensor_value_info("lq", TensorProto.FLOAT, shape)]
    output = [helper.make_tensor_value_info("hq", to, shape)]
    graph = helper.make_graph([helper.make_node("Cast", ["lq"], ["hq"], to=to)], "g", ports, output)
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"artifact gives \w+ \(1, 3, 64, 64\) for lq .*: export it again"):
        open_runner(tmp_path / "m.onnx", "onnx", 1).run(np.zeros(shape, np.float32), None)


def test_errors_are_raised_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime prints a failing node's name as it stands in the file: a terminal would obey it."""
    from onnx import TensorProto, helper, numpy_helper

    size = numpy_helper.from_array(np.array([2**40], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"], name="\x1b]0;title\x07"),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Mul", ["lq", "most"], ["hq"]),
    ]
    lq, hq = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in ("lq", "hq"))
    graph = helper.make_graph(nodes, "g", [lq], [hq], [size])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError) as caught:
        open_runner(tmp_path / "m.onnx", "onnx", 1).run(np.zeros((1, 3, 64, 64), np.float32), None)
    assert str(caught.value).isprintable() and capfd.readouterr() == ("", "")
