"""Artifacts through Intel's NPU compiler -> ``performance`` entries of evidence estimated."""

from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact
from compress.results.machine import Machine
from compress.results.performance import Performance
from compress.targets.entries import Bench

if TYPE_CHECKING:
    from compress.targets.npu.compiler import Compilation


def bench_compiled(bench: Bench) -> list[Performance]:
    """Compile every artifact for the target's Intel NPU.

    ``accepted``, ``blob_bytes`` and ``estimate`` (compress.targets.npu.compiler), with ``speedup_vs_fp16`` by the
    estimates; a refused artifact has ``why``, the compiler's error, and evidence unavailable.
    """
    from compress.targets.npu.compiler import compile_for
    from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

    assert bench.target.compiler is not None
    tool = IntelNpuCompiler()
    tool.require()
    platform = bench.target.compiler.platform
    compilations = bench.each("compile", lambda artifact, path, _: compile_for(platform, path, tool))
    floats = (item.estimate for artifact, item in compilations.items() if artifact.precision == "fp16")
    fp16_ms = next((estimate.latency_ms for estimate in floats if estimate), None)
    return [_compiled(bench, artifact, item, fp16_ms) for artifact, item in compilations.items()]


def _compiled(bench: Bench, artifact: Artifact, compilation: "Compilation", fp16_ms: float | None) -> Performance:
    assert bench.target.compiler is not None
    machine = Machine(cpu=f"{bench.target.compiler.platform}, by Intel's compiler")
    if compilation.estimate is None:
        return bench.refused(artifact, "compiler", compilation.error or "no message", machine=machine)
    estimate = compilation.estimate
    if fp16_ms is not None and estimate.latency_ms and artifact.precision == "int8":
        estimate = estimate.model_copy(update={"speedup_vs_fp16": round(fp16_ms / estimate.latency_ms, 3)})
    facts = {"machine": machine, "blob_bytes": compilation.blob_bytes, "estimate": estimate}
    return bench.entry(artifact, "estimated", accepted=True, **facts)
