"""null removes what an extended file has, at every depth, as docs/recipes.md says."""

from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.recipe.load import load_recipe, load_training
from compress.recipe.schema import Goals, Recipe, RecipeData, RecipeModel
from compress.recipe.search_and_fallback import Search
from compress.recipe.train import TrainModel

CHILD = "version: 1\nname: child\nextends: int8_sr\n"
WITH_DEFAULT = {"goals": Goals(), "model": RecipeModel(), "data": RecipeData(), "search": Search(), "targets": []}
WITH_DEFAULT |= {"measure": "quick", "description": ""}


def child(folder: Path, text: str) -> Recipe:
    (folder / "child.yaml").write_text(CHILD + text)
    return load_recipe(str(folder / "child.yaml"))


@pytest.mark.parametrize(("section", "default"), WITH_DEFAULT.items())
def test_null_removes_a_section(tmp_path: Path, section: str, default: Any) -> None:
    for recipe in (child(tmp_path, f"{section}: null\n"), load_recipe("int8_sr", [f"{section}=null"])):
        assert getattr(recipe, section) == default


def test_sections_that_have_no_default_stay_asked_for(tmp_path: Path) -> None:
    for section, message in (("passes", "passes: must be a list, got nothing"), ("export", "export: names no format")):
        with pytest.raises(InputError, match=message):
            child(tmp_path, f"{section}: null\n")


def test_null_removes_a_key_of_a_section(tmp_path: Path) -> None:
    recipe = child(
        tmp_path,
        "model: {image_size: null, seed: null}\ndata: {validation: null}\nsearch: {constraints: null}\n"
        "export: {executorch: null, noise: null, onnx: {opset: null}}\n"
        "goals: {lpips_rise: null, histogram: null, speedup: {openvino: null, onnx: {vs: null}}}\n",
    )
    assert (recipe.model, recipe.data) == (RecipeModel(), RecipeData())
    assert (recipe.export.executorch, recipe.export.noise) == (None, "input")
    assert recipe.export.onnx is not None and recipe.export.onnx.opset == 20
    # Where null is a value of its own, it stays: the default bound is another.
    assert (recipe.goals.lpips_rise, recipe.goals.histogram) == (None, None)
    assert isinstance(recipe.goals.speedup, dict) and set(recipe.goals.speedup) == {"onnx", "executorch"}
    assert recipe.goals.speedup["onnx"].vs == "fp32"


def test_a_training_recipe_takes_it_too() -> None:
    assert load_training("train_sr_x4").model.weights is None
    changed = load_training("train_sr_x4", ["ema=null", "data.validation=null", "model=null"])
    assert (changed.ema, changed.data.validation, changed.model) == (0.999, "photos_validation", TrainModel())
