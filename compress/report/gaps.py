"""What was not measured, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compress.report.rows import Results, datasets, listed, precisions
from compress.report.text import figure, get

RUNS_FOR_P90 = 64
QUALITY = {
    "psnr_db": "PSNR", "psnr_y_db": "PSNR on Y", "ssim": "SSIM", "lpips": "LPIPS", "color_shift": "colour shift",
}  # fmt: skip
AGAINST_FP32 = {
    "psnr_drop_db": "PSNR drop", "ssim_drop": "SSIM drop", "lpips_rise": "LPIPS rise", "fidelity_db": "fidelity",
    "color_shift_vs_fp32": "colour shift against fp32",
}  # fmt: skip
SPEED = {
    "first_inference_ms": "first inference", "load_ms": "loading time", "peak_rss_mb": "peak memory",
    "throughput": "throughput", "threads": "threads",
}  # fmt: skip
WHOLE = {
    "quality": "quality", "baselines": "baselines", "performance": "speed", "parity": "parity",
    "stages": "error by stage", "layers": "error by layer", "goals": "goals", "samples": "sample pictures",
}  # fmt: skip
EVIDENCE = {
    "unavailable": "the target was not available on this machine",
    "parsed": "the file was only parsed by the target's software, not run",
    "compiled": "the file was only compiled for the target, not run",
    "emulated": "run in an emulator: its time says nothing of the device's",
    "estimated": "estimated, not measured",
}


@dataclass(frozen=True)
class Gap:
    """One thing that was not measured; ``subject`` names its artifacts."""

    subject: str
    what: str
    why: str


def gaps(results: Results) -> list[Gap]:
    """Every section that is empty, artifact that did not run, and field that is null; alike ones in one line."""
    whole = [Gap("this run", what, "nothing recorded") for key, what in WHOLE.items() if not listed(results, key)]
    every = [*whole, *_absent(results), *_quality(results), *_performance(results), *_goals(results)]
    alike: dict[tuple[str, str], list[str]] = {}
    for gap in every:
        alike.setdefault((gap.what, gap.why), []).append(gap.subject)
    return [Gap(", ".join(dict.fromkeys(subjects)), what, why) for (what, why), subjects in alike.items()]


def _absent(results: Results) -> Iterator[Gap]:
    """Artifacts that have no row at all of quality or speed."""
    for key, what in (("quality", "quality"), ("performance", "speed")):
        present = {row.get("artifact") for row in listed(results, key)}
        for artifact in listed(results, "artifacts"):
            if artifact.get("id") not in present and present:
                yield Gap(str(artifact.get("id")), what, _reason(artifact, "it was not run here"))


def _quality(results: Results) -> Iterator[Gap]:
    kinds, sets = precisions(results), len(datasets(results))
    for row in listed(results, "quality"):
        fields = QUALITY if kinds.get(str(row.get("artifact"))) == "fp32" else QUALITY | AGAINST_FP32
        where = f" on {row.get('dataset')}" if sets > 1 else ""
        yield from _null(row, fields, where, "no figure recorded")


def _performance(results: Results) -> Iterator[Gap]:
    for row in listed(results, "performance"):
        evidence, where = str(row.get("evidence")), f" on {row.get('target')}"
        if evidence != "measured":
            why = _reason(row, EVIDENCE.get(evidence, f"evidence: {evidence}"))
            yield Gap(str(row.get("artifact")), f"speed{where}", why)
            continue
        if get(row, "latency_ms", "p50") is None:
            yield Gap(str(row.get("artifact")), f"median latency{where}", _reason(row, "no figure recorded"))
        elif get(row, "latency_ms", "p90") is None:
            yield Gap(str(row.get("artifact")), f"p90 latency{where}", _few_runs(row))
        yield from _null(row, SPEED, where, "no figure recorded")


def _few_runs(row: Mapping[str, Any]) -> str:
    n = get(row, "latency_ms", "n")
    return f"a p90 needs {RUNS_FOR_P90} runs, there were {n if n is not None else 'fewer'}"


def _goals(results: Results) -> Iterator[Gap]:
    for goal in listed(results, "goals"):
        if figure(goal.get("value")) is None:
            where = f" on {goal['dataset']}" if goal.get("dataset") else ""
            why = _reason(goal, "no value to hold against the bound; counts as missed")
            yield Gap(str(goal.get("artifact") or "this run"), f"goal {goal.get('goal')}{where}", why)


def _null(row: Mapping[str, Any], fields: Mapping[str, str], where: str, why: str) -> Iterator[Gap]:
    names = [name for key, name in fields.items() if row.get(key) is None]
    if names:
        yield Gap(str(row.get("artifact")), ", ".join(names) + where, _reason(row, why))


def _reason(row: Mapping[str, Any], otherwise: str) -> str:
    return str(row.get("reason") or row.get("why") or row.get("note") or otherwise)
