"""What the schemas say about themselves, and what they refuse."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from compress.recipe import deploy_target, schema
from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.schema import Exports, Goals, Recipe, SpeedGoal
from compress.recipe.strict import Strict


@pytest.mark.parametrize("model", [Recipe, CalibrationSet, DeployTarget])
def test_json_schema_is_strict_at_the_top(model: type[BaseModel]) -> None:
    described = model.model_json_schema()
    assert described["additionalProperties"] is False
    assert {"version", "name"} <= set(described["required"])


def test_every_model_refuses_unknown_keys() -> None:
    models = [
        m for m in {**vars(schema), **vars(deploy_target)}.values() if isinstance(m, type) and issubclass(m, Strict)
    ]
    assert len(models) > 15
    assert all(m.model_config["extra"] == "forbid" for m in models)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_are_finite(bad: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Goals(psnr_drop_db=bad)


@pytest.mark.parametrize("side", [0, 32, 100, 4128])
def test_image_size_is_a_multiple_of_32_from_64_to_4096(side: int) -> None:
    with pytest.raises(ValidationError, match="image_size"):
        Recipe.model_validate({"version": 1, "name": "x", "passes": [{"ptq": {}}], "model": {"image_size": side}})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"vs": "best_float", "min": 2}, SpeedGoal(vs="best_float", min=2)),
        ({"onnx": {"min": 1.5}}, {"onnx": SpeedGoal(min=1.5)}),
        (None, None),
    ],
)
def test_a_speedup_is_for_all_formats_or_by_format(given: Any, read: Any) -> None:
    assert Goals(speedup=given).speedup == read


@pytest.mark.parametrize("format_", ["openvino", "onnx", "executorch"])
def test_a_precision_is_asked_for_once(format_: str) -> None:
    Exports.model_validate({format_: {"precisions": ["fp32", "int8"]}})
    with pytest.raises(ValidationError, match="must be different precisions, got fp32, int8, fp32: write each once"):
        Exports.model_validate({format_: {"precisions": ["fp32", "int8", "fp32"]}})


def test_a_single_validation_set_may_stand_alone() -> None:
    assert schema.RecipeData(validation="kodak").validation == ["kodak"]
