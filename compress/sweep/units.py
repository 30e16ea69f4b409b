"""Points -> units: what is shared is made once, then each point is built, then timed on each target."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from compress.artifacts.artifact import plan_artifacts
from compress.files import sha256_text
from compress.pipeline.check_passes import PassChecks
from compress.pipeline.inputs import Inputs, RunKey, prefix_key, recipe_parts, resolve
from compress.pipeline.workers import Task
from compress.pipeline.workers.base import ALL
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.schema import Recipe
from compress.recipe.validation import load_model
from compress.refusals import Refusals
from compress.sweep.points import Point
from compress.sweep.work import Job, bench, build, prefix
from compress.targets.bench import runs

Kind = Literal["prefix", "build", "bench"]
FAR = ("ssh",)  # ways to reach a device that not every node has


@dataclass(frozen=True)
class Unit:
    """One piece of a sweep; ``point`` is None for what several points share."""

    kind: Kind
    task: Task
    point: str | None = None
    estimated_bytes: int = 0


@dataclass
class Planner:
    """Makes the units of points; what was read of weights and data is read once for all of them."""

    store: str
    cpus: int
    reuse: bool
    _inputs: dict[str, Inputs] = field(default_factory=dict)
    _targets: dict[str, DeployTarget] = field(default_factory=dict)
    _values: dict[Path, dict[str, int]] = field(default_factory=dict)

    def units(self, points: Sequence[Point]) -> list[Unit]:
        """Units in an order in which each comes after those that it needs; equal ones stand there once."""
        keys = {point.recipe.name: self.key(point.recipe) for point in points}
        shared = self._shared(points, keys)
        units: dict[str, Unit] = {}
        for point in points:
            after = self._prefixes(point, keys[point.recipe.name], shared, units)
            built = self._build(point, keys[point.recipe.name], after)
            units.setdefault(built.task.key, built)
            for name in filter(lambda target: self._runs(point, target), point.targets):
                timed = self._bench(point, built.task.key, name)
                units.setdefault(timed.task.key, timed)
        return list(units.values())

    def check_passes(self, points: Sequence[Point]) -> None:
        """Raise InputError, a line for each, for what the points' passes will refuse of their models, which students
        that are reused settled before.
        """
        if self.reuse:
            return
        checks, refusals = PassChecks(), Refusals()
        for point in points:
            checks.check(point.recipe, self._resolved(point.recipe).weights, refusals)
        refusals.refuse()

    def key(self, recipe: Recipe) -> RunKey:
        """``Inputs.key`` of a recipe."""
        return {**self._resolved(recipe).key, "recipe": recipe_parts(recipe)}

    def _resolved(self, recipe: Recipe) -> Inputs:
        """Weights and data, read once; the recipe in them is the first that asked."""
        passes = recipe.model_dump(mode="json", include={"passes"}) if self.reuse else None
        model = recipe.model.model_dump(exclude={"seed"})
        known = sha256_text(json.dumps([model, recipe.data.model_dump(), passes], sort_keys=True))
        if known not in self._inputs:
            self._inputs[known] = resolve(recipe, reuse=self.reuse)
        return self._inputs[known]

    def _shared(self, points: Sequence[Point], keys: dict[str, RunKey]) -> set[str]:
        """Prefixes that several bundles need, the last one only of those that the very same ones need."""
        users: dict[str, set[str]] = {}
        for point in points:
            for key, _ in _kept(point.recipe, keys[point.recipe.name]):
                users.setdefault(key, set()).add(self._build_key(point, keys[point.recipe.name]))
        shared: set[str] = set()
        for point in points:
            chain = [key for key, _ in _kept(point.recipe, keys[point.recipe.name]) if len(users[key]) > 1]
            shared |= {k for k, later in zip(chain, [*chain, ""][1:], strict=True) if users[k] != users.get(later)}
        return shared

    def _prefixes(self, point: Point, key: RunKey, shared: set[str], units: dict[str, Unit]) -> tuple[str, ...]:
        """Add the units of what ``point`` shares; the last one's key, on which all of it stands."""
        after: tuple[str, ...] = ()
        for name, length in _kept(point.recipe, key):
            if name not in shared:
                continue
            recipe = point.recipe.model_copy(update={"passes": point.recipe.passes[:length]})
            passes = " -> ".join(item.name for item in recipe.passes)
            label = f"{passes} ({name[:6]})"
            job = Job(name, label, self.store, self.cpus)
            given = {"job": job, "recipe": recipe.model_dump_json(), "reuse": self.reuse}
            units.setdefault(name, Unit("prefix", Task(name, label, prefix, given, after, self.cpus)))
            after = (name,)
        return after

    def _build_key(self, point: Point, key: RunKey) -> str:
        data = self._resolved(point.recipe).data_hashes
        return sha256_text(json.dumps(["build", key, data, self.cpus], sort_keys=True))

    def _build(self, point: Point, key: RunKey, after: tuple[str, ...]) -> Unit:
        name = self._build_key(point, key)
        timed = any(self._runs(point, target) for target in point.targets)
        job = Job(name, point.label, self.store, self.cpus)
        recipe = point.recipe.model_dump_json()
        given = {"job": job, "recipe": recipe, "reuse": self.reuse, "record": not timed}
        task = Task(name, point.label, build, given, after, self.cpus)
        return Unit("build", task, point.label, self._bytes(point.recipe))

    def _target(self, name: str) -> DeployTarget:
        if name not in self._targets:
            self._targets[name] = load_model(DeployTarget, find("targets", name))
        return self._targets[name]

    def _runs(self, point: Point, target: str) -> bool:
        return any(runs(self._target(target), a) for a in plan_artifacts(point.recipe))

    def _bench(self, point: Point, built: str, target: str) -> Unit:
        loaded = self._target(target)
        # The bundle may have been built for a point that was timed in another way, and had other goals.
        asked = {"mode": point.recipe.measure, "goals": point.recipe.goals.model_dump(mode="json")}
        facts = ["bench", built, loaded.model_dump(mode="json"), asked]
        name = sha256_text(json.dumps(facts, sort_keys=True))
        label = f"{point.label} on {target}"
        given = {"job": Job(name, label, self.store), "built": built, "target": target, **asked}
        far = loaded.reach in FAR
        task = Task(name, label, bench, given, (built,), 1 if far else ALL, target, far)
        return Unit("bench", task, point.label)

    def _bytes(self, recipe: Recipe) -> int:
        """Bytes of the artifacts, as `apply --dry-run` estimates them."""
        from compress.pipeline.inputs import estimated_bytes, model_values

        weights = self._resolved(recipe).weights
        if weights not in self._values:
            self._values[weights] = model_values(weights)
        return sum(estimated_bytes(recipe, self._values[weights], a) for a in plan_artifacts(recipe))


def _kept(recipe: Recipe, key: RunKey) -> list[tuple[str, int]]:
    """(key, number of passes) of each prefix that ends in a pass whose work is kept: training, calibration."""
    prefixes = []
    for i, item in enumerate(recipe.passes, 1):
        calibrated = item.ptq is not None and item.ptq.engine == "elir"
        if calibrated or item.distill or item.qat:
            prefixes.append((sha256_text(json.dumps(["prefix", prefix_key(key, recipe.passes[:i])])), i))
    return prefixes


def count(units: Iterable[Unit]) -> dict[str, int]:
    """Units by kind."""
    return dict(Counter(unit.kind for unit in units))
