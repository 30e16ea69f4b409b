"""A recipe's goals against measured results."""

from collections.abc import Callable, Iterator
from typing import Any

from compress.recipe.schema import QUANTIZED, Goals, SpeedGoal

Entry = dict[str, Any]
# goal -> (field of a quality entry, whether the bound is a least value)
QUALITY = {
    "psnr_drop_db": ("psnr_drop_db", False),
    "ssim_drop": ("ssim_drop", False),
    "lpips_rise": ("lpips_rise", False),
    "fidelity_db": ("fidelity_db", True),
    "color_shift": ("color_shift_vs_fp32", False),
}


def check_goals(goals: Goals, results: Entry) -> list[Entry]:
    """Entries of ``results.json`` ``goals``: every bound for every quantized artifact that a target of the recipe runs.

    Without targets, for all but TensorRT's ONNX file, which is then a file by the way.
    """
    ran = {p["artifact"] for p in results["performance"]}
    judged = [a for a in results["artifacts"] if a["precision"] in QUANTIZED]
    judged = [a for a in judged if (a["id"] in ran if ran else not a["id"].endswith("-tensorrt"))]
    return [
        entry
        for a in judged
        for entry in (
            *_quality(goals, results, a),
            *_size(goals, a),
            *_speed(goals, results, a),
            *_device(goals, results, a),
            *_delegated(results, a),
            *_collapsed(goals, results, a),
        )
    ]


def _quality(goals: Goals, results: Entry, artifact: Entry) -> Iterator[Entry]:
    for name, (field, least) in QUALITY.items():
        bound = getattr(goals, name)
        if bound is None:
            continue
        for quality in results["quality"]:
            if quality["artifact"] == artifact["id"]:
                yield _entry(name, artifact["id"], quality["dataset"], bound, quality[field], least)


def _size(goals: Goals, artifact: Entry) -> Iterator[Entry]:
    if goals.size_ratio is not None:
        yield _entry("size_ratio", artifact["id"], None, goals.size_ratio, artifact["size_ratio"], False)


def _speed(goals: Goals, results: Entry, artifact: Entry) -> Iterator[Entry]:
    wanted = goals.speedup
    goal = wanted if isinstance(wanted, SpeedGoal) else (wanted or {}).get(artifact["format"])
    if goal is None:
        return
    # Where nothing was timed (an emulated, compiled or parsed target) there is no speed to judge.
    measured = [p for p in results["performance"] if p["artifact"] == artifact["id"] and p["speedup_vs"]]
    for p in measured or [{"speedup_vs": {}}]:
        value = (p["speedup_vs"].get(goal.vs) or {}).get("value")
        yield _entry(f"speedup_vs_{goal.vs}", artifact["id"], p.get("target"), goal.min, value, True)


def _device(goals: Goals, results: Entry, artifact: Entry) -> Iterator[Entry]:
    """What stands on a device that is not here: an emulator's, a compiler's, a parser's word, of each target."""
    for name, (find, least) in DEVICE.items():
        bound = getattr(goals, name)
        if bound is None:
            continue
        told = [(p["target"], find(p)) for p in results["performance"] if p["artifact"] == artifact["id"]]
        told = [(target, value) for target, value in told if value is not None]
        for target, value in told or [(None, None)]:
            yield _entry(name, artifact["id"], target, bound, value, least)


def _estimated_speedup(performance: Entry) -> float | None:
    return (performance.get("estimate") or {}).get("speedup_vs_fp16")


def _breaches(performance: Entry) -> int | None:
    accepted = performance.get("accepted")
    return None if accepted is None else len(performance.get("lint") or []) + (not accepted)


# goal -> (its value in a performance entry, or None; whether the bound is a least value)
DEVICE: dict[str, tuple[Callable[[Entry], float | None], bool]] = {
    "instructions_ratio": (lambda performance: performance.get("instructions_vs_fp32"), True),
    "estimated_speedup": (_estimated_speedup, True),
    "breaches": (_breaches, False),
}


def _delegated(results: Entry, artifact: Entry) -> Iterator[Entry]:
    """The gates of targets, ``min_delegated``: no goal of the recipe, and judged all the same."""
    for p in results["performance"]:
        gate = p.get("delegated") or {}
        if p["artifact"] == artifact["id"] and gate.get("min") is not None:
            yield _entry("delegated", artifact["id"], p["target"], gate["min"], gate["share"], True)


def _collapsed(goals: Goals, results: Entry, artifact: Entry) -> Iterator[Entry]:
    """An artifact whose pictures are darker, flatter or clipped is told, whatever its PSNR; one that is not, is not."""
    for quality in results["quality"]:
        if quality["artifact"] != artifact["id"] or goals.histogram is None:
            continue
        worst = max((p.get("histogram_vs_fp32") or 0.0 for p in quality.get("pictures", ())), default=0.0)
        if worst > goals.histogram:
            yield _entry("histogram", artifact["id"], quality["dataset"], goals.histogram, worst, False)


def _entry(goal: str, artifact: str, dataset: str | None, bound: float, value: float | None, least: bool) -> Entry:
    met = value is not None and (value >= bound if least else value <= bound)
    entry = {"goal": goal, "artifact": artifact, "dataset": dataset, "bound": bound, "value": value, "met": met}
    return entry if value is not None else {**entry, "reason": "not measured: no target of the recipe ran it"}
