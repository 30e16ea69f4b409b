"""A sweep's YAML -> its points: recipes with settings, each checked before anything runs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compress.artifacts.artifact import Artifact, plan_artifacts
from compress.errors import InputError
from compress.files import sha256_text
from compress.pipeline.recipe_targets import check_runs
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.kinds import check_kind
from compress.recipe.library import find, load_yaml
from compress.recipe.load import RecipeFile
from compress.recipe.paths import from_file
from compress.recipe.schema import Recipe
from compress.recipe.validation import load_model
from compress.refusals import MOST_MISTAKES, Refusals
from compress.sweep.schema import Optuna, Settings, Sweep

MAKES = ("export", "passes")  # keys of a recipe that say which artifacts it makes
SHORT = 28  # characters of a value in a point's label


@dataclass(frozen=True)
class Point:
    """One recipe with its settings; ``label`` is for people, ``recipe.name`` for the ledger."""

    label: str
    settings: Settings
    recipe: Recipe
    targets: tuple[str, ...]


class Points:
    """The points of a sweep's file. Raises InputError: one line a mistake, of the file or of a point's settings."""

    def __init__(self, path: Path, overrides: Iterable[str] = ()) -> None:
        self.path = path
        check_kind("sweep", load_yaml(path).data, path, str(path))
        self.sweep = load_model(Sweep, path, overrides, from_file)
        try:
            self._files = {name: RecipeFile(name) for name in self.sweep.recipes}
        except InputError as error:
            raise InputError(f"{path}: recipes: {error}") from None
        self._labels: dict[str, str] = {}

    @cached_property
    def known(self) -> list[Point]:
        """Every point; of an Optuna search, which finds its points only while it runs, none."""
        return [] if isinstance(self.sweep.search, Optuna) else self.checked

    @cached_property
    def checked(self) -> list[Point]:
        """The points that are checked before anything runs: all of them, or the corners of an Optuna search."""
        search = self.sweep.search
        points = self.of([{}] if search is None else search.points())
        self._check_targets(points)
        return points

    def of(self, chosen: Iterable[Settings]) -> list[Point]:
        """Points of these settings, for every recipe."""
        points: list[Point] = []
        mistakes: dict[str, None] = {}
        for settings in chosen:
            for name in self._files:
                try:
                    points.append(self._point(name, settings))
                except InputError as error:
                    mistakes |= dict.fromkeys(f"{self.path}: {line}" for line in str(error).splitlines())
            if len(mistakes) > MOST_MISTAKES:
                break
        if mistakes:
            raise InputError(*mistakes)
        return points

    def _check_targets(self, points: Sequence[Point]) -> None:
        """Refuse targets that run nothing of any point. Those of a recipe whose exports the sweep sets are a choice."""
        planned: dict[str, dict[Artifact, None]] = {}
        for point in points:
            asked = {**self.sweep.set_, **point.settings}
            if self.sweep.targets is None and any(path.split(".")[0] in MAKES for path in asked):
                continue
            for target in point.targets:
                planned.setdefault(target, {}).update(dict.fromkeys(plan_artifacts(point.recipe)))
        refusals = Refusals()
        for name, artifacts in planned.items():
            with refusals.gathered():
                check_runs(load_model(DeployTarget, find("targets", name)), [*artifacts])
        refusals.refuse()

    def _point(self, name: str, settings: Settings) -> Point:
        asked = {**self.sweep.set_, **settings}
        overrides = [f"{path}={json.dumps(value)}" for path, value in asked.items()]
        recipe = self._files[name].load(overrides, self.sweep.targets or ())
        short = sha256_text(json.dumps([name, asked], sort_keys=True))[:8]
        label = " ".join([recipe.name, *(_setting(path, value) for path, value in settings.items())])
        if self._labels.setdefault(label, short) != short:
            label = f"{label} ({short})"
        targets = recipe.targets if self.sweep.targets is None else self.sweep.targets
        # Targets are units of their own: what is built does not depend on them.
        changed = {"name": f"{self.sweep.name}-{recipe.name}-{short}", "targets": []}
        return Point(label, settings, recipe.model_copy(update=changed), tuple(targets))


def _setting(path: str, value: Any) -> str:
    """A setting in few words: of a mapping what is in it, of one that holds lists its name alone."""
    name = path.split(".")[-1]
    if isinstance(value, dict):
        lists = any(isinstance(inner, list) for inner in value.values())
        return name if lists else " ".join(_setting(key, inner) for key, inner in value.items())
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{name}={text if len(text) <= SHORT else text[: SHORT - 3] + '...'}"
