"""Relative paths start at the file that holds them."""

import shutil
from pathlib import Path

import pytest
import yaml

from compress.errors import InputError
from compress.recipe.load import load_recipe, load_training, to_yaml
from compress.sweep.points import Points


@pytest.fixture()
def project(tmp_path: Path, tiny_inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """recipes/tiny.yaml over ../inputs; the current folder is another one."""
    shutil.copytree(tiny_inputs, tmp_path / "inputs")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "elsewhere").mkdir()
    facts = {
        "version": 1,
        "name": "tiny",
        "model": {"weights": "../inputs/tiny.safetensors", "image_size": 64},
        "data": {"calibration": "../inputs/calibration", "validation": ["../inputs/validation"]},
        "passes": [{"collapse": {}}],
        "export": {"onnx": {"precisions": ["fp32"]}},
    }
    (tmp_path / "recipes/tiny.yaml").write_text(yaml.safe_dump(facts))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def paths(recipe: object) -> set[Path]:
    model, data = recipe.model, recipe.data  # type: ignore[attr-defined]
    return {Path(text).resolve() for text in (model.weights, data.calibration, *data.validation)}


def wanted(project: Path) -> set[Path]:
    return {project / "inputs" / name for name in ("tiny.safetensors", "calibration", "validation")}


@pytest.mark.parametrize("folder", [".", "elsewhere", "recipes"])
def test_wherever_the_command_is_given(folder: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / folder)
    recipe = project / "recipes/tiny.yaml"
    assert paths(load_recipe(str(recipe))) == wanted(project)
    assert paths(load_recipe(str(Path(*[".."] * (folder != "."), "recipes/tiny.yaml")))) == wanted(project)


def test_each_file_of_a_chain_has_its_own_folder(project: Path) -> None:
    (project / "child.yaml").write_text(
        "extends: recipes/tiny.yaml\nname: child\ndata: {calibration: ./inputs/calibration}\n"
    )
    assert paths(load_recipe(str(project / "child.yaml"))) == wanted(project)


def test_what_is_typed_starts_where_it_is_typed(project: Path) -> None:
    shutil.copy(project / "inputs/tiny.safetensors", "own.safetensors")
    recipe = load_recipe("../recipes/tiny.yaml", ["model.weights=own.safetensors"])
    assert Path(recipe.model.weights).resolve() == project / "elsewhere/own.safetensors"


def test_an_old_recipe_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    text = (project / "recipes/tiny.yaml").read_text().replace("../inputs/tiny", "inputs/tiny")
    (project / "recipes/old.yaml").write_text(text)
    line = r"old\.yaml:\d+: model\.weights: inputs/tiny\.safetensors: is not in this file's folder, where relative"
    with pytest.raises(InputError, match=line + r" paths start: write \.\./inputs/tiny\.safetensors$"):
        load_recipe("recipes/old.yaml")


def test_written_elsewhere_it_is_the_same(project: Path) -> None:
    recipe = load_recipe("../recipes/tiny.yaml")
    bundle = project / "runs/tiny"
    bundle.mkdir(parents=True)
    (bundle / "recipe.yaml").write_text(to_yaml(recipe, bundle))
    assert paths(load_recipe(str(bundle / "recipe.yaml"))) == wanted(project)


def test_bundled_recipes_read_a_persons_folders(project: Path) -> None:
    assert load_training("train_sr_x4").data.train == ["data/train"]
    (project / "own.yaml").write_text((Path(__file__).parents[2] / "recipes/train_sr_x4.yaml").read_text())
    assert load_training(str(project / "own.yaml")).data.train == [str(project / "data/train")]


def test_a_sweeps_recipes_are_beside_it(project: Path) -> None:
    (project / "sweep.yaml").write_text("version: 1\nname: s\nrecipes: [recipes/tiny.yaml]\n")
    (point,) = Points(project / "sweep.yaml").known
    assert paths(point.recipe) == wanted(project)
