"""The search itself: sensitivities, costs, then combinations, each remembered by content; stopped by its budget."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from compress.artifacts.artifact import FORMATS, Artifact
from compress.errors import InputError
from compress.folders import Owner, check_folder, claimed, source_of
from compress.pipeline.check_passes import refuse_passes
from compress.pipeline.context import RunContext
from compress.pipeline.models import Models
from compress.pipeline.recipe_targets import load_targets
from compress.pipeline.workers import Workers, shared_files
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import is_path
from compress.recipe.passes import FLOAT
from compress.recipe.schema import Format, Recipe
from compress.recipe.search_and_fallback import Constraints
from compress.refusals import Refusals
from compress.search.at_once import AtOnce
from compress.search.choose import Problem, Trial, pareto
from compress.search.costs import FLOAT_MODEL, OWN, Costs, measure_costs, options_of
from compress.search.groups import Group
from compress.search.lab import PROBED, Lab, lab_of
from compress.search.quality import Judge, TorchQuality
from compress.search.result import SearchResult, write_recipes
from compress.targets.bench import runs


def search(
    context: RunContext,
    source: str,
    format_: str | None = None,
    workers: Workers | None = None,
    store: str | None = None,
) -> SearchResult:
    """Choose the bits of every layer of the recipe's ptq within its ``search``; ``source``: its name or path.

    Writes a recipe for each point that no other beats into the context's folder, where what was measured is kept too.
    ``workers``: measures many at once where it can; ``store``: where its nodes find what was calibrated, by default a
    folder in there. Raises InputError for a recipe without ptq of engine elir, one that does not export ``format_`` in
    8 bits, or a budget that ends before there is anything to choose from.
    """
    recipe, out, fresh = context.recipe, context.folder, not context.resume
    deadline = time.monotonic() + 60 * recipe.search.minutes
    chosen = _format(context, format_)
    refusals = Refusals()
    target = _target(recipe, load_targets(recipe, refusals), chosen)
    refusals.refuse()
    owner = Owner("search", recipe.name, source_of(source, out) if is_path(source) else source)
    check_folder(out, owner, fresh=fresh)
    left = shared_files(out, store) if workers else None
    context = replace(context, shared=left)
    refuse_passes(context)  # as its data and weights are, before the folder is claimed
    with claimed(out, owner, context.progress.say, fresh=fresh):
        at_once = AtOnce(workers, left) if workers and left else None
        result = _Run(lab_of(Models(context), chosen), target, deadline, at_once).result()
        return write_recipes(result, recipe, source, out)


def _format(context: RunContext, asked: str | None) -> Format:
    exported = {a.format for a in context.planned if a.precision == "int8"}
    chosen = next((f for f in FORMATS if f in exported and asked in (None, f)), None)
    if chosen is None:
        what = f"{asked} in 8 bits" if asked else "anything in 8 bits"
        name = context.recipe.name
        raise InputError(f"{name}: does not export {what}: choose another format, or add it under export")
    return chosen


class _Run:
    def __init__(self, lab: Lab, target: DeployTarget | None, deadline: float, at_once: AtOnce | None) -> None:
        context = lab.models.context
        self.lab, self.format, self.deadline, self.at_once = lab, lab.format, deadline, at_once
        self.recipe, self.stages, self.progress = context.recipe, context.stages, context.progress
        self.asked, self.pictures = context.recipe.search, context.inputs.validation[0]
        self.target = target
        self.judge = Judge(lab.models, self.asked.pictures)

    def result(self) -> SearchResult:
        """Every stage of the search."""
        groups = self.lab.groups
        errors = self._errors(groups)
        costs = measure_costs(self.lab, self.target)
        problem = self._problem(groups, errors, costs)
        tried = self._tried(problem, costs)
        return SearchResult(
            recipe=self.recipe.name,
            format=self.format,
            target=self.target.name if self.target else None,
            dataset=self.pictures.name,
            pictures=tried[0].quality.n,
            constraints=self.asked.constraints,
            costs=costs,
            groups=groups,
            problem=problem,
            tried=tried,
            pareto=pareto([t for t in tried if t.met] or tried),
            layers=tuple(self.lab.convs),
            usual=self.lab.settings.weight_bits,
        )

    def _errors(self, groups: list[Group]) -> list[dict[int, float]]:
        """Squared error by bits, of each group alone."""
        units = [(group, bits) for group in groups for bits in self.lab.bits if bits < FLOAT]
        by_group: dict[str, dict[int, float]] = {group.name: {} for group in groups}
        with self.progress.stage("each layer alone", len(units)) as stage:
            todo = [(g.name, bits) for g, bits in units if not self.stages.done(*self._alone(g.name, bits))]
            for unit, error in self._early(AtOnce.errors, todo):
                self.stages.run(*_known(self._alone(*unit), error))
            for i, (group, bits) in enumerate(units):
                name, key = self._alone(group.name, bits)
                worked = not self.stages.done(name, key)
                if worked and time.monotonic() > self.deadline:
                    raise InputError(
                        f"search.minutes: {self.asked.minutes:g} minutes were over after {i} of {len(units)} single "
                        "layers: run it again to go on, or give --minutes"
                    )
                by_group[group.name][bits] = self.stages.run(name, partial(self.lab.error, group, bits), key)
                stage.advance(worked=worked)
        return [{**errors, **({FLOAT: 0.0} if FLOAT in self.lab.bits else {})} for errors in by_group.values()]

    def _alone(self, group: str, bits: int) -> tuple[str, list[Any]]:
        """Name and key of a stage."""
        return f"alone-{self.format}-{group}-{bits}", [self.format, PROBED]

    def _together(self, bits: dict[str, int]) -> tuple[str, list[Any]]:
        key = [self.format, self.asked.pictures, self.pictures.hash, sorted(self._by_layer(bits).items())]
        return "together-" + _short_hash(key), key

    def _by_layer(self, bits: dict[str, int]) -> dict[str, int]:
        return {layer: bits[group.name] for group in self.lab.groups for layer in group.layers}

    def _early(self, measure: Callable[[AtOnce, Lab, list[Any]], list[Any]], todo: list[Any]) -> Iterator[Any]:
        """(unit, figure) of what workers measure at once, as long as there is time."""
        if self.at_once is None:
            return
        while todo and time.monotonic() < self.deadline:
            some, todo = todo[: self.at_once.most], todo[self.at_once.most :]
            yield from zip(some, measure(self.at_once, self.lab, some), strict=True)

    def _problem(self, groups: list[Group], errors: list[dict[int, float]], costs: Costs) -> Problem:
        options = {g.name: options_of(g, e, costs, groups, self.format) for g, e in zip(groups, errors, strict=True)}
        usual = self.lab.settings.weight_bits
        ms, sizes = costs.ms, costs.bytes
        constraints = self.asked.constraints
        return Problem(
            options,
            rest_bytes=sizes[OWN] - sum(g.bytes(usual, self.format) for g in groups),
            rest_ms=ms[OWN] if ms else None,
            most_bytes=constraints.size_ratio and constraints.size_ratio * sizes[FLOAT_MODEL],
            most_ms=_most_ms(constraints, ms),
        )

    def _tried(self, problem: Problem, costs: Costs) -> list[Trial]:
        """Combinations measured, within the budget; the recipe's own bits are always the first."""
        tried: list[Trial] = []
        usual = dict.fromkeys(problem.options, self.lab.settings.weight_bits)
        first: list[dict[str, int]] = []
        for bits in problem.sweep(usual, max(2, self.asked.trials // 2)):
            first += [bits] if bits not in first else []
        with self.progress.stage("whole combinations", self.asked.trials, even=False) as stage:
            todo = [bits for bits in first if not self.stages.done(*self._together(bits))]
            by_layer = [self._by_layer(bits) for bits in todo]
            for i, (_, quality) in enumerate(self._early(AtOnce.qualities, by_layer)):
                self.stages.run_as(TorchQuality, *_known(self._together(todo[i]), quality))
            for bits in self._proposals(problem, first, tried):
                tried.append(self._measured(bits, problem, costs))
                stage.advance()
                if len(tried) >= self.asked.trials or time.monotonic() > self.deadline:
                    break
        return tried

    def _proposals(self, problem: Problem, first: list[dict[str, int]], tried: list[Trial]) -> Iterator[dict[str, int]]:
        """New ones only: ``first``, over all sizes and times, then between those that were measured, one at a time:
        each depends on all before it.
        """
        yield from first
        seen = list(first)
        while new := next((bits for bits in problem.between(tried) if bits not in seen), None):
            seen.append(new)
            yield new

    def _measured(self, bits: dict[str, int], problem: Problem, costs: Costs) -> Trial:
        _, size, ms = problem.cost(bits)
        name, key = self._together(bits)
        quality = self.stages.run_as(
            TorchQuality, name, lambda: self.judge.quality(self.lab.module(self._by_layer(bits))), key
        )
        met = _met(self.asked.constraints, quality, size / costs.bytes[FLOAT_MODEL], ms, problem.most_ms)
        return Trial(bits, size, ms, quality, met)


def _known(stage: tuple[str, list[Any]], result: Any) -> tuple[str, Callable[[], Any], list[Any]]:
    """Arguments of ``Stages.run`` for what is known already."""
    return stage[0], lambda: result, stage[1]


def _target(recipe: Recipe, targets: Sequence[DeployTarget], format_: Format) -> DeployTarget | None:
    """The first of ``targets`` on this machine that runs the format in fp32 and int8. Raises InputError where a time is
    asked for that nothing can tell."""
    both = [Artifact(format_, precision) for precision in ("fp32", "int8")]
    chosen = next((t for t in targets if t.reach == "local" and all(runs(t, a) for a in both)), None)
    asked = [name for name in ("latency_ms", "speedup") if getattr(recipe.search.constraints, name) is not None]
    if chosen is None and asked:
        raise InputError(
            f"search.constraints.{asked[0]}: no local target of the recipe runs {format_} in fp32 and int8: add one "
            "under targets, or remove it"
        )
    return chosen


def _most_ms(constraints: Constraints, ms: dict[str, float] | None) -> float | None:
    bounds = [constraints.latency_ms]
    if ms is not None and constraints.speedup is not None:
        bounds.append(ms[FLOAT_MODEL] / constraints.speedup)
    return min((bound for bound in bounds if bound is not None), default=None)


def _met(constraints: Constraints, quality: TorchQuality, ratio: float, ms: float | None, most: float | None) -> bool:
    at_most = [
        (quality.psnr_drop_db, constraints.psnr_drop_db),
        (quality.lpips_rise, constraints.lpips_rise),
        (-quality.fidelity_db, constraints.fidelity_db and -constraints.fidelity_db),
        (ratio, constraints.size_ratio),
        (ms, most),
    ]
    return all(value is not None and value <= bound for value, bound in at_most if bound is not None)


def _short_hash(key: Any) -> str:
    import json

    from compress.files import sha256_text

    return sha256_text(json.dumps(key))[:16]
