"""Artifacts through Intel's NPU compiler: accepted or its error, and what its cost model says."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from compress.errors import VerificationError
from compress.results.performance import Estimate, EstimatedLayer
from compress.results.section import first_mistake
from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler
from compress.targets.tools.packages import run
from compress.text import one_line

TRACE = "compileTimeScheduleTrace.json"
MODE = "NPU_COMPILATION_MODE_PARAMS=enable-schedule-trace=true dump-task-stats=true"
ENGINES = {"DPU time": "dpu", "DMA time": "dma", "SW time": "software", "Shave time": "software"}
UNITS_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
INT8 = re.compile(r"x[us]?i8\b")
LONGEST = 20
READS = "Input tensors"


@dataclass(frozen=True)
class Compilation:
    """What the compiler answered about one artifact. ``error``: why it refused; the rest is then empty."""

    error: str | None
    blob_bytes: int | None = None
    estimate: Estimate | None = None


def compile_for(platform: str, model: Path, tool: IntelNpuCompiler) -> Compilation:
    """Compile an OpenVINO IR for an NPU ``platform`` (NPU4000).

    ``estimate``: the compiler's own cost model: ``latency_ms``, ``frequency_mhz``, ``busy_ms`` of each engine,
    ``int8_share`` of the matrix engine's time, ``layers`` (the longest, and ``layer_types``, ms of engine time).
    Raises CompressError when the compiler ends without an answer.
    """
    settings = [f"NPU_PLATFORM={platform}", "NPU_COMPILER_TYPE=PLUGIN", "LOG_LEVEL=LOG_INFO", MODE]
    with tempfile.TemporaryDirectory(prefix="compress-npu-") as folder:
        command = [*tool.command, str(model.absolute()), "model.blob", *settings]
        text = run(command, f"compile for {platform}", tool.environment, Path(folder), succeeds=False)
        answers = re.findall(r"^npuc (ok|error) ?(.*)$", text, re.MULTILINE)
        if not answers:
            last = (text.strip().splitlines() or ["no message"])[-1][:200]
            raise VerificationError(f"compile for {platform}: the compiler ended without an answer ({last})")
        if answers[-1][0] == "error":
            return Compilation(shortened(answers[-1][1]))
        size = (Path(folder) / "model.blob").stat().st_size
        version = re.search(r"VCL Compiler Properties: ID: (\S+?),", text)
        try:  # names and numbers in it are the artifact's, which may be a stranger's
            trace = Trace.model_validate_json((Path(folder) / TRACE).read_bytes())
            figures = estimate(trace, version[1] if version else None)
        except (OSError, ValueError, LookupError) as error:
            why = first_mistake(error) if isinstance(error, ValidationError) else one_line(str(error))
            raise VerificationError(f"compile for {platform}: the compiler's trace is of no use ({why})") from None
    return Compilation(None, size, figures)


def shortened(error: str) -> str:
    """The telling end of OpenVINO's nested error messages."""
    parts = [
        part.strip() for part in re.split(r"Exception from \S+ |Check '.*?' failed at \S+ ?", error) if part.strip()
    ]
    return " ".join((parts[-1] if parts else error).split())[:400]


class Event(BaseModel):
    """One bar of the trace; ``dur`` in us."""

    name: str = ""
    ph: str = ""
    cat: str = ""
    dur: float = 0
    args: dict[str, str | int | float | bool | None] = {}

    def text(self, key: str) -> str:
        """An argument as text; "" where there is none."""
        return str(self.args.get(key, ""))


class Workpoint(BaseModel):
    """``freq`` in MHz."""

    freq: float


class Trace(BaseModel):
    """The compiler's schedule trace, as far as it is read; ``taskStatistics`` in us."""

    traceEvents: list[Event]
    taskStatistics: dict[str, float]
    workpoint: Workpoint


def estimate(trace: Trace, compiler: str | None = None) -> Estimate:
    """The figures of a schedule trace; times in ms."""
    events = [event for event in trace.traceEvents if event.ph == "X"]
    statistics, layers = trace.taskStatistics, [_layer(e) for e in events if e.cat == "Layer"]
    types: dict[str, float] = {}
    for layer in layers:
        types[layer.type] = types.get(layer.type, 0.0) + layer.ms
    return Estimate(
        compiler=compiler,
        latency_ms=round(statistics["total duration"] / 1e3, 4),
        frequency_mhz=trace.workpoint.freq,
        busy_ms={name: round(statistics[f"{key} duration"] / 1e3, 4) for name, key in _BUSY.items()},
        int8_share=int8_share(events),
        layer_types={name: round(ms, 4) for name, ms in sorted(types.items(), key=lambda item: -item[1])},
        layers=sorted(layers, key=lambda layer: -layer.ms)[:LONGEST],
    )


_BUSY = {"dpu": "DPU", "dma": "DMA", "software": "SW"}


def int8_share(events: list[Event]) -> float | None:
    """Share of the matrix engine's (DPU) time whose tasks read int8 tensors; None without such tasks."""
    matrix = [event for event in events if event.cat == "DPU" and READS in event.args]
    tasks = [(event.dur, bool(INT8.search(event.text(READS)))) for event in matrix]
    total = sum(duration for duration, _ in tasks)
    return round(sum(duration for duration, int8 in tasks if int8) / total, 4) if total else None


def _layer(event: Event) -> EstimatedLayer:
    """Engine times are summed over the engine's parts, which work side by side."""
    times = {ENGINES[key]: _ms(event.text(key)) for key in event.args if key in ENGINES}
    kind = event.text("Layer type") or "unknown"
    return EstimatedLayer(layer=event.name, type=kind, ms=round(sum(times.values()), 4), **times)


def _ms(text: str) -> float:
    """ "836us 310ns" -> 0.83631."""
    return round(sum(int(n) * UNITS_MS[unit] for n, unit in re.findall(r"(\d+)\s*(ns|us|ms|s)\b", text)), 6)
