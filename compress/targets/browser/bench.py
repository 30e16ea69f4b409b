"""Artifacts in a browser on this machine, by onnxruntime-web -> ``performance`` entries of results.json."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact
from compress.artifacts.inspect.external_data import files_beside
from compress.errors import InputError, Unavailable, VerificationError
from compress.measure.latency import PROTOCOLS
from compress.measure.machine import machine_facts, physical_cores
from compress.results.performance import Accuracy, Fact, Performance
from compress.targets.answers import PageResult, read_answer
from compress.targets.browser.chromium import PAGES, Content, find_browser, run_page
from compress.targets.browser.onnxruntime_web import runtime_files
from compress.targets.entries import Bench, Pictures
from compress.targets.runner.accuracy import psnr_db
from compress.targets.runner.timer import BLOCK, STEADY, WINDOW

if TYPE_CHECKING:
    import numpy as np

LEVEL = "graph_optimization_level"
SPARE_S = 300  # for loading, beside what the protocol may take


def bench_browser(bench: Bench) -> list[Performance]:
    """Run and time every artifact in a headless Chromium, all interleaved.

    Outputs are held against ONNX Runtime's on the same inputs. Raises Unavailable without a browser or onnxruntime-web.
    """
    target, artifacts = bench.target, bench.artifacts
    assert target.browser is not None
    program = find_browser(target.browser.program)
    threads = target.threads or physical_cores()
    inputs = _inputs(bench.pictures)
    machine = machine_facts()
    contents: dict[str, Content] = {
        **runtime_files(bench.progress),
        "index.html": PAGES / "bench.html",
        **{name: PAGES / name for name in ("bench.js", "bench_worker.js", "runtime.js")},
        **{f"{artifact.id}.onnx": path for artifact, path in artifacts.items()},
        **{url: path for beside in _external(bench).values() for _, url, path in beside},
        "nothing.onnx": nothing(),
        **{f"{name}.bin": values.tobytes() for name, values in inputs.items()},
        "job.json": json.dumps(_job(bench, inputs, threads)).encode(),
    }
    protocol = PROTOCOLS[bench.mode]
    limit_s = SPARE_S + len(artifacts) * 3 * (protocol.max_s + protocol.warmup_s) + target.measuring.cooldown_s
    with bench.progress.stage(f"measure {target.name}") as stage:
        posted = run_page(contents, program, limit_s, stage.note)
    result = _result(posted, artifacts)
    accuracy = _accuracy(posted, bench, inputs, threads)
    rest = {
        artifact: bench.entry(
            artifact,
            "measured",
            first_inference_ms=round(result.cold[artifact.id].first_inference_ms, 2),
            load_ms=round(result.cold[artifact.id].load_ms, 2),
            threads=threads,
            protocol=bench.mode,
            runtime=_facts(result, artifact),
            machine=machine,
            accuracy=accuracy[artifact],
        )
        for artifact in artifacts
    }
    return bench.measured({artifact: result.warm[artifact.id] for artifact in artifacts}, rest)


def _result(posted: Mapping[str, bytes], artifacts: Collection[Artifact]) -> PageResult:
    with suppress(KeyError, ValueError):
        result = read_answer(PageResult, posted["result"])
        ids = {artifact.id for artifact in artifacts}
        if isinstance(result, PageResult) and result.cold.keys() == result.warm.keys() == ids:
            return result
    raise Unavailable("browser: what the page measured cannot be read: try again, then report it")


def nothing() -> bytes:
    """An ONNX model that does nothing, to start the runtime with."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "nothing", [x], [y])
    return bytes(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    )


def _inputs(pictures: Pictures) -> "dict[str, np.ndarray]":
    """Inputs of artifacts for every picture: lq or image, then seed if they take one, then noise."""
    import numpy as np

    from compress.targets.runner.accuracy import picture

    each = [picture(pictures, i) for i in range(len(pictures["noise"]))]
    return {name: np.concatenate([inputs[name] for inputs in each]) for name in each[0]}


def _job(bench: Bench, inputs: "Mapping[str, np.ndarray]", threads: int) -> dict[str, object]:
    target, protocol = bench.target, PROTOCOLS[bench.mode]
    unknown = sorted(target.options.keys() - {LEVEL})
    if unknown:
        raise InputError(f"target {target.name}: option {unknown[0]}: unknown to onnxruntime-web: give {LEVEL}")
    warmup_s = target.measuring.warmup_s or protocol.warmup_s
    ports = {name: {"shape": [1, *values.shape[1:]], "type": str(values.dtype)} for name, values in inputs.items()}
    return {
        "artifacts": [
            {
                "id": artifact.id,
                "url": f"{artifact.id}.onnx",
                "external": [{"path": name, "url": url} for name, url, _ in beside],
            }
            for artifact, beside in _external(bench).items()
        ],
        "inputs": ports,
        "pictures": len(inputs["noise"]),
        "threads": threads,
        "options": {"graphOptimizationLevel": target.options.get(LEVEL, "all")},
        "protocol": {**asdict(protocol), "warmup_s": warmup_s, "block": BLOCK, "window": WINDOW, "steady": STEADY},
        "cooldown_s": target.measuring.cooldown_s,
        "seed": bench.seed,
    }


def _external(bench: Bench) -> dict[Artifact, list[tuple[str, str, Path]]]:
    """Files of weights of each artifact: as the model names them, as the page gets them, and here."""
    return {
        artifact: [
            (name, f"{artifact.id}-{i}.weights", beside)
            for i, (name, beside) in enumerate(sorted(files_beside(path, "onnx").items()))
        ]
        for artifact, path in bench.artifacts.items()
    }


def _facts(result: PageResult, artifact: Artifact) -> dict[str, Fact]:
    cold, version = result.cold[artifact.id], re.search(r"(?:Chrome|Edg)/[\d.]+", result.browser)
    return {
        "onnxruntime-web": cold.version,
        "browser": version[0] if version else result.browser,
        "wasm_memory_mb": round(cold.wasm_memory_mb, 1),
    }


def _accuracy(
    posted: Mapping[str, bytes], bench: Bench, inputs: "Mapping[str, np.ndarray]", threads: int
) -> dict[Artifact, Accuracy]:
    """Accuracy as over ssh: psnr_db, fidelity_db, parity_db, of 8-bit pictures; ``parity_float_db`` and the largest
    difference are of the outputs as they are, in [0, 1]. Parity is with ONNX Runtime on the same inputs."""
    import numpy as np

    from compress.artifacts.runtime.open import open_runner
    from compress.targets.runner.accuracy import as_picture, output_form

    shape, dtype = output_form(dict(inputs), bench.pictures["lq"][0].size)
    given, noise, *_ = inputs.values()
    places = [slice(i, i + 1) for i in range(len(noise))]
    pages: dict[Artifact, list[np.ndarray]] = {}
    native: dict[Artifact, list[np.ndarray]] = {}
    for artifact, path in bench.artifacts.items():
        outputs = [posted.get(f"output/{artifact.id}/{at.start}", b"") for at in places]
        if any(len(values) != np.prod(shape) * np.dtype(dtype).itemsize for values in outputs):
            raise VerificationError(f"{path}: gives pictures of another size in the browser: do not use it")
        pages[artifact] = [np.frombuffer(values, dtype).reshape(shape) for values in outputs]
        runner = open_runner(path, "onnx", threads)
        run = runner.restore if runner.takes_pictures else runner.run
        native[artifact] = [run(given[at], noise[at]) for at in places]
    eight = {artifact: np.stack([as_picture(output) for output in outputs]) for artifact, outputs in pages.items()}
    here = {artifact: np.stack([as_picture(output) for output in outputs]) for artifact, outputs in native.items()}
    fp32, peak = bench.fp32, 255.0 if dtype == "uint8" else 1.0
    return {
        artifact: Accuracy(
            n=len(places),
            psnr_db=_mean_psnr(eight[artifact], bench.pictures.get("clean")),
            fidelity_db=_mean_psnr(eight[artifact], eight[fp32]) if fp32 and fp32 != artifact else None,
            parity_db=_mean_psnr(eight[artifact], here[artifact]),
            parity_float_db=_mean_psnr(np.concatenate(pages[artifact]), np.concatenate(native[artifact]), peak),
            largest_difference=round(_largest(pages[artifact], native[artifact]) / peak, 6),
        )
        for artifact in bench.artifacts
    }


def _mean_psnr(a: "np.ndarray", b: "np.ndarray | None", peak: float = 255.0) -> float | None:
    if b is None or a.shape != b.shape:
        return None
    return round(fmean(psnr_db(x, y, peak) for x, y in zip(a, b, strict=True)), 4)


def _largest(a: "Sequence[np.ndarray]", b: "Sequence[np.ndarray]") -> float:
    """Largest difference of any values, in their own unit."""
    import numpy as np

    return max(float(np.abs(x.astype(np.float32) - y).max()) for x, y in zip(a, b, strict=True))
