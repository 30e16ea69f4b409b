"""A bundle's rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from compress.bundle.open import Bundle, open_bundle
from compress.errors import VerificationError
from compress.files import sha256_file
from compress.ledger.from_bundle import benched, measurements
from compress.results.performance import Performance


@pytest.fixture()
def opened(finished: Any) -> Bundle:
    return open_bundle(finished.folder)


def timed(artifact: str, p50: float) -> dict[str, Any]:
    return {
        "artifact": artifact,
        "target": "x86-onnxruntime",
        "evidence": "measured",
        "latency_ms": {"p50": p50, "p90": None, "mean": p50 + 1, "n": 20, "warmup": 6},
        "load_ms": 5.0,
        "speedup_vs": {"fp32": {"value": 2.0, "low": 1.9, "high": 2.1}, "best_float": None},
        "threads": 2,
        "protocol": "quick",
        "machine": {"cpu": "a CPU"},
    }


def test_every_hash_is_in_every_row(opened: Bundle) -> None:
    results, manifest = opened.results(), opened.manifest
    rows = measurements(opened)
    assert [row.artifact for row in rows] == [a.id for a in results.artifacts]
    for row, artifact in zip(rows, results.artifacts, strict=True):
        assert row.artifact_sha256 == artifact.sha256
        assert manifest.weights is not None and row.weights_sha256 == manifest.weights.sha256
        assert row.recipe_sha256 == manifest.recipe_sha256
        assert (row.data_sha256, row.calibration_sha256) == (manifest.data["validation"], manifest.data["calibration"])
        assert row.versions == results.versions and row.evidence == "measured"
        assert (row.bytes, row.macs, row.image_size) == (artifact.bytes, artifact.macs, 64)
        assert (row.target, row.latency_p50_ms) == (None, None)
    assert len({row.files_sha256 for row in rows}) == len(rows)


def test_a_row_for_each_target_and_set(bundle: Path) -> None:
    results, manifest = (json.loads((bundle / name).read_text()) for name in ("results.json", "manifest.json"))
    results["quality"] += [{**q, "dataset": "kodak"} for q in results["quality"]]
    results["performance"] = [timed("onnx-int8", 10.0), {**timed("onnx-int8", 20.0), "target": "other"}]
    path = bundle / "results.json"
    path.write_text(json.dumps(results))
    listed = next(file for file in manifest["files"] if file["path"] == "results.json")
    listed |= {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    rows = [row for row in measurements(open_bundle(bundle)) if row.artifact == "onnx-int8"]
    assert [(row.target, row.dataset, row.latency_p50_ms) for row in rows] == [
        ("x86-onnxruntime", "validation", 10.0),
        ("x86-onnxruntime", "kodak", 10.0),
        ("other", "validation", 20.0),
        ("other", "kodak", 20.0),
    ]
    assert (rows[0].speedup_vs_fp32, rows[0].speedup_vs_best_float, rows[0].latency_p90_ms) == (2.0, None, None)
    assert (rows[0].cpu, rows[0].protocol, rows[0].threads, rows[0].latency_n) == ("a CPU", "quick", 2, 20)


def test_results_of_rows_without_end_are_refused(opened: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    results = opened.results()
    times = [Performance.model_validate(timed("onnx-int8", p50)) for p50 in range(1, 200)]
    assert len(benched(opened, times, "r", "2026-11-24T00:00:00+00:00")) == 199
    monkeypatch.setattr(Bundle, "results", lambda _: results.model_copy(update={"quality": results.quality * 51}))
    with pytest.raises(VerificationError, match=r"its results give 10[0-9]{3} rows, at most 10000: do not use it"):
        benched(opened, times, "r", "2026-11-24T00:00:00+00:00")


def test_results_of_pictures_without_end_are_refused(opened: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row has them all."""
    times = [Performance.model_validate(timed("onnx-int8", p50)) for p50 in range(1, 200)]
    monkeypatch.setattr("compress.ledger.from_bundle.MOST_SCORES", 100)
    with pytest.raises(VerificationError, match=r"its results give rows with \d+ pictures, at most 100: do not use it"):
        benched(opened, times, "r", "2026-11-24T00:00:00+00:00")


def test_a_bench_is_a_run_of_its_own_for_what_it_timed(opened: Bundle) -> None:
    now = "2026-11-24T00:00:00+00:00"
    (row,) = benched(opened, [Performance.model_validate(timed("onnx-int8", 10.0))], "run1", now)
    assert (row.command, row.run, row.created, row.artifact) == ("bench", "run1", now, "onnx-int8")
    assert row.psnr_db is not None and row.latency_p50_ms == 10.0
