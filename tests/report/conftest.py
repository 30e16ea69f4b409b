"""A bundle as `compress apply` leaves it, from the documented schema: plausible figures, real pictures."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from compress.artifacts.artifact import ENTRY
from compress.results.document import Results

FORMATS = ("openvino", "onnx", "executorch")
PRECISIONS = ("fp32", "fp16", "int8")
SETS = {"photos_validation": (20, 26.31, 0.2210), "set14": (12, 25.02, 0.2355), "kodak": (24, 25.87, 0.2114)}
LATENCY = {
    "openvino": (1184.0, 1190.0, 571.0),
    "onnx": (1302.0, 1410.0, 803.0),
    "executorch": (2210.0, None, 961.0),
}
PICTURES = (("coffee", 0.07), ("chelsea", 0.02), ("astronaut", -0.03), ("rocket", -0.06))
NOISE = {"fp32": 0.0, "fp16": 0.2, "int8": 2.2}


def _artifacts() -> list[dict[str, Any]]:
    result = []
    for name in FORMATS:
        for precision, ratio in zip(PRECISIONS, (1.0, 0.502, 0.264), strict=True):
            result.append({
                "id": f"{name}-{precision}", "format": name, "precision": precision,
                "entry": f"{precision}/{name}/{ENTRY[name]}", "files": [], "bytes": int(36_400_000 * ratio),
                "size_ratio": ratio, "sha256": "5b" * 32, "engine": "elir" if precision == "int8" else None,
            })  # fmt: skip
    extra = {**result[5], "id": "onnx-int8-tensorrt", "bytes": 9_511_000, "entry": "int8/onnx/model_tensorrt.onnx"}
    return [*result, extra]


def _quality(artifact: dict[str, Any], dataset: str, step: int) -> dict[str, Any]:
    n, psnr, lpips = SETS[dataset]
    drop = {"fp32": 0.0, "fp16": 0.001, "int8": 0.031 + 0.007 * step}[artifact["precision"]]
    float32 = artifact["precision"] == "fp32"
    return {
        "artifact": artifact["id"], "dataset": dataset, "n": n,
        "psnr_db": psnr - drop, "psnr_y_db": psnr + 1.4 - drop, "ssim": 0.7412 - drop / 50,
        "lpips": lpips + drop / 20, "color_shift": 0.42 + drop,
        "psnr_drop_db": None if float32 else drop, "ssim_drop": None if float32 else drop / 50,
        "lpips_rise": None if float32 else drop / 20, "color_shift_vs_fp32": None if float32 else drop * 4,
        "fidelity_db": {"fp32": None, "fp16": 62.4, "int8": 41.2 - 0.9 * step}[artifact["precision"]],
        "pictures": [{"name": name, "lpips": lpips + gap, "psnr_db": psnr - 10 * gap} for name, gap in PICTURES],
    }  # fmt: skip


def _performance(artifact: dict[str, Any]) -> dict[str, Any]:
    name, precision = artifact["format"], artifact["precision"]
    row = {"artifact": artifact["id"], "target": "cpu_local", "threads": 2, "protocol": "quick"}
    p50 = LATENCY[name][PRECISIONS.index(precision)]
    keys = ("latency_ms", "first_inference_ms", "load_ms", "peak_rss_mb", "throughput", "speedup_vs")
    if p50 is None or artifact["id"].endswith("tensorrt"):
        return {**row, "evidence": "unavailable", **dict.fromkeys(keys)}
    ratio = LATENCY[name][0] / p50
    band = {"value": ratio, "low": ratio * 0.97, "high": ratio * 1.03}
    against = None if precision == "fp32" else band
    return {
        **row, "evidence": "measured",
        "latency_ms": {"p50": p50, "p90": None, "mean": p50 * 1.01, "n": 22, "warmup": 4},
        "first_inference_ms": p50 * 1.3, "load_ms": 310.5, "peak_rss_mb": 812.0, "throughput": 1000 / p50,
        "speedup_vs": {"fp32": against, "best_float": {**band, "artifact": f"{name}-fp32"} if against else None},
    }  # fmt: skip


def _goals(quality: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bounds = {"psnr_drop_db": 0.05, "lpips_rise": 0.005, "fidelity_db": 39.5}
    goals = []
    for row in quality:
        if not row["artifact"].endswith("int8"):
            continue
        for goal, bound in bounds.items():
            met = row[goal] >= bound if goal == "fidelity_db" else row[goal] <= bound
            held = {"artifact": row["artifact"], "dataset": row["dataset"], "value": row[goal], "met": met}
            goals.append({"goal": goal, "bound": bound, **held})
    for name, bound in zip(FORMATS, (1.8, 1.5, 2.0), strict=True):
        value = LATENCY[name][0] / LATENCY[name][2]
        speed = {"goal": "speedup", "bound": bound, "value": value, "met": value >= bound}
        size = {"goal": "size_ratio", "bound": 0.27, "value": 0.264, "met": True}
        goals += [{**goal, "artifact": f"{name}-int8", "dataset": None} for goal in (size, speed)]
    return goals


def _stages() -> list[dict[str, Any]]:
    names = ("latent", "mmse", "step_1", "step_2", "step_3", "output")
    figures = {
        "free_running": (33.1, 28.4, 27.9, 27.2, 26.6, 27.8),
        "teacher_forced": (33.1, 34.0, 41.2, 40.7, 40.1, 36.0),
    }
    return [
        {"precision": "int8", "mode": mode, "stage": stage, "sqnr_db": value}
        for mode, values in figures.items()
        for stage, value in zip(names, values, strict=True)
    ]


def _layers() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"layer": f"{stage}.layers.{i}.conv.0", "stage": stage, "sqnr_db": round(float(rng.normal(36, 5)), 2)}
        for stage in ("enc", "mmse", "fmir", "dec")
        for i in range(15)
    ]


def _noisy(picture: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


def _samples(bundle: Path, side: int) -> list[dict[str, Any]]:
    (bundle / "samples").mkdir(exist_ok=True)
    crops = {"astronaut": data.astronaut()[20 : 20 + side, 120 : 120 + side],
             "coffee": data.coffee()[100 : 100 + side, 160 : 160 + side]}  # fmt: skip
    samples = []
    for name, clean in crops.items():
        picture = Image.fromarray(np.ascontiguousarray(clean))
        width, height = picture.size
        small = picture.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        versions = {"clean": clean, "degraded": np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))}
        restored = _noisy(np.asarray(picture.reduce(2).resize((width, height), Image.Resampling.BICUBIC)), 1.0, 7)
        outputs = {}
        for step, format_name in enumerate(FORMATS):
            for precision in PRECISIONS:
                key = f"{format_name}-{precision}"
                versions[key] = _noisy(restored, NOISE[precision], step)
                outputs[key] = f"samples/{name}_{key}.png"
        for key, pixels in versions.items():
            Image.fromarray(pixels).save(bundle / "samples" / f"{name}_{key}.png")
        files = {key: f"samples/{name}_{key}.png" for key in ("degraded", "clean")}
        samples.append({"name": name, **files, "outputs": outputs})
    return samples


def make_results() -> dict[str, Any]:
    """results.json without pictures: one goal missed, one artifact that did not run."""
    artifacts = _artifacts()
    quality = [
        _quality(item, dataset, FORMATS.index(item["format"]))
        for dataset in SETS
        for item in artifacts
        if not item["id"].endswith("tensorrt")
    ]
    scores = {"psnr_db": 26.8, "psnr_y_db": 28.2, "ssim": 0.752, "lpips": 0.459, "color_shift": 0.31}
    goals = _goals(quality)
    return {
        "schema_version": 1, "name": "int8_sr", "task": "sr_x4", "created": "2025-03-04T10:20:30+00:00",
        "versions": {"compress": "0.1.0", "openvino": "2026.0", "onnxruntime": "1.24", "torch": "2.13"},
        "machine": {"cpu": "Example CPU at 2.6 GHz", "cores": 2, "features": ["avx2", "fma"], "memory_gb": 8,
                    "os": "Linux 6.1"},
        "artifacts": artifacts, "quality": quality,
        "baselines": [{"name": "bicubic", "dataset": name, "n": SETS[name][0], **scores} for name in SETS],
        "performance": [_performance(item) for item in artifacts],
        "parity": [
            {"artifact": f"{name}-{precision}", "against": f"{source}-{precision}", "psnr_db": value, "n": 2,
             "goal": goal, "met": None if goal is None else value >= goal}
            for name in FORMATS
            for precision, source, value, goal in (("fp32", "torch", 91.3, 60.0), ("int8", "simulated", 52.1, None))
        ],
        "stages": _stages(), "layers": _layers(), "goals": goals,
        "goals_met": all(goal["met"] for goal in goals), "samples": [],
    }  # fmt: skip


def make_manifest() -> dict[str, Any]:
    return {
        "schema_version": 1, "created": "2025-03-04T10:20:30+00:00",
        "recipe": {"version": 1, "name": "int8_sr",
                   "model": {"task": "sr_x4", "weights": "elir_sr_x4", "image_size": 256, "k_steps": 3,
                             "sigma_s": 0.1, "seed": 0}},
        "recipe_sha256": "ab" * 32, "weights_sha256": "cd" * 32, "data": {"photos_calibration": "ef" * 32},
        "versions": {"compress": "0.1.0", "openvino": "2026.0"}, "files": [], "artifacts": [],
    }  # fmt: skip


def make_bundle(bundle: Path, side: int = 256) -> dict[str, Any]:
    """Write a bundle; give its results."""
    bundle.mkdir(parents=True, exist_ok=True)
    results = {**make_results(), "samples": _samples(bundle, side)}
    (bundle / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (bundle / "manifest.json").write_text(json.dumps(make_manifest()), encoding="utf-8")
    list_files(bundle)
    return results


def list_files(bundle: Path) -> None:
    """Write the hashes of what the results name into the manifest, as `apply` does last."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    names = {entry["path"] for entry in manifest["files"]} | {"results.json"}
    names |= {path.relative_to(bundle).as_posix() for path in bundle.rglob("*.png")}
    there = [(name, bundle / name) for name in sorted(names) if (bundle / name).is_file()]
    listed = [
        {"path": name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for name, path in there
    ]
    absent = [entry for entry in manifest["files"] if not (bundle / entry["path"]).is_file()]
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"files": [*listed, *absent]}), encoding="utf-8")


@pytest.fixture()
def relist() -> Callable[[Path], None]:
    """(bundle) -> its manifest holds the hashes of what lies there now."""
    return list_files


@pytest.fixture()
def document() -> dict[str, Any]:
    """results.json, for tests that change it first."""
    return make_results()


@pytest.fixture()
def results() -> Results:
    return Results.model_validate(make_results())


@pytest.fixture()
def bundle(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "bundle", side=96)
    return tmp_path / "bundle"


def make_measured(
    folder: Path, name: str = "int8_sr", created: str = "2026-11-20T10:00:00+00:00", side: int = 64
) -> Path:
    """A bundle that the ledger can read: its manifest names every artifact's file, of a hash of its own."""
    results = {**make_bundle(folder, side), "name": name, "created": created, "run": name}
    files = [
        {"path": a["entry"], "bytes": 1, "sha256": hashlib.sha256(f"{name} {a['id']}".encode()).hexdigest()}
        for a in results["artifacts"]
    ]
    for artifact, file in zip(results["artifacts"], files, strict=True):
        artifact.update(files=[file["path"]], sha256=file["sha256"])
    interfaces = [
        {
            **{key: a[key] for key in ("id", "format", "precision", "entry")},
            "inputs": [{"name": "lq", "shape": [1, 3, 64, 64]}],
            "k_steps": 3,
        }
        for a in results["artifacts"]
    ]
    results["shares"] = [
        {"artifact": "onnx-int8", "stage": stage, "bytes": size, "ms": ms}
        for stage, size, ms in (("enc", 1_000_000, 10.5), ("fmir", 6_000_000, 30.5), ("dec", 2_000_000, None))
    ]
    manifest = {**make_manifest(), "files": files, "artifacts": interfaces, "weights": {"sha256": "cd" * 32}, "key": {}}
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    list_files(folder)
    return folder


@pytest.fixture()
def measured() -> Callable[..., Path]:
    """(folder, name, created) -> a bundle that the ledger can read."""
    return make_measured


@pytest.fixture(scope="module")
def opened_once() -> Iterator[SimpleNamespace]:
    """``driver`` of the browser that these tests share, once one has asked for it; ``stack`` closes it."""
    with ExitStack() as stack:
        yield SimpleNamespace(driver=None, stack=stack)


@pytest.fixture()
def browser(opened_once: SimpleNamespace, chromium: Callable[..., Any]) -> Callable[..., Any]:
    """(width, height, dark) -> context of selenium's driver of a browser with an empty page; in px."""

    @contextmanager
    def view(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Any]:
        if opened_once.driver is None:
            opened_once.driver = opened_once.stack.enter_context(chromium())
        driver = opened_once.driver
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        try:
            yield driver
        finally:
            driver.get("about:blank")
            driver.get_log("browser")  # what a test that failed left there

    return view
