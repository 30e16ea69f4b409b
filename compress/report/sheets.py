"""The page's tables as plain cells, so that the template only lays them out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from compress.report.headline import size_gain, speed_gain
from compress.report.rows import (
    Row,
    against_best_float,
    against_fp32,
    datasets,
    latency,
    precisions,
    rows,
)
from compress.report.text import (
    NONE,
    bound_on_cpu,
    goal_bound,
    goal_figure,
    goal_state,
    megabytes,
    milliseconds,
    number,
    percent,
)
from compress.results.document import Results
from compress.results.goal import Goal
from compress.results.parity import LayerError, Parity, StageError
from compress.results.performance import Performance, Speedup
from compress.results.quality import Quality, Scores


@dataclass(frozen=True)
class Cell:
    """Text and how it reads: ``kind`` is empty (a figure), words, none (not measured), reference, muted, met or missed.

    ``bar`` is a length in percent, ``note`` a second, smaller line.
    """

    text: str
    kind: str = ""
    bar: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table: the first column names the row; a heading's second part is its unit."""

    caption: str
    headings: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False


def words(value: object) -> Cell:
    """A name, left-aligned; a dash where it is null."""
    return Cell(NONE, "none") if value is None else Cell(str(value), "words")


def cell(text: str, *, reference: bool = False) -> Cell:
    """A figure; a dash reads as not measured, or as the reference that the others are held against."""
    return Cell(text, ("reference" if reference else "none") if text == NONE else "")


def glance(results: Results) -> Sheet:
    """Size, latency and drop of each artifact: what fits a phone."""
    headings = [("Artifact", ""), ("Size", "MB"), ("Latency", "p50, ms"), ("Drop", "PSNR, dB")]
    return Sheet("Against the fp32 file of the same format", headings, [_glance(row) for row in rows(results)])


def _glance(row: Row) -> list[Cell]:
    speed = against_fp32(row.performance)
    sizes = cell(megabytes(row.artifact.bytes))
    times = cell(milliseconds(row.p50_ms))
    lost = row.quality.psnr_drop_db if row.quality else None
    drop = cell(number(lost, 3, sign=True), reference=row.is_reference)
    if not row.is_reference:
        sizes = replace(sizes, note=size_gain(row.artifact.size_ratio))
        times = replace(times, note=speed_gain(speed))
    verdict = "goals met" if row.verdict == "met" else row.verdict
    return [Cell(row.id, "missed" if "missed" in verdict else "", note=verdict), sizes, times, drop]


def artifacts(results: Results) -> Sheet:
    """One row an artifact, on the first data set and the first target that measured it."""
    headings = [
        ("Artifact", ""), ("Goals", ""), ("Format", ""), ("Precision", ""), ("Size", "MB"), ("of fp32", "%"),
        ("PSNR", "dB"), ("Drop", "dB"), ("LPIPS", ""), ("Rise", ""), ("Fidelity", "dB"), ("Colour shift", "1/255"),
        ("Latency p50", "ms"), ("Speed-up vs fp32", "interval"), ("Evidence", ""),
    ]  # fmt: skip
    first = next(iter(datasets(results)), None)
    caption = f"Quality on {first}" if first else "Quality was not measured"
    return Sheet(caption, headings, [_artifact(row) for row in rows(results)])


def _artifact(row: Row) -> list[Cell]:
    artifact, timed = row.artifact, row.performance
    return [
        Cell(row.id),
        Cell(row.verdict, "met" if row.verdict == "met" else "missed" if row.verdict else "muted"),
        words(artifact.format),
        words(artifact.precision),
        cell(megabytes(artifact.bytes)),
        cell(percent(artifact.size_ratio), reference=row.is_reference),
        *_quality(row.quality, reference=row.is_reference),
        cell(milliseconds(row.p50_ms)),
        _speedup(against_fp32(timed), reference=row.is_reference and timed is not None),
        words(timed and timed.evidence_words),
    ]


def _quality(row: Quality | None, *, reference: bool) -> list[Cell]:
    """PSNR, its drop, LPIPS, its rise, fidelity and colour shift; of fp32, the last but two are of the reference."""
    if row is None:
        return [cell(NONE)] * 6
    return [
        cell(number(row.psnr_db, 2)),
        cell(number(row.psnr_drop_db, 3, sign=True), reference=reference),
        cell(number(row.lpips, 4)),
        cell(number(row.lpips_rise, 4, sign=True), reference=reference),
        cell(number(row.fidelity_db, 1), reference=reference),
        cell(number(row.color_shift_vs_fp32, 2), reference=reference),
    ]


def _speedup(ratio: Speedup | None, *, reference: bool) -> Cell:
    """The ratio, its interval on a second line."""
    ratio = ratio or Speedup()
    shown = cell(number(ratio.value, 2), reference=reference)
    low, high = number(ratio.low, 2), number(ratio.high, 2)
    return shown if NONE in (shown.text, low, high) else replace(shown, note=f"{low} to {high}")


def goals(results: Results) -> Sheet:
    """One row a goal and data set, one column an artifact."""
    columns = list(dict.fromkeys(goal.artifact or "run" for goal in results.goals))
    held = {(*_held(goal), goal.artifact or "run"): goal for goal in results.goals}
    body = [
        [
            Cell(name, note=" ".join([_symbols(bound), *([f"on {dataset}"] if dataset else [])])),
            *(_goal(held.get((name, dataset, bound, column))) for column in columns),
        ]
        for name, dataset, bound in dict.fromkeys(map(_held, results.goals))
    ]
    return Sheet("", [("Goal", ""), *((name, "") for name in columns)], body)


def _held(goal: Goal) -> tuple[str, str, str]:
    return goal.goal, goal.dataset or "", bound_on_cpu(goal)


def _symbols(bound: str) -> str:
    return bound.replace("<=", "≤").replace(">=", "≥")


def _goal(goal: Goal | None) -> Cell:
    if goal is None:
        return Cell("", "muted")
    state, value = goal_state(goal), goal_figure(goal.goal, goal.value)
    return Cell(state if state == "not measured" else value, "met" if state == "met" else "missed")


FULL = [
    ("Artifact", ""), ("PSNR", "dB"), ("PSNR Y", "dB"), ("SSIM", ""), ("LPIPS", ""), ("Colour shift", "1/255"),
    ("PSNR drop", "dB"), ("SSIM drop", ""), ("LPIPS rise", ""), ("Fidelity", "dB"), ("Shift vs fp32", "1/255"),
]  # fmt: skip
BLIND = [("Artifact", ""), ("NIQE", ""), ("Fidelity", "dB"), ("Shift vs fp32", "1/255")]
"""Headings for a set without true pictures."""


def quality(results: Results) -> list[Sheet]:
    """One table a data set: every figure against ground truth, if there is any, with the baselines first."""
    kinds = precisions(results)
    sheets = []
    for name in datasets(results):
        baselines = [row for row in results.baselines if row.dataset == name]
        own = [row for row in results.quality if row.dataset == name]
        headings, scores, drops = (BLIND, _blind_scores, _blind_drops) if own[0].note else (FULL, _scores, _drops)
        muted = [Cell("", "muted")] * len(drops(own[0], reference=True))
        body = [[Cell(row.name), *scores(row), *muted] for row in baselines]
        body += [
            [Cell(row.artifact), *scores(row), *drops(row, reference=kinds.get(row.artifact) == "fp32")] for row in own
        ]
        sheets.append(Sheet(f"{name}, {number(own[0].n, 0).replace(NONE, '?')} pictures", headings, body))
    return sheets


def _scores(row: Scores) -> list[Cell]:
    """Against the clean pictures."""
    figures = ((row.psnr_db, 2), (row.psnr_y_db, 2), (row.ssim, 4), (row.lpips, 4), (row.color_shift, 2))
    return [cell(number(value, digits)) for value, digits in figures]


def _drops(row: Quality, *, reference: bool) -> list[Cell]:
    """Against the fp32 artifact."""
    texts = [
        *(number(value, digits, sign=True) for value, digits in
          ((row.psnr_drop_db, 3), (row.ssim_drop, 4), (row.lpips_rise, 4))),
        number(row.fidelity_db, 1),
        number(row.color_shift_vs_fp32, 2),
    ]  # fmt: skip
    return [cell(text, reference=reference) for text in texts]


def _blind_scores(row: Scores) -> list[Cell]:
    """Without true pictures."""
    return [cell(number(row.niqe, 2))]


def _blind_drops(row: Quality, *, reference: bool) -> list[Cell]:
    """Against the fp32 artifact, without true pictures."""
    return [
        cell(text, reference=reference) for text in (number(row.fidelity_db, 1), number(row.color_shift_vs_fp32, 2))
    ]


def performance(results: Results) -> Sheet:
    """One row an artifact and target."""
    headings = [
        ("Artifact", ""), ("Target", ""), ("Evidence", ""), ("p50", "ms"), ("p90", "ms"), ("Mean", "ms"),
        ("Runs", "after warm-up"), ("First", "ms"), ("Load", "ms"), ("Peak memory", "MB"), ("Throughput", "1/s"),
        ("Threads", ""), ("Protocol", ""), ("vs fp32", "interval"), ("vs best float", "interval"),
    ]  # fmt: skip
    kinds = precisions(results)
    return Sheet("", headings, [_timing(row, kinds.get(row.artifact, "")) for row in results.performance])


def _timing(row: Performance, precision: str) -> list[Cell]:
    times, best = latency(row), against_best_float(row)
    runs, warmup = number(times.n, 0), number(times.warmup, 0)
    measured = row.evidence == "measured"
    against = _speedup(best, reference=measured and precision not in ("int8", "weights"))
    if best and best.artifact and not against.kind:
        computed = f" in {best.computed_in}" if best.computed_in else ""
        against = replace(against, note=f"{against.note}, {best.artifact}{computed}".removeprefix(", "))
    return [
        Cell(row.artifact),
        words(row.target),
        words(row.evidence_words),
        *(cell(milliseconds(value)) for value in (times.p50, times.p90, times.mean)),
        cell(runs if NONE in (runs, warmup) else f"{runs} ({warmup})"),
        cell(milliseconds(row.first_inference_ms)),
        cell(milliseconds(row.load_ms)),
        cell(number(row.peak_rss_mb, 0)),
        cell(number(row.throughput, 2)),
        cell(number(row.threads, 0)),
        words(row.protocol),
        _speedup(against_fp32(row), reference=measured and precision == "fp32"),
        against,
    ]


def parity(results: Results) -> Sheet:
    """The same picture through two implementations."""
    headings = [("Artifact", ""), ("Against", ""), ("PSNR", "dB"), ("Pictures", ""), ("Goal", ""), ("State", "")]
    body = []
    for row in results.parity:
        goal = _parity_goal(row)
        state = "" if row.met is None else "met" if row.met else "MISSED"
        body.append([
            Cell(row.artifact),
            words(row.against),
            cell(number(row.psnr_db, 1)),
            cell(number(row.n, 0)),
            Cell(goal),
            Cell(state, "met" if state == "met" else "missed" if state else "muted"),
        ])  # fmt: skip
    return Sheet("", headings, body)


def _parity_goal(row: Parity) -> str:
    """A goal with the figure that is held against it: of int8, not the PSNR between the two, but how close to fp32
    each of them is.
    """
    if row.fidelity_simulated_db is None:
        goal = goal_bound("parity_db", row.goal)
        return "" if goal == NONE else _symbols(goal)
    here, torch = (f"{number(value, 1)} dB" for value in (row.fidelity_artifact_db, row.fidelity_simulated_db))
    return f"{here} to fp32, ≥ {torch} (in torch) - {number(row.goal, 0)} dB"


def stages(results: Results) -> list[Sheet]:
    """One table a precision: SQNR of every stage and Euler step as bars, free-running beside teacher-forced."""
    top = _top(results.stages)
    sheets = []
    for precision in dict.fromkeys(row.precision for row in results.stages):
        own = [row for row in results.stages if row.precision == precision]
        modes = list(dict.fromkeys(row.mode for row in own))
        figures = {(row.stage, row.mode): row.sqnr_db for row in own}
        names = dict.fromkeys(stage for stage, _ in figures)
        body = [[Cell(name), *(_bar(figures.get((name, mode)), top) for mode in modes)] for name in names]
        headings = [("Stage", ""), *((mode.replace("_", "-").capitalize(), "SQNR, dB") for mode in modes)]
        sheets.append(Sheet(f"{precision} against fp32", headings, body))
    return sheets


def layers(results: Results) -> Sheet:
    """SQNR of every layer, the worst first."""
    top = _top(results.layers)
    ordered = sorted(results.layers, key=lambda row: (row.sqnr_db is None, row.sqnr_db or 0.0))
    body = [[Cell(row.layer), words(row.stage), _bar(row.sqnr_db, top)] for row in ordered]
    return Sheet("", [("Layer", ""), ("Stage", ""), ("SQNR", "dB")], body, sortable=True)


def _top(every: Sequence[StageError] | Sequence[LayerError]) -> float:
    return max([row.sqnr_db or 0.0 for row in every] + [1.0])


def _bar(value: float | None, top: float) -> Cell:
    bar = None if value is None else round(100 * max(0.0, value) / top, 1)
    return Cell(number(value, 1), "none" if value is None else "", bar)
