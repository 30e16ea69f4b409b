"""Entries of results.json from real runs: every field, every comparison, every failure as what it is."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.openvino_runner import shared_core
from compress.errors import InputError, Unavailable, VerificationError
from compress.measure.latency import Latency
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.targets.entries import Bench, speedups
from compress.targets.local import PRECISION, bench_local

SIDE = 64
PICTURES = {
    "lq": np.full((1, SIDE, SIDE, 3), 128, np.uint8),
    "noise": np.zeros((1, 16, SIDE // 8, SIDE // 8), np.float32),
}
SILENT = Progress("silent")
INT8 = Artifact("openvino", "int8")


def target(**more: object) -> DeployTarget:
    import platform

    arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    settings = {"version": 1, "name": "here", "runtime": "openvino", "format": "openvino", "arch": arch, "threads": 1}
    return DeployTarget(**{**settings, **more})


def write_ir(path: Path, depth: int) -> Path:
    """An OpenVINO IR of ``depth`` convolutions 3x3 with 16 channels between."""
    import openvino as ov
    from openvino import opset13 as ops

    lq = ops.parameter([1, 3, SIDE, SIDE], np.float32, name="lq")
    noise = ops.parameter([1, 16, SIDE // 8, SIDE // 8], np.float32, name="noise")
    for node, name in ((lq, "lq"), (noise, "noise")):
        node.output(0).tensor.set_names({name})
    x, rng = lq, np.random.default_rng(0)
    channels = [3, *[16] * (depth - 1), 3]
    for c_in, c_out in pairwise(channels):
        weight = (rng.standard_normal((c_out, c_in, 3, 3)) / (3 * c_in**0.5)).astype(np.float32)
        x = ops.convolution(x, weight, [1, 1], [1, 1], [1, 1], [1, 1])
    ov.save_model(ov.Model([x], [lq, noise]), path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("artifacts")
    artifacts = {
        Artifact("openvino", "fp32"): write_ir(folder / "fp32.xml", 60),
        Artifact("openvino", "fp16"): write_ir(folder / "fp16.xml", 30),
        INT8: write_ir(folder / "int8.xml", 4),
    }
    return [entry.to_json() for entry in bench_local(Bench(artifacts, target(), PICTURES, "quick", SILENT))]


def test_every_field_of_every_artifact(entries: list[dict]) -> None:
    assert [entry["artifact"] for entry in entries] == ["openvino-fp32", "openvino-fp16", "openvino-int8"]
    for entry in entries:
        assert (entry["target"], entry["evidence"], entry["protocol"]) == ("here", "measured", "quick")
        assert entry["threads"] == entry["runtime"]["INFERENCE_NUM_THREADS"] == 1
        assert entry["latency_ms"]["n"] >= 20
        assert entry["load_ms"] > 0 and entry["first_inference_ms"] > 0
        assert 20 < entry["peak_rss_mb"] < 2000
        assert entry["throughput"] == pytest.approx(1000 / entry["latency_ms"]["mean"], rel=0.01)
        assert entry["machine"]["cpu"]


def test_speedups_against_fp32_and_the_best_float(entries: list[dict]) -> None:
    fp32, fp16, int8 = (entry["speedup_vs"] for entry in entries)
    assert fp32 == {"fp32": None, "best_float": None}
    assert fp16["best_float"] is None
    assert fp16["fp32"]["value"] > 1.2
    assert int8["best_float"]["artifact"] in ("openvino-fp16", "openvino-fp32")
    assert int8["fp32"]["value"] > int8["best_float"]["value"] > 1
    assert int8["best_float"].get("computed_in") == ("bf16" if "32" in int8["best_float"]["artifact"] else None)
    for ratio in (fp16["fp32"], int8["fp32"], int8["best_float"]):
        assert ratio["low"] <= ratio["value"] <= ratio["high"]


def test_the_fp32_model_in_bfloat16_where_openvino_chooses_it(entries: list[dict]) -> None:
    """A speedup that leaves out what a user gets without any setting could flatter."""
    computes = str(shared_core().get_property("CPU", PRECISION)) == "<Type: 'bfloat16'>"
    assert [(entry.get("bf16_latency_ms") or {}).get("n", 0) >= 20 for entry in entries] == [computes, False, False]


def test_the_fastest_float_may_be_fp32_in_bfloat16() -> None:
    fp32, int8 = Artifact("openvino", "fp32"), Artifact("openvino", "int8")
    latencies = {fp32: Latency((4.0, 4.0), 0), int8: Latency((1.0, 1.0), 0)}
    best = speedups(int8, latencies, bf16=Latency((2.0, 2.0), 0)).best_float
    assert best is not None and (best.value, best.artifact, best.computed_in) == (2, "openvino-fp32", "bf16")
    slower = speedups(int8, latencies, bf16=Latency((5.0, 5.0), 0)).best_float
    assert slower is not None and (slower.value, slower.computed_in) == (4, None)
    assert speedups(fp32, latencies, bf16=Latency((2.0, 2.0), 0)).best_float is None


def test_without_a_float_there_is_nothing_to_compare_with() -> None:
    int8 = Artifact("onnx", "int8")
    latencies = {int8: Latency((1.0, 2.0), 0), Artifact("onnx", "int8", "tensorrt"): Latency((1.0, 2.0), 0)}
    assert speedups(int8, latencies).to_json() == {"fp32": None, "best_float": None}


def test_a_damaged_artifact(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("<net>")
    path.with_suffix(".bin").write_bytes(b"")
    artifacts = {INT8: path}
    with pytest.raises(VerificationError, match=r"model\.xml: refused, not a readable OpenVINO IR") as error:
        bench_local(Bench(artifacts, target(), PICTURES, "quick", SILENT))
    assert "\n" not in str(error.value)


def test_a_target_of_another_architecture() -> None:
    other = "aarch64" if target().arch == "x86_64" else "x86_64"
    with pytest.raises(Unavailable, match=rf"target here: needs {other}, this machine is {target().arch}"):
        bench_local(Bench({}, target(arch=other), PICTURES, "quick", SILENT))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"options": {"NO_SUCH": "x"}}, InputError, "option NO_SUCH=x: refused by OpenVINO: correct it"),
        ({"device": "NPU"}, Unavailable, r"OpenVINO finds no NPU \(it finds: CPU"),
        ({"runtime_min": "9999.1"}, Unavailable, r"has openvino \d.*, 9999.1 or newer is needed: upgrade it"),
        ({"memory_mb": 1}, Unavailable, r" takes \d+ MB, the target grants 1: use a smaller picture"),
    ],
)
def test_a_target_that_this_machine_is_not(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], text: str
) -> None:
    artifacts = {INT8: write_ir(tmp_path / "int8.xml", 2)}
    with pytest.raises(error, match=f"^target here: openvino-int8.*{text}"):
        bench_local(Bench(artifacts, target(**changes), PICTURES, "quick", SILENT))


def test_pictures_of_another_size(tmp_path: Path) -> None:
    artifacts = {INT8: write_ir(tmp_path / "int8.xml", 2)}
    small = {"lq": PICTURES["lq"][:, :32, :32], "noise": PICTURES["noise"][:, :, :4, :4]}
    with pytest.raises(VerificationError, match=r"takes lq \(1, 3, 64, 64\), the pictures have \(1, 3, 32, 32\)"):
        bench_local(Bench(artifacts, target(), small, "quick", SILENT))
