"""Artifacts through Intel's NPU compiler -> ``performance`` entries of evidence estimated."""

from typing import TYPE_CHECKING, Any

from compress.recipe.schema import DeployTarget
from compress.targets.entries import EMPTY, Artifacts, precision_of

if TYPE_CHECKING:
    from compress.progress import Progress


def bench_compiled(artifacts: Artifacts, target: DeployTarget, progress: "Progress") -> list[dict[str, Any]]:
    """Compile every artifact for the target's Intel NPU.

    ``accepted``, ``blob_bytes`` and ``estimate`` (compress.targets.npu.compiler), with ``speedup_vs_fp16`` by the
    estimates; a refused artifact has ``why``, the compiler's error, and evidence unavailable.
    """
    from compress.targets.npu.compiler import Compilation, compile_for
    from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

    assert target.compiler is not None
    tool = IntelNpuCompiler()
    tool.require()
    found: dict[str, Compilation] = {}
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
