"""The kinds of YAML files: how a file is recognized, which schema it has, and how it is checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from compress.artifacts.artifact import plan_artifacts
from compress.data.sets import load_set
from compress.pipeline.advice import goals_without_target
from compress.pipeline.inputs import check_data, find_weights
from compress.pipeline.recipe_targets import load_targets
from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.kinds import own_kind
from compress.recipe.library import Kind, find, is_path, load_yaml, names
from compress.recipe.load import load_any, load_model
from compress.recipe.published import to_fill_in
from compress.recipe.schema import Recipe
from compress.recipe.strict import Strict
from compress.recipe.train import TrainRecipe
from compress.refusals import Refusals
from compress.sweep.points import Point, Points
from compress.sweep.schema import Sweep

SCHEMAS: dict[str, type[Strict]] = {
    "recipe": Recipe,
    "calibration": CalibrationSet,
    "target": DeployTarget,
    "train": TrainRecipe,
    "sweep": Sweep,
}
BUILT_IN: dict[str, Kind] = {"recipe": "recipes", "calibration": "calibration", "target": "targets"}


def check_file(name_or_path: str, overrides: Iterable[str] = ()) -> tuple[str, list[str]]:
    """The name in a valid file of any kind, and notes: what is still to be filled in, and goals that nothing measures.

    Pictures of sets are read, those of a hub excepted. A recipe's checkpoint must be there, for its task, and say K and
    sigma_s where the recipe does not.

    Raises InputError, one line per mistake.
    """
    kind, path = _kind(name_or_path)
    if kind == "sweep":
        points = Points(path, overrides)
        _check_points(points.checked)
        return points.sweep.name, []
    if kind == "calibration":
        name = load_model(CalibrationSet, path, overrides).name
        load_set(name_or_path, "sr_x4").check()  # whatever the task is: the pictures must be there
        return name, []
    if kind == "target":
        return load_model(DeployTarget, path, overrides).name, []
    refusals = Refusals()
    loaded = load_any(name_or_path, overrides, refusals)
    message = to_fill_in(loaded.model.weights)
    if isinstance(loaded, Recipe):
        check_data(loaded, refusals, remote=False)
        load_targets(loaded, refusals)
        with refusals.gathered():
            plan_artifacts(loaded)
        if not message:
            with refusals.gathered():
                find_weights(loaded)
    else:
        with refusals.gathered():
            pictures = load_set(loaded.data.validation, loaded.model.task)
            pictures.require_truth("training is validated against them")
            pictures.check()
    refusals.refuse()
    unmeasured = goals_without_target(loaded) if isinstance(loaded, Recipe) else ""
    return loaded.name, [*filter(None, (message and f"model.weights is to be filled in: {message}", unmeasured))]


def _check_points(points: Iterable[Point]) -> None:
    """What the recipes of a sweep's points stand on, once for those that stand on the same."""
    refusals = Refusals()
    for recipe in {_stands_on(point.recipe): point.recipe for point in points}.values():
        check_data(recipe, refusals, remote=False)
        with refusals.gathered():
            find_weights(recipe)
    refusals.refuse()


def _stands_on(recipe: Recipe) -> str:
    """Equal for recipes of which ``check_data`` finds the same."""
    same = recipe.model_copy(update={"model": recipe.model.model_copy(update={"seed": 0})})
    return f"{same.model_dump_json(include={'model', 'data', 'export', 'goals'})} {recipe.ptq is None}"


def _kind(name_or_path: str) -> tuple[str, Path]:
    if not is_path(name_or_path):
        kind = next((kind for kind, folder in BUILT_IN.items() if name_or_path in names(folder)), "recipe")
        return kind, find(BUILT_IN[kind], name_or_path)
    path = find("recipes", name_or_path)
    return _kind_of(load_yaml(path).data), path


def _kind_of(data: Mapping[str, object]) -> str:
    """The kind that a key of its own shows, else the one that has most of its keys."""

    def known(kind: str) -> int:
        return len(data.keys() & SCHEMAS[kind].model_fields.keys())

    return own_kind(data) or max(SCHEMAS, key=known)
