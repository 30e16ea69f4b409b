"""What was not measured, and why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compress.recipe.schema import QUANTIZED
from compress.report.rows import datasets, latency, precisions
from compress.results.artifact import ArtifactEntry
from compress.results.document import Results
from compress.results.performance import Performance
from compress.results.quality import Quality

RUNS_FOR_P90 = 64
NO_FIGURE = "no figure recorded"
WHOLE_RUN = "this run"
"""The subject of what no artifact has."""
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
    "emulated": "run in an emulator, whose time says nothing about the device",
    "estimated": "estimated, not measured",
}


@dataclass(frozen=True)
class Gap:
    """One thing that was not measured; ``subject`` names its artifacts."""

    subject: str
    what: str
    why: str


def gaps(results: Results) -> list[Gap]:
    """Every section that is empty, artifact that did not run, and field that is null; equal ones in one line."""
    whole = [Gap(WHOLE_RUN, what, "nothing recorded") for key, what in WHOLE.items() if not getattr(results, key)]
    every = [*whole, *_absent(results), *_quality(results), *_performance(results), *_goals(results)]
    return _together([*every, *unjudged(results)])


def _together(gaps: Iterable[Gap]) -> list[Gap]:
    equal: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        equal.setdefault((gap.what, gap.why), []).append(gap.subject)
    return [Gap(", ".join(dict.fromkeys(subjects)), what, why) for (what, why), subjects in equal.items()]


def unjudged(results: Results) -> list[Gap]:
    """Quantized artifacts that no goal is held against, where others have goals."""
    judged, ran = {goal.artifact for goal in results.goals}, {row.artifact for row in results.performance}
    left = [a for a in results.artifacts if a.precision in QUANTIZED and a.id not in judged and judged]

    def why(artifact: ArtifactEntry) -> str:
        if artifact.shape is not None:
            return "goals apply only to the first of the recipe's sizes"
        return "none of the recipe's goals applies to it" if artifact.id in ran else "no target of the recipe runs it"

    return _together(Gap(artifact.id, "goals", why(artifact)) for artifact in left)


def _absent(results: Results) -> Iterator[Gap]:
    """Artifacts that have no row at all of quality or speed."""
    for rows, what in ((results.quality, "quality"), (results.performance, "speed")):
        present = {row.artifact for row in rows}
        for artifact in results.artifacts:
            if present and artifact.id not in present:
                yield Gap(artifact.id, what, artifact.not_run or "it was not run here")


def _quality(results: Results) -> Iterator[Gap]:
    kinds, sets = precisions(results), len(datasets(results))
    for row in results.quality:
        fields = QUALITY if kinds.get(row.artifact) == "fp32" else QUALITY | AGAINST_FP32
        yield from _null(row, fields, f" on {row.dataset}" if sets > 1 else "")


def _performance(results: Results) -> Iterator[Gap]:
    for row in results.performance:
        where = f" on {row.target}"
        if row.evidence != "measured":
            yield Gap(row.artifact, f"speed{where}", row.why or EVIDENCE[row.evidence])
            continue
        times = latency(row)
        if times.p50 is None:
            yield Gap(row.artifact, f"median latency{where}", row.why or NO_FIGURE)
        elif times.p90 is None:
            n = "fewer" if times.n is None else times.n
            yield Gap(row.artifact, f"p90 latency{where}", f"a p90 needs {RUNS_FOR_P90} runs, there were {n}")
        yield from _null(row, SPEED, where)


def _goals(results: Results) -> Iterator[Gap]:
    for goal in results.goals:
        if goal.value is None:
            where = f" on {goal.dataset}" if goal.dataset else ""
            why = goal.reason or "no value to compare with the bound; counts as missed"
            yield Gap(goal.artifact or WHOLE_RUN, f"goal {goal.goal}{where}", why)


def _null(row: Quality | Performance, fields: Mapping[str, str], where: str) -> Iterator[Gap]:
    names = [name for key, name in fields.items() if getattr(row, key) is None]
    if names:
        why = row.why if isinstance(row, Performance) else row.note
        yield Gap(row.artifact, ", ".join(names) + where, why or NO_FIGURE)
