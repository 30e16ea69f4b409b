"""``performance`` entries of results.json: what each holds, and speedups between artifacts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import InputError
from compress.measure.latency import Latency, speedup
from compress.recipe.schema import QUANTIZED, DeployTarget, KernelPrecision, Precision

if TYPE_CHECKING:
    import numpy as np

    from compress.targets.answers import Timed

Artifacts = Mapping[str, tuple[Path, str]]
"""id ("openvino-int8") -> (entry file, format)."""

EMPTY = dict.fromkeys(("latency_ms", "first_inference_ms", "load_ms", "peak_rss_mb", "throughput", "speedup_vs"))
"""What an entry holds where nothing was timed."""

Pictures = Mapping[str, "np.ndarray"]
"""lq (N, H, W, 3) uint8, noise (N, 16, H/8, W/8) float32; for accuracy also clean, output-<artifact> of here, and of
the first pictures simulated-<artifact>: what the torch model with the artifact's scheme makes of them."""

FLOATS: tuple[Precision, ...] = ("fp32", "fp16")


def measured(
    target: DeployTarget, timed: Mapping[str, "Timed"], others: Mapping[str, dict[str, Any]], seed: int
) -> list[dict[str, Any]]:
    """``performance`` entries of what ran. ``timed``: its samples, by artifact; ``others``: the rest of each entry
    (first inference, load, memory, threads, protocol, runtime, machine, and what only this target has).
    """
    latencies = {name: Latency(tuple(item.samples), item.warmup) for name, item in timed.items()}
    return [
        {
            "artifact": name,
            "target": target.name,
            "evidence": "measured",
            "latency_ms": latency.to_json(),
            "throughput": round(1000 / latency.mean, 4),
            "speedup_vs": speedups(name, latencies, seed),
            **others[name],
        }
        for name, latency in latencies.items()
    ]


def precision_of(artifact: str) -> Precision:
    """Precision told by an artifact's id. Raises InputError when it tells none."""
    for precision in (*FLOATS, *QUANTIZED):
        if precision in artifact.split("-"):
            return precision  # type: ignore[return-value]
    raise InputError(f"artifact {artifact}: its id tells no precision: name it <format>-<fp32|fp16|int8|weights>")


def kernels_of(artifact: str) -> KernelPrecision:
    """What an artifact is computed in, told by its id: where only weights are rounded, fp32."""
    precision = precision_of(artifact)
    return "fp32" if precision == "weights" else precision


def speedups(name: str, latencies: Mapping[str, Latency], seed: int = 0) -> dict[str, Any]:
    """Speedup of ``name`` against the fp32 artifact and, if it is no float itself, the fastest float one.

    Each is {value, low, high}, with ``artifact`` for the latter, or None where there is nothing to compare with.
    """
    floats = {key: latency for key, latency in latencies.items() if precision_of(key) in FLOATS}
    fp32 = next((key for key in floats if precision_of(key) == "fp32"), None)
    best = min(floats, key=lambda key: floats[key].p50, default=None)
    result: dict[str, Any] = {"fp32": None, "best_float": None}
    if fp32 and fp32 != name:
        result["fp32"] = speedup(latencies[fp32], latencies[name], seed).to_json()
    if best and name not in floats:
        result["best_float"] = {**speedup(latencies[best], latencies[name], seed).to_json(), "artifact": best}
    return result
