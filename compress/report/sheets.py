"""The page's tables as plain cells, so that the template only lays them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.report.rows import Results, Row, datasets, listed, precisions, rows
from compress.report.text import (
    NONE,
    figure,
    get,
    goal_bound,
    goal_figure,
    goal_state,
    megabytes,
    milliseconds,
    number,
    percent,
)


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


def words(value: Any) -> Cell:
    """A name, left-aligned; a dash where it is null."""
    return Cell(NONE, "none") if value is None else Cell(str(value), "words")


def cell(text: str, reference: bool = False) -> Cell:
    """A figure; a dash reads as not measured, or as the reference that the others are held against."""
    return Cell(text, ("reference" if reference else "none") if text == NONE else "")


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
    quality, own = row.quality, row.is_reference and bool(row.quality)
    timed = row.is_reference and bool(row.performance)
    return [
        Cell(row.id),
        Cell(row.verdict, "met" if row.verdict == "met" else "missed" if row.verdict else "muted"),
        words(row.artifact.get("format")),
        words(row.artifact.get("precision")),
        cell(megabytes(row.artifact.get("bytes"))),
        cell(percent(row.artifact.get("size_ratio")), row.is_reference),
        cell(number(quality.get("psnr_db"), 2)),
        cell(number(quality.get("psnr_drop_db"), 3, sign=True), own),
        cell(number(quality.get("lpips"), 4)),
        cell(number(quality.get("lpips_rise"), 4, sign=True), own),
        cell(number(quality.get("fidelity_db"), 1), own),
        cell(number(quality.get("color_shift_vs_fp32"), 2), own),
        cell(milliseconds(get(row.performance, "latency_ms", "p50"))),
        _speedup(get(row.performance, "speedup_vs", "fp32"), timed),
        words(row.performance.get("evidence")),
    ]


def _speedup(ratio: Any, reference: bool) -> Cell:
    """The ratio, its interval on a second line."""
    told = cell(number(get(ratio, "value"), 2), reference)
    low, high = (number(get(ratio, key), 2) for key in ("low", "high"))
    return told if NONE in (told.text, low, high) else replace(told, note=f"{low} to {high}")


def goals(results: Results) -> Sheet:
    """One row a goal and data set, one column an artifact."""
    every = listed(results, "goals")
    columns = list(dict.fromkeys(str(goal.get("artifact") or "run") for goal in every))
    held = {(*_held(goal), str(goal.get("artifact") or "run")): goal for goal in every}
    body = [
        [
            Cell(name, note=" ".join([_symbols(goal_bound(name, bound)), *([f"on {dataset}"] if dataset else [])])),
            *(_goal(held.get((name, dataset, bound, column))) for column in columns),
        ]
        for name, dataset, bound in dict.fromkeys(map(_held, every))
    ]
    return Sheet("", [("Goal", ""), *((name, "") for name in columns)], body)


def _held(goal: Mapping[str, Any]) -> tuple[str, str, float | None]:
    return str(goal.get("goal")), str(goal.get("dataset") or ""), figure(goal.get("bound"))


def _symbols(bound: str) -> str:
    return bound.replace("<=", "≤").replace(">=", "≥")


def _goal(goal: Mapping[str, Any] | None) -> Cell:
    if goal is None:
        return Cell("", "muted")
    state, value = goal_state(goal), goal_figure(str(goal.get("goal")), goal.get("value"))
    return Cell(state if state == "not measured" else value, "met" if state == "met" else "missed")


def quality(results: Results) -> list[Sheet]:
    """One table a data set: every figure against ground truth, with the baselines first."""
    headings = [
        ("Artifact", ""), ("PSNR", "dB"), ("PSNR Y", "dB"), ("SSIM", ""), ("LPIPS", ""), ("Colour shift", "1/255"),
        ("PSNR drop", "dB"), ("SSIM drop", ""), ("LPIPS rise", ""), ("Fidelity", "dB"), ("Shift vs fp32", "1/255"),
    ]  # fmt: skip
    kinds = precisions(results)
    sheets = []
    for name in datasets(results):
        baselines = [row for row in listed(results, "baselines") if row.get("dataset") == name]
        own = [row for row in listed(results, "quality") if row.get("dataset") == name]
        body = [_scores(str(row.get("name")), row, None) for row in baselines]
        body += [_scores(str(row.get("artifact")), row, kinds.get(str(row.get("artifact"))) == "fp32") for row in own]
        n = next((row.get("n") for row in own), None)
        sheets.append(Sheet(f"{name}, {n if n is not None else '?'} pictures", headings, body))
    return sheets


def _scores(name: str, row: Mapping[str, Any], reference: bool | None) -> list[Cell]:
    """``reference``: the fp32 artifact; None: a baseline, which nothing is held against."""
    against = [
        *(cell(number(row.get(key), digits, sign=True), bool(reference)) for key, digits in
          (("psnr_drop_db", 3), ("ssim_drop", 4), ("lpips_rise", 4))),
        cell(number(row.get("fidelity_db"), 1), bool(reference)),
        cell(number(row.get("color_shift_vs_fp32"), 2), bool(reference)),
    ]  # fmt: skip
    return [
        Cell(name),
        *(cell(number(row.get(key), digits)) for key, digits in
          (("psnr_db", 2), ("psnr_y_db", 2), ("ssim", 4), ("lpips", 4), ("color_shift", 2))),
        *([Cell("", "muted")] * len(against) if reference is None else against),
    ]  # fmt: skip


def performance(results: Results) -> Sheet:
    """One row an artifact and target."""
    headings = [
        ("Artifact", ""), ("Target", ""), ("Evidence", ""), ("p50", "ms"), ("p90", "ms"), ("Mean", "ms"),
        ("Runs", "after warm-up"), ("First", "ms"), ("Load", "ms"), ("Peak memory", "MB"), ("Throughput", "1/s"),
        ("Threads", ""), ("Protocol", ""), ("vs fp32", "interval"), ("vs best float", "interval"),
    ]  # fmt: skip
    kinds = precisions(results)
    body = [_timing(row, kinds.get(str(row.get("artifact")), "")) for row in listed(results, "performance")]
    return Sheet("", headings, body)


def _timing(row: Mapping[str, Any], precision: str) -> list[Cell]:
    best = get(row, "speedup_vs", "best_float", "artifact")
    runs, warmup = (number(get(row, "latency_ms", key), 0) for key in ("n", "warmup"))
    measured = row.get("evidence") == "measured"
    against = _speedup(get(row, "speedup_vs", "best_float"), measured and precision not in ("int8", "weights"))
    return [
        Cell(str(row.get("artifact"))),
        words(row.get("target")),
        words(row.get("evidence")),
        *(cell(milliseconds(get(row, "latency_ms", key))) for key in ("p50", "p90", "mean")),
        cell(runs if NONE in (runs, warmup) else f"{runs} ({warmup})"),
        cell(milliseconds(row.get("first_inference_ms"))),
        cell(milliseconds(row.get("load_ms"))),
        cell(number(row.get("peak_rss_mb"), 0)),
        cell(number(row.get("throughput"), 2)),
        cell(number(row.get("threads"), 0)),
        words(row.get("protocol")),
        _speedup(get(row, "speedup_vs", "fp32"), measured and precision == "fp32"),
        replace(against, note=f"{against.note}, {best}".removeprefix(", ")) if best and not against.kind else against,
    ]


def parity(results: Results) -> Sheet:
    """The same picture through two implementations."""
    headings = [("Artifact", ""), ("Against", ""), ("PSNR", "dB"), ("Pictures", ""), ("Goal", ""), ("State", "")]
    body = []
    for row in listed(results, "parity"):
        goal = goal_bound("parity_db", row.get("goal"))
        state = "" if row.get("met") is None else "met" if row.get("met") else "MISSED"
        body.append([
            Cell(str(row.get("artifact"))),
            words(row.get("against")),
            cell(number(row.get("psnr_db"), 1)),
            cell(number(row.get("n"), 0)),
            Cell("" if goal == NONE else _symbols(goal)),
            Cell(state, "met" if state == "met" else "missed" if state else "muted"),
        ])  # fmt: skip
    return Sheet("", headings, body)


def stages(results: Results) -> list[Sheet]:
    """One table a precision: SQNR of every stage and Euler step as bars, free-running beside teacher-forced."""
    every = listed(results, "stages")
    top = _top(every)
    sheets = []
    for precision in dict.fromkeys(str(row.get("precision")) for row in every):
        own = [row for row in every if str(row.get("precision")) == precision]
        modes = list(dict.fromkeys(str(row.get("mode")) for row in own))
        found = {(str(row.get("stage")), str(row.get("mode"))): row.get("sqnr_db") for row in own}
        names = dict.fromkeys(stage for stage, _ in found)
        body = [[Cell(name), *(_bar(found.get((name, mode)), top) for mode in modes)] for name in names]
        headings = [("Stage", ""), *((mode.replace("_", "-").capitalize(), "SQNR, dB") for mode in modes)]
        sheets.append(Sheet(f"{precision} against fp32", headings, body))
    return sheets


def layers(results: Results) -> Sheet:
    """SQNR of every layer, the worst first."""
    every = listed(results, "layers")
    top = _top(every)
    ordered = sorted(every, key=lambda row: (figure(row.get("sqnr_db")) is None, figure(row.get("sqnr_db")) or 0.0))
    body = [[Cell(str(row.get("layer"))), words(row.get("stage")), _bar(row.get("sqnr_db"), top)] for row in ordered]
    return Sheet("", [("Layer", ""), ("Stage", ""), ("SQNR", "dB")], body, sortable=True)


def _top(every: Sequence[Mapping[str, Any]]) -> float:
    return max([figure(row.get("sqnr_db")) or 0.0 for row in every] + [1.0])


def _bar(value: Any, top: float) -> Cell:
    known = figure(value)
    bar = None if known is None else round(100 * max(0.0, known) / top, 1)
    return Cell(number(value, 1), "none" if known is None else "", bar)
