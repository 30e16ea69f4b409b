"""Artifacts through a vendor's compiler or parser -> ``performance`` entries of evidence estimated or parsed."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.benching import EMPTY, Artifacts, precision_of
from compress.errors import CompressError
from compress.schema import DeployTarget

if TYPE_CHECKING:
    from compress.progress import Progress
from compress.python_process import python_command, python_environment

PARSE_S = 900
PARSER = Path(__file__).parent / "targets" / "tensorrt_parse.py"


def bench_compiled(artifacts: Artifacts, target: DeployTarget, progress: "Progress") -> list[dict[str, Any]]:
    """Compile every artifact for the target's Intel NPU.

    ``accepted``, ``blob_bytes`` and ``estimate`` (compress.targets.npu_compiler), with ``speedup_vs_fp16`` by the
    estimates; a refused artifact has ``why``, the compiler's error, and evidence unavailable.
    """
    from compress.targets.npu_compiler import Compiled, compile_for
    from compress.tools.intel_npu_compiler import IntelNpuCompiler

    assert target.compiler is not None
    tool = IntelNpuCompiler()
    tool.require()
    found: dict[str, Compiled] = {}
    with progress.stage(f"compile {target.name}", len(artifacts)) as stage:
        for name, (path, _) in artifacts.items():
            stage.note(name)
            found[name] = compile_for(target.compiler.platform, path, tool)
            stage.advance()
    fp16 = next((item.estimate for name, item in found.items() if precision_of(name) == "fp16" and item.estimate), None)
    return [_compiled(name, item, target, fp16) for name, item in found.items()]


def _compiled(name: str, item: Any, target: DeployTarget, fp16: dict[str, Any] | None) -> dict[str, Any]:
    assert target.compiler is not None
    common = {"artifact": name, "target": target.name}
    facts = {"accepted": item.error is None, "machine": {"cpu": f"{target.compiler.platform}, by Intel's compiler"}}
    if item.estimate is None:
        why = f"target {target.name}: {name}: the compiler refuses it: {item.error}"
        return {**common, "evidence": "unavailable", **EMPTY, **facts, "why": why}
    estimate = dict(item.estimate)
    if fp16 is not None and precision_of(name) == "int8":
        estimate["speedup_vs_fp16"] = round(fp16["latency_ms"] / estimate["latency_ms"], 3)
    return {**common, "evidence": "estimated", **EMPTY, **facts, "blob_bytes": item.blob_bytes, "estimate": estimate}


def bench_parsed(artifacts: Artifacts, target: DeployTarget, progress: "Progress") -> list[dict[str, Any]]:
    """Show every artifact to TensorRT-RTX's ONNX parser, and to the checks that need none (``lint``).

    ``accepted``, ``parser`` (``version``, ``layers`` by type); a refused artifact has ``why`` and evidence unavailable.
    """
    from compress.measure.qdq import lint
    from compress.tools.tensorrt_rtx import TensorrtRtx

    tool = TensorrtRtx()
    tool.require()
    entries = []
    with progress.stage(f"parse {target.name}", len(artifacts)) as stage:
        for name, (path, _) in artifacts.items():
            stage.note(name)
            entries.append(_parsed(name, target, lint(path), _parse(path, tool.site)))
            stage.advance()
    return entries


def _parse(path: Path, site: Path) -> dict[str, Any]:
    command = python_command(str(PARSER), str(path))
    try:
        done = subprocess.run(command, capture_output=True, env=python_environment(site), timeout=PARSE_S)
    except subprocess.TimeoutExpired:
        raise CompressError(f"{path}: TensorRT-RTX's parser was not done after {PARSE_S} s") from None
    if done.returncode:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1][:200]
        raise CompressError(f"{path}: TensorRT-RTX's parser ended with {done.returncode} ({last})")
    return dict(json.loads(done.stdout))


def _parsed(name: str, target: DeployTarget, breaches: list[str], found: dict[str, Any]) -> dict[str, Any]:
    errors = found["errors"] or ["no message"]
    common = {"artifact": name, "target": target.name}
    facts = {
        "accepted": found["accepted"],
        "lint": breaches,
        "parser": {"tensorrt_rtx": found["version"], "layers": found["layers"]},
        "machine": {"cpu": "none: parsed by TensorRT-RTX"},
    }
    if found["accepted"]:
        return {**common, "evidence": "parsed", **EMPTY, **facts}
    why = f"target {target.name}: {name}: the parser refuses it: {errors[0][:300]}"
    return {**common, "evidence": "unavailable", **EMPTY, **facts, "why": why}
