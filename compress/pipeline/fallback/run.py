"""From a bundle that misses a goal to the best one that its recipe's ``fallback`` leads to."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.artifacts.artifact import plan_artifacts
from compress.artifacts.writer import Writer
from compress.pipeline.cache import Stages
from compress.pipeline.fallback.attempts import BESIDE, Attempts, adopt
from compress.pipeline.fallback.layer_errors import measure_errors
from compress.pipeline.fallback.steps import Errors
from compress.pipeline.inputs import Inputs
from compress.pipeline.models import Models
from compress.pipeline.write_bundle import unchanged, write_bundle
from compress.progress import Progress
from compress.recipe.load import recipe_hash
from compress.recipe.schema import Recipe

Results = dict[str, Any]


def fall_back(
    recipe: Recipe,
    inputs: Inputs,
    out: Path,
    results: Results,
    run: Callable[[Recipe, Path, Inputs], Results],
    resume: bool,
    progress: Progress,
) -> Results:
    """Results of the best attempt, which the bundle ``out`` then holds; ``fallback`` in them says what was tried.

    ``run(recipe, folder, inputs)`` does a whole run. Stopped, it goes on at the attempt that it was at.
    """

    def attempt(changed: Recipe, folder: Path) -> Results:
        asked = inputs.of(changed)
        return unchanged(folder, asked, changed) or run(changed, folder, asked)

    def errors(changed: Recipe, folder: Path, format_: str) -> Errors:
        asked, planned = inputs.of(changed), plan_artifacts(changed)
        stages = Stages(folder, asked.key, True)
        return measure_errors(Models(changed, asked, planned, Writer(changed, folder), stages, progress), format_)

    if not resume:
        shutil.rmtree(out / BESIDE, ignore_errors=True)
    attempts = Attempts(recipe, out, results, attempt, errors, progress)
    attempts.go()
    best = recipe
    if attempts.best_folder != out:
        best = attempts.best_recipe
        adopt(attempts.best_folder, out)
    results = {**attempts.best, "fallback": attempts.log}
    asked = {"key": inputs.key, "recipe_sha256": recipe_hash(recipe)}
    write_bundle(out, results, best, inputs.of(best), plan_artifacts(best), asked)
    shutil.rmtree(out / BESIDE, ignore_errors=True)
    return results
