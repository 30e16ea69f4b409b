"""Every number of a stranger's file has a largest value."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from compress.cli.yaml_kinds import SCHEMAS
from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.numbers import MOST
from compress.recipe.passes import QatSettings
from compress.recipe.schema import Goals
from compress.recipe.train import DistillStage, TrainStage
from compress.results.goal import Goal
from compress.sweep.schema import Interval

HANDED_ON = "properties/options/additionalProperties"
"""Settings of a runtime, of which this program computes nothing."""


def _numbers(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield at, schema
        for key, inner in schema.items():
            yield from _numbers(inner, f"{at}/{key}")
    elif isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from _numbers(inner, f"{at}/{i}")


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_number_is_bounded(kind: str) -> None:
    found = dict(_numbers(SCHEMAS[kind].model_json_schema()))
    assert found
    bounds = {"maximum", "exclusiveMaximum", "const", "enum"}
    assert [at for at, schema in found.items() if not bounds & schema.keys() and HANDED_ON not in at] == []


def test_seeds_are_what_torch_numpy_and_a_manifest_take() -> None:
    for kind, model in SCHEMAS.items():
        for at, schema in _numbers(model.model_json_schema()):
            if at.endswith("/seed"):
                assert (schema["minimum"], schema["exclusiveMaximum"]) == (0, 2**32), f"{kind}{at}"
    with pytest.raises(ValidationError):
        QatSettings(seed=2**32)


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        (lambda **given: TrainStage(space="pixels", steps=1, **given), "batch"),
        (lambda **given: TrainStage(space="latents", steps=1, **given), "cached_crops"),
        (lambda **given: DistillStage(steps=1, **given), "batch"),
        (lambda **given: DistillStage(steps=1, **given), "cached_crops"),
    ],
)
def test_what_a_step_holds_in_memory_is_bounded(stage: Any, key: str) -> None:
    stage(**{key: 16}, crop=4096)
    with pytest.raises(ValidationError, match=rf"{key} \(=1000\) with crop \(=4096\) is 16000 megapixels in memory"):
        stage(**{key: 1000}, crop=4096, **({"batch": 1} if key != "batch" else {}))


def test_what_a_stage_on_pixels_does_not_cache_is_not_counted() -> None:
    assert TrainStage(space="pixels", steps=1, batch=1, crop=4096).cached_crops == 900


def test_a_set_of_pictures_has_no_crop_that_no_picture_has() -> None:
    given = {"version": 1, "name": "set", "source": {"kind": "folder", "path": "x"}, "crop_at": "whole"}
    CalibrationSet.model_validate({**given, "crop": 4096})
    with pytest.raises(ValidationError):
        CalibrationSet.model_validate({**given, "crop": 32 * 10**6})


@pytest.mark.parametrize("name", [name for name in Goals.model_fields if name != "speedup"])
def test_results_record_every_bound_that_a_recipe_may_set(name: str) -> None:
    most = int(MOST) if name == "breaches" else MOST
    goals = Goals.model_validate({name: most})
    assert Goal(goal=name, bound=getattr(goals, name)).bound == most
    with pytest.raises(ValidationError):
        Goals.model_validate({name: 2 * most})


@pytest.mark.parametrize(
    "given",
    [
        {"low": -1e308, "high": 1e308},
        {"low": 0, "high": 1e19, "integer": True},
        {"low": 0.5, "high": 3, "integer": True, "log": True},
    ],
)
def test_intervals_are_what_optuna_draws_from(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Interval.model_validate(given)
