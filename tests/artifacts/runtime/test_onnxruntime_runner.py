"""ONNX Runtime: settings in force, unknown ones refused."""

from pathlib import Path

import pytest

from compress.artifacts.runtime.open import open_runner
from compress.errors import InputError

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
