"""What a reader asks first, in one sentence: which file to use, what it gains and what it costs."""

from dataclasses import dataclass

from compress.report.rows import Row, against_fp32, datasets, rows
from compress.report.text import bound_on_cpu, goal_figure, milliseconds, number
from compress.results.document import Results
from compress.results.goal import Goal
from compress.results.performance import Performance, Speedup

SAME = 1.05
"""Ratios from its inverse to it are reported as "same size" and "same speed"."""
UNCHANGED_DB = 0.005
NAMED = 3
"""Missed goals that the page's first line names."""
ORDER = {"int8": 0, "weights": 0, "fp16": 1}


@dataclass(frozen=True)
class Headline:
    """``sentence``: the gains, the cost and the file; ``basis``: what the file was compared with, where and on what."""

    artifact: str
    sentence: str
    basis: str


def headline(results: Results) -> Headline | None:
    """The answer for the best artifact: quantized before fp16, its goals met, the fastest, then the smallest.

    None where there are only fp32 files.
    """
    candidates = [row for row in rows(results) if row.artifact.precision in ORDER]
    if not candidates:
        return None
    row = min(candidates, key=_rank)
    gains = [text for text in (size_gain(row.artifact.size_ratio), _speed(row)) if text]
    sentence = f"{', '.join([*gains, _quality(row)])}: {_advice(row)}"
    return Headline(row.id, sentence, _basis(row, results))


def _rank(row: Row) -> tuple[int, bool, bool, float, float]:
    missed = any(not goal.met for goal in row.goals)
    p50 = row.p50_ms
    return ORDER[row.artifact.precision], missed, p50 is None, p50 or 0.0, row.artifact.size_ratio or 1.0


def size_gain(ratio: float | None) -> str:
    """``3.7x smaller`` for a ratio of 0.27 to the fp32 file; nothing where it is not known."""
    if not ratio:
        return ""
    return "same size" if 1 / SAME <= ratio <= SAME else _gain(1 / ratio, "smaller", "larger")


def speed_gain(ratio: Speedup | None) -> str:
    """``1.8x faster`` or ``1.2x slower`` than the fp32 file; nothing where it is not known.

    ``same speed`` if the difference is too small to matter; a larger one with 1 in its interval proves nothing.
    """
    if ratio is None or not ratio.value:
        return ""
    if 1 / SAME <= ratio.value <= SAME:
        return "same speed"
    if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
        return f"no clear difference in speed ({ratio.low:.2f}x to {ratio.high:.2f}x)"
    return _gain(ratio.value, "faster", "slower")


def _gain(value: float, more: str, less: str) -> str:
    return f"{value:.1f}x {more}" if value > 1 else f"{1 / value:.1f}x {less}"


def _speed(row: Row) -> str:
    timed = row.performance
    if timed is None:
        return "speed not measured"
    if gain := speed_gain(against_fp32(timed)):
        kind = "on a busy machine" if timed.busy else "" if timed.evidence == "measured" else timed.evidence
        return f"{gain} ({kind})" if kind else gain
    return _speed_on_no_device(timed) or (
        "speed not measured" if row.p50_ms is None else f"{milliseconds(row.p50_ms)} ms (fp32 was not timed)"
    )


def _speed_on_no_device(timed: Performance) -> str:
    """What a vendor's model, an emulator, a compiler or a parser says instead of a clock."""
    if timed.estimate and timed.estimate.speedup_vs_fp16:
        return f"{_gain(timed.estimate.speedup_vs_fp16, 'faster', 'slower')} than fp16 by the vendor's estimate"
    if timed.instructions_vs_fp32:
        return f"{_gain(timed.instructions_vs_fp32, 'fewer', 'more')} instructions (emulated), speed not measured"
    return "" if timed.evidence == "measured" else f"speed not measured ({timed.evidence})"


def _quality(row: Row) -> str:
    quality = row.quality
    if quality is None:
        return "quality not measured"
    if (drop := quality.psnr_drop_db) is not None:
        if abs(drop) < UNCHANGED_DB:
            return "same quality"
        return f"{abs(drop):.2f} dB {'worse' if drop > 0 else 'better'}"
    return "quality not measured" if quality.fidelity_db is None else f"fidelity {quality.fidelity_db:.1f} dB"


def _advice(row: Row) -> str:
    """Use it; or what speaks against it."""
    missed = [goal for goal in row.goals if not goal.met]
    entry = row.artifact.entry
    if missed:
        return f"{entry} misses {f'the goal {missed[0].goal}' if len(missed) == 1 else f'{len(missed)} goals'}"
    speed = speed_gain(against_fp32(row.performance))
    if "smaller" not in size_gain(row.artifact.size_ratio) and "faster" not in speed:
        return f"{entry} brings no gain"
    return f"use {entry} only if size counts more than speed" if "slower" in speed else f"use {entry}"


def _basis(row: Row, results: Results) -> str:
    against = f"{row.artifact.format}-fp32"
    parts = [f"compared with {against}"] if any(a.id == against for a in results.artifacts) else []
    first = next(iter(datasets(results)), None)
    if row.quality and first:
        parts.append(f"PSNR on {first} ({number(row.quality.n, 0)} pictures)")
    if row.performance and row.performance.target:
        parts.append(f"speed on {row.performance.target}, {row.performance.evidence_words}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def missed_goals(results: Results) -> str:
    """The goals missed, as ``fidelity_db of onnx-int8 (39.4 dB, goal ≥ 39.5 dB)``; one of several data sets, once."""
    alike: dict[tuple[str, str | None], Goal] = {}
    for goal in results.goals:
        if not goal.met:
            alike.setdefault((goal.goal, goal.artifact), goal)
    named = [_missed(goal) for goal in list(alike.values())[:NAMED]]
    more = len(alike) - NAMED
    return "; ".join([*named, *([f"and {more} more"] if more > 0 else [])])


def _missed(goal: Goal) -> str:
    value = "not measured" if goal.value is None else goal_figure(goal.goal, goal.value)
    bound = bound_on_cpu(goal).replace("<=", "≤").replace(">=", "≥")
    return f"{goal.goal} of {goal.artifact or 'this run'} ({value}, goal {bound})"
