"""What a run stands on: its key changes when an artifact would, and only then."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

import compress
from compress.artifacts.artifact import Artifact
from compress.elir import load_checkpoint
from compress.elir.checkpoint import save_checkpoint
from compress.elir.convert import convert
from compress.elir.model import Elir
from compress.errors import InputError
from compress.pipeline.dry_run import Plan
from compress.pipeline.inputs import (
    artifact_steps,
    checkpoint_numbers,
    estimated_bytes,
    finished_student,
    model_values,
    resolve,
    student_facts,
)
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.recipe.schema import Recipe, RecipeModel

Make = Callable[..., Recipe]


def key(recipe: Recipe) -> str:
    return json.dumps(resolve(recipe).key, sort_keys=True)


def test_sizes_of_a_file_of_training_are_those_of_the_model(tiny_inputs: Path, tmp_path: Path) -> None:
    convert(tiny_inputs / "tiny.safetensors", tmp_path / "tiny.ckpt")
    values = model_values(tmp_path / "tiny.ckpt")
    assert sum(values.values()) == sum(model_values(tiny_inputs / "tiny.safetensors").values())
    assert 4 * sum(values.values()) < (tmp_path / "tiny.ckpt").stat().st_size


def test_goals_targets_and_names_do_not_change_artifacts(tiny_recipe: Make) -> None:
    changes = {"goals": {"fidelity_db": 30}, "targets": ["x86-openvino"], "name": "other", "measure": "full"}
    assert key(tiny_recipe(**changes)) == key(tiny_recipe()) == key(tiny_recipe())


@pytest.mark.parametrize(
    "changes", [{"passes": [{"fold_time": {}}, {"ptq": {}}]}, {"export": {"onnx": {}, "noise": "baked"}}]
)
def test_passes_and_exports_do(tiny_recipe: Make, changes: dict) -> None:
    assert key(tiny_recipe(**changes)) != key(tiny_recipe())


def test_quantization_does_not_change_float_artifacts(tiny_recipe: Make) -> None:
    passes = [{"collapse": {}}, {"fold_time": {}}]
    keys = [
        resolve(tiny_recipe(passes=[*passes, *more]))
        for more in ([], [{"ptq": {}}], [{"weights": {}}], [{"ptq": {}}, {"qat": {}}])
    ]
    assert len({json.dumps(k.key) for k in keys}) == 4
    assert len({json.dumps(k.float_key) for k in keys}) == 1
    assert resolve(tiny_recipe(passes=[{"fold_time": {}}, {"ptq": {}}])).float_key != keys[0].float_key


def test_so_do_weights_and_pictures(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    before = key(tiny_recipe())
    copy = shutil.copytree(tiny_inputs, tmp_path / "copy")
    model = {"weights": str(copy / "tiny.safetensors"), "image_size": 64}
    same = resolve(tiny_recipe(model=model)).weights_sha256
    weights = (copy / "tiny.safetensors").read_bytes()
    (copy / "tiny.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert resolve(tiny_recipe(model=model)).weights_sha256 != same
    shutil.copy(copy / "calibration/calibration7.png", copy / "calibration/calibration8.png")
    Image.open(copy / "calibration/calibration7.png").rotate(90).save(copy / "calibration/calibration7.png")
    data = {"calibration": str(copy / "calibration"), "validation": [str(copy / "validation")]}
    after = resolve(tiny_recipe(data=data))
    assert after.key["calibration"] != json.loads(before)["calibration"]
    (copy / "validation/validation1.png").unlink()
    fewer = resolve(tiny_recipe(data=data))
    assert fewer.key == after.key, "validation pictures decide no artifact"
    assert fewer.data_hashes != after.data_hashes


def test_the_key_names_the_code_and_every_runtime(tiny_recipe: Make) -> None:
    actual = resolve(tiny_recipe()).key
    assert len(actual["code"]) == 64
    assert {"python", "torch", "onnx", "onnxruntime", "openvino"} <= set(actual["versions"])


def test_two_sets_of_one_name(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_inputs / "validation", tmp_path / "validation")
    data = {
        "calibration": str(tiny_inputs / "calibration"),
        "validation": [str(tiny_inputs / "validation"), str(other)],
    }
    names = [pictures.name for pictures in resolve(tiny_recipe(data=data)).validation]
    assert names == [f"{tiny_inputs.name}-validation", f"{tmp_path.name}-validation"]
    shutil.copytree(tiny_inputs / "calibration", tmp_path / "calibration", dirs_exist_ok=True)
    inputs = resolve(
        tiny_recipe(data={**data, "validation": [str(other)], "calibration": str(tmp_path / "calibration")})
    )
    assert len(inputs.data_hashes) == 2
    with pytest.raises(InputError, match="is given twice as a set of pictures"):
        resolve(tiny_recipe(data={**data, "validation": [str(other), str(other)]}))


def test_the_recipe_stands_over_the_checkpoint(tiny_inputs: Path) -> None:
    path = tiny_inputs / "tiny.safetensors"
    assert checkpoint_numbers(path, RecipeModel()) == (1, 0.1)
    assert checkpoint_numbers(path, RecipeModel(k_steps=4, sigma_s=0.0)) == (4, 0.0)


# --- a finished student ---------------------------------------------------------------------------------------


def student_recipe(tiny_recipe: Make, student: Path | None, **distill: Any) -> Recipe:
    stages = [{"steps": 1, "weights": {"l1": 1.0}}]
    named = {"student": str(student)} if student else {}
    passes = [{"collapse": {}}, {"distill": {"stages": stages, **named, **distill}}, {"fold_time": {}}, {"ptq": {}}]
    return tiny_recipe(passes=passes)


def test_a_finished_student_must_be_the_recipe_s(tiny_recipe: Make, tiny_elir: Elir, tmp_path: Path) -> None:
    student = tmp_path / "student.safetensors"
    recipe = student_recipe(tiny_recipe, student)
    save_checkpoint(tiny_elir, student, student_facts(recipe, Path(recipe.model.weights)))
    assert resolve(recipe, reuse=True).student == student
    assert resolve(recipe, reuse=True).key != resolve(recipe).key
    other = student_recipe(tiny_recipe, student, k_steps=2)
    with pytest.raises(InputError, match=r"^reuse: .* was made by another prune, distill or weights than the recipe's"):
        resolve(other, reuse=True)
    moved = student_recipe(tiny_recipe, student, data=["elsewhere"], checkpoint_minutes=9)
    assert resolve(moved, reuse=True).student == student


def test_reuse_needs_a_finished_student(tiny_recipe: Make) -> None:
    with pytest.raises(InputError, match=r"^reuse: the recipe names no finished student: set student in its distill"):
        resolve(student_recipe(tiny_recipe, None), reuse=True)


@pytest.mark.parametrize(("recipe", "student"), [("fast_sr", "elir_sr_x4_fast"), ("fast_deblur", "elir_deblur_fast")])
def test_a_bundled_student_is_its_recipe_s(recipe: str, student: str) -> None:
    loaded = load_recipe(recipe)
    assert finished_student(loaded, find("weights", loaded.model.weights)) == find("weights", student)


def test_steps_of_an_artifact(tiny_recipe: Make) -> None:
    recipe = student_recipe(tiny_recipe, None, k_steps=1)
    assert artifact_steps(recipe, 3, "fp32") == 3
    assert artifact_steps(recipe, 3, "int8") == 1
    assert artifact_steps(tiny_recipe(), 3, "int8") == 3


def test_a_published_file_does_not_say_its_numbers(tiny_inputs: Path, tmp_path: Path) -> None:
    path = tmp_path / "elir.pth"
    torch.save(load_checkpoint(tiny_inputs / "tiny.safetensors").state_dict(), path)
    with pytest.raises(InputError) as caught:
        checkpoint_numbers(path, RecipeModel(k_steps=3))
    assert str(caught.value) == (
        f"{path}: the file holds no k_steps or sigma_s: give model.k_steps and model.sigma_s in the recipe "
        "(most published models use 3 and 0.1)"
    )
    assert checkpoint_numbers(path, RecipeModel(k_steps=3, sigma_s=0.1)) == (3, 0.1)


def test_estimated_sizes_are_near_the_real_ones(tiny_recipe: Make, finished: Any) -> None:
    plan = compress.apply(tiny_recipe(), "out", dry_run=True)
    assert isinstance(plan, Plan)
    estimated = {a["id"]: a["estimated_bytes"] for a in plan.to_json()["artifacts"]}
    for artifact in finished.result.results["artifacts"]:
        assert artifact["bytes"] == pytest.approx(estimated[artifact["id"]], rel=0.35)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(plan.table())
    text = console.export_text()
    assert "nothing was run" in text and "calibration (8 pictures), validation (2 pictures)" in text
    assert "passes: collapse -> fold_time -> ptq" in text and "targets: none" in text


@pytest.mark.parametrize(
    ("settings", "format", "wanted"),
    [
        ({}, "onnx", 300),
        ({"weight_bits": 7}, "onnx", 300),
        ({"layer_bits": {"fmir": 4}}, "openvino", 200),
        ({"layer_bits": {"fmir": 4, "fmir.a": 8}}, "openvino", 250),
        ({"layer_bits": {"fmir": 4}}, "executorch", 300),
        ({"keep_float": ["enc"]}, "onnx", 600),
    ],
)
def test_bits_of_layers_count_in_the_estimate(
    tiny_recipe: Make, settings: dict[str, Any], format: Any, wanted: int
) -> None:
    values = {"enc.weight": 100, "fmir.a.weight": 100, "fmir.b.weight": 100}
    recipe = tiny_recipe(passes=[{"collapse": {}}, {"fold_time": {}}, {"ptq": settings}])
    assert estimated_bytes(recipe, values, Artifact(format, "int8")) == wanted


def test_weights_of_another_task_are_refused(tiny_elir: Elir, tmp_path: Path) -> None:
    save_checkpoint(tiny_elir, tmp_path / "noisy.safetensors", {"task": "denoise"})
    text = r"noisy\.safetensors: was trained for denoise, the recipe's model\.task is sr_x4: set"
    with pytest.raises(InputError, match=text):
        checkpoint_numbers(tmp_path / "noisy.safetensors", RecipeModel())
    assert checkpoint_numbers(tmp_path / "noisy.safetensors", RecipeModel(task="denoise")) == (3, 0.1)


def test_goals_against_truth_need_truth(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    path = tmp_path / "alone.yaml"
    path.write_text(f"version: 1\nname: alone\npairs: {{low: {tiny_inputs / 'validation'}, enlarged: true}}\n")
    data = {"calibration": str(tiny_inputs / "calibration"), "validation": [str(path)]}
    message = (
        r"^data\.validation: alone has no true pictures, which goals\.psnr_drop_db, goals\.lpips_rise need: give "
        r"pairs\.high in its file, or leave the goals out "
        r"\(goals\.psnr_drop_db=null, goals\.lpips_rise=null\); fidelity_db needs no truth$"
    )
    with pytest.raises(InputError, match=message):
        resolve(tiny_recipe(data=data, goals={"psnr_drop_db": 1, "lpips_rise": 1, "fidelity_db": 30}))
    assert not resolve(tiny_recipe(data=data, goals={"fidelity_db": 30})).validation[0].has_truth
    low = {"low": str(tiny_inputs / "calibration"), "enlarged": True}
    path.write_text(json.dumps({"version": 1, "name": "alone", "pairs": low}))
    data = {"calibration": str(path), "validation": [str(tiny_inputs / "validation")]}
    assert not resolve(tiny_recipe(data=data, goals={"psnr_drop_db": 1})).calibration.has_truth
