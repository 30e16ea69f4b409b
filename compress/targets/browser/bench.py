"""Artifacts in a browser on this machine, by onnxruntime-web -> ``performance`` entries of results.json."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from compress.errors import InputError, Unavailable
from compress.measure.latency import PROTOCOLS, Mode
from compress.measure.machine import machine_facts, physical_cores
from compress.recipe.schema import DeployTarget
from compress.targets.answers import PageResult
from compress.targets.browser.chromium import PAGES, Content, find_browser, run_page
from compress.targets.browser.onnxruntime_web import runtime_files
from compress.targets.entries import Artifacts, measured, precision_of
from compress.targets.runner.timer import BLOCK, STEADY, WINDOW

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress

EXACT_DB = 100.0  # as over ssh: more cannot be told apart
LEVEL = "graph_optimization_level"
SPARE_S = 300  # for loading, beside what the protocol may take


def bench_browser(
    artifacts: Artifacts,
    target: DeployTarget,
    pictures: "Mapping[str, np.ndarray]",
    mode: Mode,
    progress: "Progress",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Run and time every artifact in a headless Chromium, all interleaved.

    ``pictures``: lq (N, H, W, 3) uint8, noise (N, 16, H/8, W/8) float32, and clean where it is known. Outputs are
    held against ONNX Runtime's on the same inputs. Raises Unavailable without a browser or onnxruntime-web.
    """
    assert target.browser is not None
    program = find_browser(target.browser.program)
    threads = target.threads or physical_cores()
    lq, noise = _inputs(pictures)
    facts = machine_facts()
    contents: dict[str, Content] = {
        **runtime_files(progress),
        "index.html": PAGES / "bench.html",
        **{name: PAGES / name for name in ("bench.js", "bench_worker.js", "runtime.js")},
        **{f"{name}.onnx": path for name, (path, _) in artifacts.items()},
        "nothing.onnx": nothing(),
        "lq.bin": lq.tobytes(),
        "noise.bin": noise.tobytes(),
        "job.json": json.dumps(_job(artifacts, target, (lq, noise), mode, seed, threads)).encode(),
    }
    protocol = PROTOCOLS[mode]
    limit_s = SPARE_S + len(artifacts) * 3 * (protocol.max_s + protocol.warmup_s) + target.measuring.cooldown_s
    with progress.stage(f"measure {target.name}") as stage:
        posted = run_page(contents, program, limit_s, stage.note)
    try:
        result = PageResult.model_validate_json(posted["result"])
    except (KeyError, ValidationError):
        raise Unavailable("browser: what the page measured cannot be read: try again, then report it") from None
    accuracy = _accuracy(posted, artifacts, (lq, noise), pictures.get("clean"), threads)
    others = {
        name: {
            "first_inference_ms": round(result.cold[name].first_inference_ms, 2),
            "load_ms": round(result.cold[name].load_ms, 2),
            "peak_rss_mb": None,
            "threads": threads,
            "protocol": mode,
            "runtime": _facts(result, name),
            "machine": facts,
            "accuracy": accuracy[name],
        }
        for name in artifacts
    }
    return measured(target, result.warm, others, seed)


def nothing() -> bytes:
    """An ONNX model that does nothing, to start the runtime with."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "nothing", [x], [y])
    return bytes(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    )


def _inputs(pictures: "Mapping[str, np.ndarray]") -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    from compress.data.pictures import to_float

    return to_float(list(pictures["lq"])), np.ascontiguousarray(pictures["noise"], np.float32)


def _job(
    artifacts: Artifacts, target: DeployTarget, inputs: "tuple[np.ndarray, ...]", mode: Mode, seed: int, threads: int
) -> dict[str, Any]:
    unknown = sorted(target.options.keys() - {LEVEL})
    if unknown:
        raise InputError(f"target {target.name}: option {unknown[0]}: unknown to onnxruntime-web: give {LEVEL}")
    protocol = asdict(PROTOCOLS[mode])
    protocol["warmup_s"] = target.measuring.warmup_s or protocol["warmup_s"]
    shapes = {name: [1, *array.shape[1:]] for name, array in zip(("lq", "noise"), inputs, strict=True)}
    return {
        "artifacts": [{"id": name, "url": f"{name}.onnx"} for name in artifacts],
        "inputs": shapes,
        "pictures": len(inputs[0]),
        "threads": threads,
        "options": {"graphOptimizationLevel": target.options.get(LEVEL, "all")},
        "protocol": {**protocol, "block": BLOCK, "window": WINDOW, "steady": STEADY},
        "cooldown_s": target.measuring.cooldown_s,
        "seed": seed,
    }


def _facts(result: PageResult, name: str) -> dict[str, Any]:
    cold, version = result.cold[name], re.search(r"(?:Chrome|Edg)/[\d.]+", result.browser)
    return {
        "onnxruntime-web": cold.version,
        "browser": version[0] if version else result.browser,
        "wasm_memory_mb": round(cold.wasm_memory_mb, 1),
    }


def _accuracy(
    posted: Mapping[str, Any],
    artifacts: Artifacts,
    inputs: "tuple[np.ndarray, np.ndarray]",
    clean: "np.ndarray | None",
    threads: int,
) -> dict[str, dict[str, Any]]:
    """As over ssh: psnr_db, fidelity_db, parity_db, of 8-bit pictures; ``parity_float_db`` and the largest difference
    are of the outputs as they are, in [0, 1]. Parity is with ONNX Runtime on the same inputs."""
    import numpy as np

    from compress.artifacts.runtime.open import open_runner
    from compress.data.pictures import to_uint8

    lq, noise = inputs
    count = len(lq)
    found: dict[str, dict[str, Any]] = {}
    eight: dict[str, np.ndarray] = {}
    for name, (path, _) in artifacts.items():
        outputs = [np.frombuffer(posted[f"output/{name}/{i}"], np.float32).reshape(lq[:1].shape) for i in range(count)]
        runner = open_runner(path, "onnx", threads)
        native = [runner.run(lq[i : i + 1], noise[i : i + 1]) for i in range(count)]
        eight[name] = np.stack([to_uint8(output[0]) for output in outputs])
        found[name] = {
            "n": count,
            "psnr_db": _mean_psnr(eight[name], clean),
            "fidelity_db": None,
            "parity_db": _mean_psnr(eight[name], np.stack([to_uint8(output[0]) for output in native])),
            "parity_float_db": _mean_psnr(np.concatenate(outputs), np.concatenate(native), 1.0),
            "largest_difference": round(float(np.abs(np.concatenate(outputs) - np.concatenate(native)).max()), 6),
        }
    fp32 = next((name for name in artifacts if precision_of(name) == "fp32"), None)
    for name in artifacts:
        if fp32 not in (None, name):
            found[name]["fidelity_db"] = _mean_psnr(eight[name], eight[str(fp32)])
    return found


def _mean_psnr(a: "np.ndarray", b: "np.ndarray | None", peak: float = 255.0) -> float | None:
    import numpy as np

    if b is None or a.shape != b.shape:
        return None
    errors = ((a.astype(np.float64) - b) ** 2).reshape(len(a), -1).mean(1)
    exact = peak**2 / 10 ** (EXACT_DB / 10)
    return round(float(np.mean(10 * np.log10(peak**2 / np.maximum(errors, exact)))), 4)
