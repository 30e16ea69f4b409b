"""A bundle's results as measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from compress.files import sha256_text
from compress.ledger.measurement import Measurement

Entry = Mapping[str, Any]
NOTHING: Entry = {}
FROM_QUALITY = (
    *("n", "psnr_db", "psnr_y_db", "ssim", "lpips", "color_shift", "psnr_drop_db", "ssim_drop", "lpips_rise"),
    *("fidelity_db", "color_shift_vs_fp32", "pictures"),
)
FROM_PERFORMANCE = ("protocol", "threads", "first_inference_ms", "load_ms", "peak_rss_mb", "throughput")


def measurements(results: Entry, manifest: Entry, folder: Path) -> list[Measurement]:
    """Every artifact of a bundle, on every target that timed it and every data set that judged it."""
    run = results.get("run") or sha256_text(f"{results['created']} {manifest['recipe_sha256']}")[:32]
    return _rows(results, manifest, folder, results["performance"], run, results["created"], "apply")


def benched(
    results: Entry, manifest: Entry, folder: Path, performance: Sequence[Entry], run: str, created: str
) -> list[Measurement]:
    """What ``compress bench`` measured now, beside the quality that the bundle holds for the very same files."""
    timed = {entry["artifact"] for entry in performance}
    return [
        row for row in _rows(results, manifest, folder, performance, run, created, "bench") if row.artifact in timed
    ]


def _rows(
    results: Entry,
    manifest: Entry,
    folder: Path,
    performance: Sequence[Entry],
    run: str,
    created: str,
    command: Literal["apply", "bench"],
) -> list[Measurement]:
    common = {
        "created": created,
        "run": run,
        "command": command,
        "recipe": results["name"],
        "task": results["task"],
        "weights_sha256": manifest["weights"]["sha256"],
        "recipe_sha256": manifest["recipe_sha256"],
        "calibration_sha256": manifest["key"].get("calibration"),
        "versions": results["versions"],
        "bundle": str(folder.resolve()),
    }
    return [
        Measurement.model_validate(
            {**common, **_artifact(artifact, manifest), **_quality(quality, manifest), **_performance(timed, results)}
        )
        for artifact in results["artifacts"]
        for timed in _of(performance, artifact)
        for quality in _of(results["quality"], artifact)
    ]


def _of(entries: Sequence[Entry], artifact: Entry) -> Sequence[Entry]:
    return [entry for entry in entries if entry["artifact"] == artifact["id"]] or [NOTHING]


def together(hashes: Mapping[str, str]) -> str:
    """``files_sha256`` of an artifact: of its files' paths in the bundle and their own hashes."""
    return sha256_text("".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)))


def _artifact(artifact: Entry, manifest: Entry) -> dict[str, Any]:
    interface = next(a for a in manifest["artifacts"] if a["id"] == artifact["id"])
    hashes = {file["path"]: file["sha256"] for file in manifest["files"]}
    return {
        "artifact": artifact["id"],
        **{name: artifact.get(name) for name in ("format", "precision", "engine", "bytes", "size_ratio", "macs")},
        "artifact_sha256": artifact["sha256"],
        "files_sha256": together({path: hashes[path] for path in artifact["files"]}),
        "image_size": interface["inputs"][0]["shape"][-1],
        "k_steps": interface["k_steps"],
    }


def _quality(quality: Entry, manifest: Entry) -> dict[str, Any]:
    dataset = quality.get("dataset")
    return {
        "dataset": dataset,
        "data_sha256": manifest["data"].get(dataset),
        **{name: quality.get(name) for name in FROM_QUALITY},
    }


def _performance(timed: Entry, results: Entry) -> dict[str, Any]:
    latency = timed.get("latency_ms") or NOTHING
    speedup = timed.get("speedup_vs") or NOTHING
    machine = timed.get("machine", results["machine"])
    return {
        "target": timed.get("target"),
        "evidence": timed.get("evidence", "measured"),
        "cpu": machine.get("cpu"),
        "machine": machine,
        **{f"latency_{name}_ms": latency.get(name) for name in ("p50", "p90", "mean")},
        "latency_n": latency.get("n"),
        **{f"speedup_vs_{name}": (speedup.get(name) or NOTHING).get("value") for name in ("fp32", "best_float")},
        **{name: timed.get(name) for name in FROM_PERFORMANCE},
    }
