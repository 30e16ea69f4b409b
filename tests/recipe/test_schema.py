"""What the schemas say about themselves, and what they refuse."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from compress.recipe import library, schema
from compress.recipe.schema import CalibrationSet, DeployTarget, Goals, Recipe, SpeedGoal
from compress.recipe.validation import load_model


@pytest.mark.parametrize("model", [Recipe, CalibrationSet, DeployTarget])
def test_json_schema_is_strict_at_the_top(model: type[BaseModel]) -> None:
    described = model.model_json_schema()
    assert described["additionalProperties"] is False
    assert {"version", "name"} <= set(described["required"])


def test_every_model_of_the_file_refuses_unknown_keys() -> None:
    models = [m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, schema.Strict)]
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


def test_a_single_validation_set_may_stand_alone() -> None:
    assert schema.RecipeData(validation="kodak").validation == ["kodak"]


@pytest.mark.parametrize("task", [t for t in get_args(schema.Task) if "sr" not in t])
def test_other_tasks_stay_on_their_grid(task: schema.Task) -> None:
    assert (schema.task_scale(task), schema.task_border(task)) == (1, 0)
    assert schema.task_input(task).endswith(" input")


def test_the_published_sr_x8_is_beside_nearest_enlargement() -> None:
    assert (schema.task_scale("sr_x8_published"), schema.task_border("sr_x8_published")) == (8, 8)
    assert schema.task_input("sr_x8_published") == "nearest enlargement"


# The degradations of the authors' data loaders, as the table of docs/data.md gives them.
PUBLISHED = {
    "sr_x8_published": ["sr, scale 8, noise 12.8, enlargement nearest-exact"],
    "blind_sr_x4_published": ["blind_sr, scale 4, second_order 0.0"],
    "denoise_published": ["noise, sigma 89.6"],
    "inpaint_published": ["mask, pattern pixels, share 0.9, fill 0", "noise, sigma 25.6"],
    "inpaint_square": ["mask, pattern square, share 0.25, fill 0", "noise, sigma 25.6"],
    "colorize": ["grey", "noise, sigma 64.0"],
}


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_tasks(task: schema.Task) -> None:
    steps = [step.model_dump() for step in schema.task_degradation(task)]
    said = [", ".join([s.pop("kind"), *(f"{key} {value}" for key, value in s.items())]) for s in steps]
    assert said == PUBLISHED[task]


def test_blind_super_resolution_enlarges_too() -> None:
    assert (schema.task_scale("blind_sr_x4"), schema.task_input("blind_sr_x4")) == (4, "bicubic")
    assert schema.task_degradation("blind_sr_x4")[0].kind == "blind_sr"


def test_every_task_has_a_degradation() -> None:
    assert set(schema.TASKS) == set(get_args(schema.Task))


@pytest.mark.parametrize(("task", "scale"), [("sr_x2", 2), ("sr_x4", 4), ("sr_x8", 8)])
def test_a_task_knows_its_scale_and_degradation(task: schema.Task, scale: int) -> None:
    assert schema.task_scale(task) == scale
    assert schema.task_degradation(task) == [schema.SuperResolution(scale=scale)]
    assert (schema.task_border(task), schema.task_input(task)) == (scale, "bicubic")


@pytest.mark.parametrize("name", library.names("targets"))
def test_every_built_in_target(name: str) -> None:
    target = load_model(DeployTarget, library.find("targets", name))
    assert target.name == name and target.description and target.needs
    assert ("int8" in target.precisions) == (target.quantization is not None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reach": "ssh"}, "ssh is missing: add it, since reach is ssh"),
        ({"ssh": {"host": "pi"}}, "ssh must be left out, since reach is local"),
        ({"reach": "ssh", "ssh": {"host": "-oProxyCommand=x"}}, "ssh.host"),
        ({"format": "onnx"}, "format must be openvino for runtime openvino, got onnx"),
    ],
)
def test_a_target_that_does_not_fit_together(changes: dict[str, Any], text: str) -> None:
    settings = {"version": 1, "name": "x", "runtime": "openvino", "format": "openvino"}
    with pytest.raises(ValidationError, match=text):
        DeployTarget.model_validate(settings | changes)
