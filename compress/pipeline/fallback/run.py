"""The best bundle that a recipe's ``fallback`` leads to, from one that misses a goal."""

import shutil
from collections.abc import Callable
from pathlib import Path

from compress.bundle.schema import RecipeKey
from compress.pipeline.context import RunContext
from compress.pipeline.fallback.attempts import BESIDE, Attempts, adopt
from compress.pipeline.fallback.layer_errors import measure_errors
from compress.pipeline.fallback.steps import Errors
from compress.pipeline.models import Models
from compress.pipeline.write_bundle import unchanged, write_bundle
from compress.recipe.load import recipe_hash
from compress.recipe.schema import Recipe
from compress.results.document import Results


def fall_back(context: RunContext, results: Results, run: Callable[[RunContext], Results]) -> Results:
    """Results of the best attempt, which the context's folder then holds; ``fallback`` in them says what was tried.

    ``run`` does a whole run. Stopped, it goes on at the attempt that it was at.
    """
    recipe, out = context.recipe, context.folder

    def attempt(changed: Recipe, folder: Path) -> Results:
        asked = context.of(changed, folder)
        return unchanged(asked) or run(asked)

    def errors(changed: Recipe, folder: Path, format_: str) -> Errors:
        return measure_errors(Models(context.of(changed, folder)), format_)

    if not context.resume:
        shutil.rmtree(out / BESIDE, ignore_errors=True)
    attempts = Attempts(recipe, out, results, attempt, errors, context.progress)
    attempts.go()
    best = recipe
    if attempts.best_folder != out:
        best = attempts.best_recipe
        adopt(attempts.best_folder, out)
    results = attempts.best.model_copy(update={"fallback": attempts.log})
    asked = RecipeKey(key=dict(context.inputs.key), recipe_sha256=recipe_hash(recipe))
    write_bundle(context.of(best, out), results, asked)
    shutil.rmtree(out / BESIDE, ignore_errors=True)
    return results
