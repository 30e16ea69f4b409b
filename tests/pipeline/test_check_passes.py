"""What a pass would refuse after a training of hours is refused before the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import compress
from compress.artifacts.artifact import plan_artifacts
from compress.errors import InputError
from compress.pipeline.check_passes import PassChecks
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.refusals import Refusals

Make = Callable[..., Recipe]
STAGE = {"steps": 1, "batch": 1, "crop": 32, "weights": {"latent": 1.0}}
FOLDED: list[dict[str, Any]] = [{"collapse": {}}, {"fold_time": {}}]


def distilled(ptq: dict[str, Any], **distill: Any) -> list[dict[str, Any]]:
    return [{"collapse": {}}, {"distill": {"stages": [STAGE], **distill}}, {"fold_time": {}}, {"ptq": ptq}]


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([*FOLDED, {"ptq": {"keep_float": ["decoder"]}}], "passes.ptq.keep_float: no layer is named decoder"),
        ([*FOLDED, {"ptq": {"layer_bits": {"fmir.steps.3": 4}}}], "passes.ptq.layer_bits: no layer is named fmir.st"),
        ([*FOLDED, {"weights": {"layer_bits": {"x": 4}}}], "passes.weights.layer_bits: no layer is named x"),
        (distilled({"keep_float": ["nowhere"]}), "passes.ptq.keep_float: no layer is named nowhere"),
        (distilled({"keep_float": ["fmir.steps.1"]}, k_steps=1), "passes.ptq.keep_float: no layer is named fmir.steps"),
        (distilled({}, encoder_scale=8), "passes.distill.encoder_scale: 8, but sr_x4 enlarges 4 times"),
        (distilled({}, encoder_blocks=[1]), "passes.distill.encoder_blocks: has no effect without encoder_scale"),
        (distilled({}, stages=[{**STAGE, "weights": {}}]), r"passes.distill.stages\[0\]: nothing to learn"),
    ],
)
def test_nothing_is_made_before_it_is_refused(
    tiny_recipe: Make, tmp_path: Path, passes: list[Any], message: str
) -> None:
    precision = "weights" if "weights" in passes[-1] else "int8"
    recipe = tiny_recipe(passes=passes, export={"onnx": {"precisions": ["fp32", precision]}})
    with pytest.raises(InputError, match=f"^{message}"):
        compress.apply(recipe, tmp_path / "out", progress=Progress("silent"))
    assert not (tmp_path / "out").exists()


def test_layers_of_a_coarser_encoder_are_known_later(tiny_recipe: Make) -> None:
    recipe = tiny_recipe(passes=distilled({"keep_float": ["enc.layers.99", "dec"]}, encoder_scale=4))
    refusals = Refusals()
    PassChecks().check(recipe, Path(recipe.model.weights), refusals)
    refusals.refuse()


@pytest.mark.parametrize(
    ("pass_", "message"),
    [
        (
            {"ptq": {"engine": "nncf"}},
            "passes.ptq.engine: nncf writes openvino, onnx, not executorch: remove executorch",
        ),
        ({"weights": {}}, "passes: weights writes openvino, onnx, not executorch, whose convolutions take integer"),
    ],
)
def test_formats_that_a_quantizing_pass_does_not_write(tiny_recipe: Make, pass_: dict[str, Any], message: str) -> None:
    recipe = tiny_recipe(passes=[*FOLDED, pass_], export={"executorch": {}})
    with pytest.raises(InputError, match=f"^{message}"):
        plan_artifacts(recipe)
