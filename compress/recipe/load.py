"""YAML -> ``Recipe``: ``extends``, ``--set``, every name and every pass's settings checked before weights load."""

import copy
import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.files import real_path, sha256_text
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.kinds import check_kind
from compress.recipe.library import Kind, find, is_path, load_yaml
from compress.recipe.pass_order import order_mistakes
from compress.recipe.paths import from_file, move_paths, relative_to
from compress.recipe.published import to_fill_in
from compress.recipe.schema import Recipe, RecipeData, RecipeModel
from compress.recipe.train import TrainRecipe
from compress.recipe.validation import Mistake, Source, check, load_model
from compress.refusals import MOST_MISTAKES, Refusals
from compress.surroundings import expanded

MOST_EXTENDED = 8
"""Recipes of which each extends the next: all of them are read, and merged."""

__all__ = ["RecipeFile", "load_any", "load_model", "load_recipe", "load_training", "recipe_hash", "to_yaml"]


def load_recipe(name_or_path: str, overrides: Iterable[str] = (), targets: Iterable[str] = ()) -> Recipe:
    """The recipe of a built-in name or a path: ``extends`` resolved, settings ``a.b=c`` applied, all of it checked.

    ``targets``: replace the recipe's own, when there are any. Relative paths in a file start at its folder, those of
    bundled recipes and of ``overrides`` at the current one.
    Raises InputError: one line a mistake, with file, line, key path, rule and the nearest valid name.
    """
    return RecipeFile(name_or_path).load(overrides, targets)


class RecipeFile:
    """A recipe's file, read once, for loading it with many settings. Raises as ``load_recipe``."""

    def __init__(self, name_or_path: str) -> None:
        self._source = _resolved(find("recipes", name_or_path), ())
        check_kind("recipe", self._source.data, self._source.path, name_or_path)

    def load(
        self, overrides: Iterable[str] = (), targets: Iterable[str] = (), refusals: Refusals | None = None
    ) -> Recipe:
        """See ``load_recipe``. ``refusals``: gather what names lead nowhere there, if nothing else is wrong."""
        chosen = list(targets)
        source = self._with(overrides, chosen)
        recipe, mistakes = _checked(source)

        def others(settings: list[str]) -> list[Mistake]:
            changed = self._with(settings, chosen)
            return [*_checked(changed)[1], *_names(changed)]

        if mistakes or refusals is None:
            source.refuse(mistakes + _names(source), others)
        else:
            with refusals.gathered():
                source.refuse(_names(source))
        assert recipe is not None
        return recipe

    def _with(self, overrides: Iterable[str], targets: list[str]) -> Source:
        source = copy.deepcopy(self._source)
        source.override(overrides)
        if "extends" in source.data:
            place = source.place(("extends",))
            raise InputError(f"{place}: extends: cannot be changed by a setting: write it in a file")
        if targets:
            source.replace(("targets",), targets, "targets given")
        return source


def _checked(source: Source) -> tuple[Recipe | None, list[Mistake]]:
    """The recipe, and what is wrong with it apart from names that lead nowhere."""
    recipe, mistakes = check(Recipe, source.data)
    mistakes += _order(source) + _exports(source)
    if recipe and not mistakes and recipe.export.layout == "staged" and not _names(source):
        mistakes = _without_staged(recipe)
    return recipe, mistakes


def load_any(
    name_or_path: str, overrides: Iterable[str] = (), refusals: Refusals | None = None
) -> Recipe | TrainRecipe:
    """The recipe of ``compress apply`` or of ``compress train``, whichever the file holds; errors as theirs.

    ``refusals`` as of ``RecipeFile.load``.
    """
    path = find("recipes", name_or_path)
    if "stages" in load_yaml(path).data:
        return load_training(name_or_path, overrides)
    return RecipeFile(name_or_path).load(overrides, (), refusals)


def load_training(name_or_path: str, overrides: Iterable[str] = ()) -> TrainRecipe:
    """The training recipe of a built-in name or a path; paths and errors as ``load_recipe``'s."""
    path = find("recipes", name_or_path)
    check_kind("train", load_yaml(path).data, path, name_or_path)
    return load_model(TrainRecipe, path, overrides, from_file)


def recipe_hash(recipe: Recipe) -> str:
    """Hex sha256 of the recipe's canonical JSON: equal for equal settings, however they were written."""
    return sha256_text(json.dumps(recipe.model_dump(mode="json"), sort_keys=True, separators=(",", ":")))


def to_yaml(recipe: Recipe, folder: Path | None = None) -> str:
    """The recipe with every default written out; loading it gives an equal recipe. ``folder``: where it will lie, if
    not here; its relative paths start there.
    """
    import yaml

    data = {key: value for key, value in recipe.model_dump(mode="json").items() if key != "extends"}
    if folder is not None:
        move_paths(data, partial(relative_to, folder))
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def _resolved(path: Path, children: tuple[Path, ...]) -> Source:
    """A recipe file on top of what it extends."""
    if real_path(path) in children:
        chain = " -> ".join(p.name for p in (*children, path))
        raise InputError(f"{path}: extends itself ({chain}): break the circle")
    if len(children) == MOST_EXTENDED:
        raise InputError(f"{children[0]}: extends {MOST_EXTENDED} recipes or more in a row: put some of them into one")
    source = Source(load_yaml(path))
    from_file(source)
    base = source.data.pop("extends", None)
    if base is None:
        return source
    place = source.place(("extends",))
    if not isinstance(base, str):
        raise InputError(f"{place}: extends: must be a recipe's name or path, got {base!r}")
    try:
        parent = find("recipes", str(path.parent / expanded(base)) if is_path(base) else base)
    except InputError as error:
        raise InputError(f"{place}: extends: {error}") from None
    source.on_top_of(_resolved(parent, (*children, real_path(path))))
    return source


def _order(source: Source) -> list[Mistake]:
    """Mistakes in the passes' order; those of their shape and settings are the schema's to tell."""
    listed = source.data.get("passes")
    items = listed if isinstance(listed, list) else []
    names = [next(iter(item), "") if isinstance(item, dict) else "" for item in items]
    return [(("passes", i, names[i]), text) for i, text in order_mistakes(names)]


def _names(source: Source) -> list[Mistake]:
    """Names and paths that lead nowhere."""
    sets, model = _section(source, "data"), _section(source, "model")
    defaults = RecipeData()
    validation = sets.get("validation", defaults.validation)
    listed = validation if isinstance(validation, list) else [validation]
    mistakes = _unknown("targets", ("targets",), source.data.get("targets"))
    mistakes += _unknown("calibration", ("data", "calibration"), sets.get("calibration", defaults.calibration))
    mistakes += _unknown("calibration", ("data", "validation"), listed)
    weights = model.get("weights", RecipeModel().weights)
    # A bundled recipe for a published checkpoint is right before the file is downloaded; `apply` asks for it.
    absent = isinstance(weights, str) and to_fill_in(weights)
    return mistakes + ([] if absent else _unknown("weights", ("model", "weights"), weights))


def _section(source: Source, name: str) -> Mapping[str, Any]:
    section = source.data.get(name)
    return section if isinstance(section, dict) else {}


def _unknown(kind: Kind, at: tuple[str, ...], given: Any) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for i, name in enumerate(given if isinstance(given, list) else [given]):
        if len(mistakes) > MOST_MISTAKES:  # each looks for the nearest valid name
            break
        try:
            if isinstance(name, str) and name:
                find(kind, name)
        except InputError as error:
            mistakes.append(((*at, i) if isinstance(given, list) else at, str(error)))
    return mistakes


def _exports(source: Source) -> list[Mistake]:
    given = source.data.get("export") or {}
    if isinstance(given, dict) and not any(given.get(name) is not None for name in ("openvino", "onnx", "executorch")):
        return [(("export",), "names no format: add `openvino: {}`, `onnx: {}` or `executorch: {}`")]
    return []


def _without_staged(recipe: Recipe) -> list[Mistake]:
    """Targets that run no artifact of three graphs."""
    loaded = [load_model(DeployTarget, find("targets", name)) for name in recipe.targets]
    what = "remove it, or leave export.layout out"
    return [
        (("targets", i), f"{target.no_staged}: {what}") for i, target in enumerate(loaded) if not target.runs_staged
    ]
