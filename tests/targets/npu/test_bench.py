"""Entries of what Intel's compiler estimates, on a stand-in that prints as it does."""

import json
import sys
from pathlib import Path

import pytest

from compress.artifacts.artifact import Artifact
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.validation import load_model
from compress.targets.entries import Bench
from compress.targets.npu.bench import bench_compiled
from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

CODE = """
import json, pathlib, sys
name = pathlib.Path(sys.argv[1]).stem
if name == "fp32":
    print("npuc error Upper bounds are not specified"); sys.exit()
statistics = {f"{key} duration": 1000.0 for key in ("DPU", "DMA", "SW")}
statistics["total duration"] = {"fp16": 6000.0, "int8": 4000.0}[name]
trace = {"traceEvents": [], "taskStatistics": statistics, "workpoint": {"freq": 1850.0}}
pathlib.Path("compileTimeScheduleTrace.json").write_text(json.dumps(trace))
pathlib.Path(sys.argv[2]).write_bytes(b"12345")
print("npuc ok 12")
"""


def test_int8_is_compared_with_fp16_by_the_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IntelNpuCompiler, "require", lambda self: None)
    monkeypatch.setattr(IntelNpuCompiler, "command", [sys.executable, "-c", CODE])
    monkeypatch.setattr(IntelNpuCompiler, "environment", {})
    target = load_model(DeployTarget, find("targets", "intel-npu-4000"))
    artifacts = {
        Artifact("openvino", precision): tmp_path / f"{precision}.xml" for precision in ("fp32", "fp16", "int8")
    }
    entries = bench_compiled(Bench(artifacts, target, {}, "quick", Progress("silent")))
    fp32, fp16, int8 = (json.loads(json.dumps(entry.to_json(), allow_nan=False)) for entry in entries)
    assert (fp32["evidence"], fp32["accepted"]) == ("unavailable", False)
    assert (
        fp32["why"] == "target intel-npu-4000: openvino-fp32: the compiler refuses it: Upper bounds are not specified"
    )
    assert (fp16["evidence"], fp16["blob_bytes"], fp16["latency_ms"]) == ("estimated", 5, None)
    assert fp16["estimate"]["latency_ms"] == 6 and "speedup_vs_fp16" not in fp16["estimate"]
    assert int8["estimate"]["speedup_vs_fp16"] == 1.5 and int8["machine"] == {"cpu": "NPU4000, by Intel's compiler"}
