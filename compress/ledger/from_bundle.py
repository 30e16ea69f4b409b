"""A bundle's results as measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import ValidationError

from compress.artifacts.artifact import artifact_of
from compress.bundle.open import Bundle
from compress.data.names import data_key
from compress.errors import VerificationError
from compress.files import real_path, sha256_text
from compress.recipe.image_size import size_text
from compress.results.artifact import ArtifactEntry
from compress.results.document import Results
from compress.results.measurement import Measurement
from compress.results.performance import Performance, Speedup
from compress.results.quality import Quality
from compress.results.section import first_mistake

E = TypeVar("E", Quality, Performance)
FROM_QUALITY = (
    *("n", "psnr_db", "psnr_y_db", "ssim", "lpips", "color_shift", "psnr_drop_db", "ssim_drop", "lpips_rise"),
    *("fidelity_db", "color_shift_vs_fp32"),
)
FROM_PERFORMANCE = ("protocol", "threads", "first_inference_ms", "load_ms", "peak_rss_mb", "throughput")
MOST_SCORES = 2_000_000  # pictures, of all rows
MOST_ROWS = 10_000  # of a bundle: a hundred artifacts on ten targets and ten data sets


@dataclass(frozen=True)
class Run:
    """What measured: its name in the ledger, when, and the command."""

    name: str
    created: str
    command: Literal["apply", "bench"]


def measurements(bundle: Bundle) -> list[Measurement]:
    """Every artifact of a bundle, on every target that timed it and every data set that judged it.

    Raises VerificationError where the bundle is damaged.
    """
    results = bundle.results()
    name = results.run or sha256_text(f"{results.created} {bundle.manifest.recipe_sha256}")[:32]
    return _rows(bundle, results, results.performance, Run(name, results.created, "apply"))


def benched(bundle: Bundle, performance: Sequence[Performance], run: str, created: str) -> list[Measurement]:
    """What ``compress bench`` measured now, beside the quality that the bundle holds for the very same files."""
    timed = {entry.artifact for entry in performance}
    rows = _rows(bundle, bundle.results(), performance, Run(run, created, "bench"))
    return [row for row in rows if row.artifact in timed]


def _rows(bundle: Bundle, results: Results, performance: Sequence[Performance], run: Run) -> list[Measurement]:
    manifest = bundle.manifest
    if manifest.weights is None or manifest.recipe_sha256 is None:
        raise VerificationError(
            f"{bundle.folder}: damaged manifest (weights or recipe_sha256: missing): write the bundle again"
        )
    common = {
        "created": run.created,
        "run": run.name,
        "command": run.command,
        "recipe": results.name,
        "task": results.task,
        "weights_sha256": manifest.weights.sha256,
        "recipe_sha256": manifest.recipe_sha256,
        "calibration_sha256": manifest.key.get("calibration"),
        "versions": results.versions,
        "bundle": str(real_path(bundle.folder)),
    }
    times, qualities = _by_artifact(performance), _by_artifact(results.quality)
    figures = [(a, times.get(a.id, [None]), qualities.get(a.id, [None])) for a in results.artifacts]
    if (count := sum(len(timed) * len(judged) for _, timed, judged in figures)) > MOST_ROWS:
        raise VerificationError(f"{bundle.folder}: its results give {count} rows, at most {MOST_ROWS}: do not use it")
    scores = sum(len(timed) * len(quality.pictures) for _, timed, judged in figures for quality in judged if quality)
    if scores > MOST_SCORES:
        raise VerificationError(
            f"{bundle.folder}: its results give rows with {scores} pictures, at most {MOST_SCORES}: do not use it"
        )
    return [
        _measurement(
            bundle,
            {
                **common,
                **_artifact(bundle, artifact),
                **_quality(bundle, artifact, quality),
                **_performance(timed, results),
            },
        )
        for artifact, every_time, every_quality in figures
        for timed in every_time
        for quality in every_quality
    ]


def _by_artifact(entries: Sequence[E]) -> Mapping[str, list[E | None]]:
    listed: dict[str, list[E | None]] = {}
    for entry in entries:
        listed.setdefault(entry.artifact, []).append(entry)
    return listed


def _measurement(bundle: Bundle, fields: dict[str, object]) -> Measurement:
    try:
        return Measurement.model_validate(fields)
    except ValidationError as error:
        why = first_mistake(error)
        raise VerificationError(f"{bundle.folder}: its results are damaged ({why}): write the bundle again") from None


def together(hashes: Mapping[str, str]) -> str:
    """``files_sha256`` of an artifact: of its files' paths in the bundle and their own hashes."""
    return sha256_text("".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)))


def _artifact(bundle: Bundle, artifact: ArtifactEntry) -> dict[str, object]:
    interface = bundle.artifact(artifact.id)
    return {
        "artifact": artifact.id,
        **{name: getattr(artifact, name) for name in ("format", "precision", "engine", "bytes", "size_ratio", "macs")},
        "artifact_sha256": artifact.sha256,
        "files_sha256": together({path: bundle.file(path).sha256 for path in artifact.files}),
        **_size(*bundle.shape(interface)),
        "k_steps": interface.k_steps,
    }


def _size(height: int, width: int) -> dict[str, object]:
    return {"image_size": height} if height == width else {"image_shape": size_text((height, width))}


def _quality(bundle: Bundle, artifact: ArtifactEntry, quality: Quality | None) -> dict[str, object]:
    if quality is None:
        return {}
    kind = artifact.format, artifact.precision
    return {
        "dataset": quality.dataset,
        "data_sha256": bundle.manifest.data.get(data_key(quality.dataset, artifact_of(artifact.id, *kind).shape)),
        **{name: getattr(quality, name) for name in FROM_QUALITY},
        # Not [] for an entry that has none: a row's id is of its content.
        "pictures": quality.pictures if "pictures" in quality.model_fields_set else None,
    }


def _performance(timed: Performance | None, results: Results) -> dict[str, object]:
    machine = results.machine if timed is None or timed.machine is None else timed.machine
    where = {"cpu": machine.cpu, "machine": machine.to_json()}
    if timed is None:
        return {**where, "evidence": "measured"}
    latency, speedup = timed.latency_ms, timed.speedup_vs
    return {
        "target": timed.target,
        "evidence": timed.evidence,
        **where,
        **({f"latency_{name}_ms": getattr(latency, name) for name in ("p50", "p90", "mean")} if latency else {}),
        "latency_n": latency.n if latency else None,
        "speedup_vs_fp32": _ratio(speedup.fp32) if speedup else None,
        "speedup_vs_best_float": _ratio(speedup.best_float) if speedup else None,
        **{name: getattr(timed, name) for name in FROM_PERFORMANCE},
        **_whole_pictures(timed),
    }


def _whole_pictures(timed: Performance) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for item in timed.whole_pictures or ():
        names = ("megapixels_per_s", "peak_rss_mb", "joules_per_megapixel")
        figures |= {f"{item.kind}_{name}": getattr(item, name) for name in names}
        if item.kind == "picture":
            figures["picture_megapixels"] = item.width * item.height / 1e6
    return figures


def _ratio(speedup: Speedup | None) -> float | None:
    return speedup.value if speedup else None
