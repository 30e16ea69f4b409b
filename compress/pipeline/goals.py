"""A recipe's goals against measured results."""

from collections.abc import Callable, Iterator

from compress.artifacts.artifact import by_own_rules
from compress.recipe.schema import QUANTIZED, Goals, SpeedGoal
from compress.results.artifact import ArtifactEntry
from compress.results.document import Results
from compress.results.goal import Goal
from compress.results.machine import Machine
from compress.results.performance import Performance

# goal -> (field of a quality entry, whether the bound is a least value)
QUALITY = {
    "psnr_drop_db": ("psnr_drop_db", False),
    "ssim_drop": ("ssim_drop", False),
    "lpips_rise": ("lpips_rise", False),
    "fidelity_db": ("fidelity_db", True),
    "color_shift": ("color_shift_vs_fp32", False),
}


def check_goals(goals: Goals, results: Results) -> list[Goal]:
    """Entries of ``results.json`` ``goals``: every bound for every quantized artifact that a target of the recipe runs,
    of the recipe's first shape.

    Without targets, for all but an ONNX file by one runtime's rules, which is then a file by the way.
    """
    ran = {p.artifact for p in results.performance}
    judged = [a for a in results.artifacts if a.precision in QUANTIZED and a.shape is None]
    judged = [a for a in judged if (a.id in ran if ran else not by_own_rules(a.id))]
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


def _quality(goals: Goals, results: Results, artifact: ArtifactEntry) -> Iterator[Goal]:
    for name, (field, least) in QUALITY.items():
        bound = getattr(goals, name)
        if bound is None:
            continue
        if artifact.not_run:
            yield _goal(name, artifact, None, bound, None, least=least)
        for quality in results.quality:
            if quality.artifact == artifact.id:
                yield _goal(name, artifact, quality.dataset, bound, getattr(quality, field), least=least)


def _size(goals: Goals, artifact: ArtifactEntry) -> Iterator[Goal]:
    if goals.size_ratio is not None:
        yield _goal("size_ratio", artifact, None, goals.size_ratio, artifact.size_ratio, least=False)


def _speed(goals: Goals, results: Results, artifact: ArtifactEntry) -> Iterator[Goal]:
    wanted = goals.speedup
    goal = wanted if isinstance(wanted, SpeedGoal) else (wanted or {}).get(artifact.format)
    if goal is None:
        return
    # Where nothing was timed (an emulated, compiled or parsed target) there is no speed to judge.
    timed = [p for p in results.performance if p.artifact == artifact.id and p.speedup_vs]
    for p in timed:
        speedup = getattr(p.speedup_vs, goal.vs)
        yield _on_cpu(goal, p.machine or results.machine, artifact, p.target, speedup.value if speedup else None)
    if not timed:
        yield _on_cpu(goal, results.machine, artifact, None, None)


def _on_cpu(
    speed: SpeedGoal, machine: Machine, artifact: ArtifactEntry, target: str | None, value: float | None
) -> Goal:
    """The bound is that of the machine's CPU."""
    bound, feature = speed.bound(machine.features)
    goal = _goal(f"speedup_vs_{speed.vs}", artifact, target, bound, value, least=True)
    if feature is not None:
        goal.cpu_feature = feature
    return goal


def _device(goals: Goals, results: Results, artifact: ArtifactEntry) -> Iterator[Goal]:
    """What stands on a device that is not here: an emulator's, a compiler's, a parser's word, of each target."""
    for name, (figure, least) in DEVICE.items():
        bound = getattr(goals, name)
        if bound is None:
            continue
        figures = [(p.target, figure(p)) for p in results.performance if p.artifact == artifact.id]
        figures = [(target, value) for target, value in figures if value is not None]
        for target, value in figures or [(None, None)]:
            yield _goal(name, artifact, target, bound, value, least=least)


def _estimated_speedup(performance: Performance) -> float | None:
    return performance.estimate.speedup_vs_fp16 if performance.estimate else None


def _breaches(performance: Performance) -> int | None:
    accepted = performance.accepted
    return None if accepted is None else len(performance.lint or []) + (not accepted)


# goal -> (its value in a performance entry, or None; whether the bound is a least value)
DEVICE: dict[str, tuple[Callable[[Performance], float | None], bool]] = {
    "instructions_ratio": (lambda performance: performance.instructions_vs_fp32, True),
    "estimated_speedup": (_estimated_speedup, True),
    "breaches": (_breaches, False),
}


def _delegated(results: Results, artifact: ArtifactEntry) -> Iterator[Goal]:
    """The gates of targets, ``min_delegated``: no goal of the recipe, and judged all the same."""
    for p in results.performance:
        gate = p.delegated
        if p.artifact == artifact.id and gate is not None and gate.min is not None:
            yield _goal("delegated", artifact, p.target, gate.min, gate.share, least=True)


def _collapsed(goals: Goals, results: Results, artifact: ArtifactEntry) -> Iterator[Goal]:
    """Judged only where it is missed: an artifact whose pictures are darker, flatter or clipped, whatever its PSNR."""
    for quality in results.quality:
        if quality.artifact != artifact.id or goals.histogram is None:
            continue
        worst = max((p.histogram_vs_fp32 or 0.0 for p in quality.pictures), default=0.0)
        if worst > goals.histogram:
            yield _goal("histogram", artifact, quality.dataset, goals.histogram, worst, least=False)


def _goal(
    name: str, artifact: ArtifactEntry, dataset: str | None, bound: float, value: float | None, *, least: bool
) -> Goal:
    met = value is not None and (value >= bound if least else value <= bound)
    goal = Goal(goal=name, artifact=artifact.id, dataset=dataset, bound=bound, value=value, met=met)
    if value is None:
        why = artifact.not_run or "no target of the recipe ran it"
        goal.reason = f"not measured: {why}"
    return goal
