"""What each step makes of a recipe."""

from collections.abc import Callable
from typing import Any

import pytest

from compress.pipeline.fallback.steps import Change, Errors, changes, settings_of
from compress.recipe.schema import Recipe

STEPS = ("fmir.steps.0.a", "fmir.steps.1.a")
ERRORS = Errors({("dec.x",): 5e-5, STEPS: 4e-5, ("enc.y",): 1e-5}, {"decoder": 5e-5, "flow": 9e-5, "encoder": 1e-5})


@pytest.fixture()
def make(tiny_recipe: Callable[..., Recipe]) -> Callable[..., Recipe]:
    return lambda *after, **ptq: tiny_recipe(passes=[{"fold_time": {}}, {"ptq": ptq}, *after])


def first(step: str, recipe: Recipe) -> Change | None:
    return next(changes(step, recipe, lambda: ERRORS), None)


def test_recalibrate_takes_another_range(make: Callable[..., Recipe]) -> None:
    result = list(changes("recalibrate", make(range="percentile", percentile=99.9), lambda: ERRORS))
    assert [change.text for change in result] == [
        f"range percentile -> {other}" for other in ("min_max", "mse", "entropy")
    ]
    assert [settings_of(change.recipe).range for change in result] == ["min_max", "mse", "entropy"]


def test_reconstruct_adds_qat_once(make: Callable[..., Recipe]) -> None:
    change = first("reconstruct", make())
    assert change is not None and change.recipe.passes[-1].model_dump() == {"qat": {}}
    assert first("reconstruct", change.recipe) is None


def test_raise_bits_of_the_worst_until_they_make_up_half(make: Callable[..., Recipe]) -> None:
    change = first("raise_bits", make(layer_bits={"dec": 4, "fmir": 4}))
    assert change is not None
    assert change.text == "bits of dec.x 4 -> 8"
    settings = settings_of(change.recipe)
    assert [settings.bits_of(name) for name in ("dec.x", "dec.z", *STEPS)] == [8, 4, 4, 4]


def test_raise_bits_keeps_steps_together_and_ends_in_float(make: Callable[..., Recipe]) -> None:
    change = first("raise_bits", make(keep_float=["dec.x"]))
    assert change is not None
    assert [settings_of(change.recipe).bits_of(name) for name in (*STEPS, "enc.y")] == [16, 16, 8]
    assert first("raise_bits", make(keep_float=["dec", "fmir", "enc"])) is None


def test_float_stage_takes_the_worst(make: Callable[..., Recipe]) -> None:
    change = first("float_stage", make(layer_bits={"fmir.steps.0.a": 4, "fmir.steps.1.a": 4, "dec": 4}))
    assert change is not None and change.text == "flow left in float"
    assert settings_of(change.recipe).layer_bits == {"dec": 4, "fmir": 16}


@pytest.mark.parametrize("step", ["reconstruct", "raise_bits", "float_stage"])
def test_other_engines_have_one_number_of_bits(make: Callable[..., Recipe], step: str) -> None:
    def never() -> Any:
        raise AssertionError("nothing is measured for it")

    assert list(changes(step, make(engine="nncf"), never)) == []
