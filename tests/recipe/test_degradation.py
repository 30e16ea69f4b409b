"""What the degradations' schemas accept, refuse and keep."""

from typing import Any

import pytest

from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    GaussianNoise,
    MotionBlur,
    SuperResolution,
)
from compress.recipe.validation import check

SET = {"version": 1, "name": "s", "source": {"kind": "bundled", "folder": "validation"}}


def mistakes(step: dict[str, Any]) -> list[str]:
    result = check(CalibrationSet, {**SET, "degradation": [step]})[1]
    return [f"{'.'.join(map(str, at[2:]))}: {text}" for at, text in result]


ORDER = "must be [low, high], two numbers with low <= high, got"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"kind": "noise", "sigma": [50, 15]}, f"sigma: {ORDER} [50.0, 15.0]: write the smaller one first"),
        ({"kind": "noise", "sigma": [15]}, f"sigma: {ORDER} [15.0]: write the smaller one first"),
        ({"kind": "noise", "sigma": -3}, "sigma: must be > 0, got -3"),
        ({"kind": "noise", "sigma": "x"}, "sigma: must be a number, got 'x'"),
        ({"kind": "noise", "sigma": [0, 5]}, "sigma.0: must be > 0, got 0"),
        ({"kind": "blur", "sigma": [1, 40]}, "sigma.1: must be <= 20, got 40"),
        ({"kind": "motion", "size": 30}, ": size must be odd, got 30: take 31"),
        (
            {"kind": "motion", "size": 21, "length": [3, 40]},
            ": length must be at most size - 1 (=20), got 40: raise size, or lower length",
        ),
        (
            {"kind": "motion", "angle": 3},
            ": angle is for path line: leave it out for path camera, which turns as it goes",
        ),
        ({"kind": "mask", "share": 1.2}, "share: must be <= 0.99, got 1.2"),
        (
            {"kind": "mask", "pattern": "box"},
            "pattern: must be one of pixels, boxes, strokes, square, got 'box', did you mean boxes?",
        ),
        ({"kind": "sr", "noise": [20, 5]}, f"noise: {ORDER} [20.0, 5.0]: write the smaller one first"),
        ({"kind": "sr", "noise": 0}, "noise: must be > 0, got 0"),
        (
            {"kind": "sr", "enlargement": "nearest"},
            "enlargement: must be one of bicubic, bilinear, nearest-exact, got 'nearest', did you mean nearest-exact?",
        ),
        ({"kind": "grey", "sigma": 5}, "sigma: unknown key (valid: kind)"),
        ({"kind": "blind_sr", "second_order": 1.5}, "second_order: must be <= 1, got 1.5"),
        (
            {"kind": "blind_face", "uniform": "sides"},
            "uniform: must be one of factor, side, got 'sides', did you mean side?",
        ),
        ({"kind": "blind_sr", "scale": 3}, "scale: must be one of 2, 4, got 3"),
        ({"kind": "blind_face", "jpeg": [100, 60]}, f"jpeg: {ORDER} [100.0, 60.0]: write the smaller one first"),
        ({"kind": "blind_face", "jpeg": 60}, "jpeg: must be a list, got 60"),
    ],
)
def test_mistakes_are_one_line(step: dict[str, Any], message: str) -> None:
    assert mistakes(step) == [message]


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "noise", "sigma": [15, 50]},
        {"kind": "blur", "sigma": [1, 1]},
        {"kind": "motion", "path": "line", "length": 9, "angle": -45, "size": 11},
        {"kind": "mask", "pattern": "strokes", "share": 0.3, "fill": 255},
        {"kind": "sr", "scale": 8, "noise": 12.8, "enlargement": "nearest-exact"},
        {"kind": "sr", "noise": [5, 20], "enlargement": "bilinear"},
        {"kind": "grey"},
        {"kind": "mask", "pattern": "square"},
        {"kind": "blind_sr", "scale": 4, "second_order": 0},
        {"kind": "blind_face", "kernels": "isotropic", "uniform": "side"},
        {"kind": "blind_sr", "scale": 2},
        {"kind": "blind_face", "downsample": [1, 32]},
    ],
)
def test_settings_are_kept(step: dict[str, Any]) -> None:
    model, result = check(CalibrationSet, {**SET, "degradation": [step]})
    assert not result and model is not None
    kept = model.degradation[0].model_dump()  # type: ignore[union-attr]
    assert {key: kept[key] for key in step} == step


def test_settings_of_before_dump_as_before() -> None:
    """A set's hash holds this: another form would be another set."""
    assert repr(GaussianNoise(sigma=25).model_dump()) == "{'kind': 'noise', 'sigma': 25.0}"
    assert repr(Blur(sigma=2).model_dump()) == "{'kind': 'blur', 'sigma': 2.0}"
    assert repr(SuperResolution(scale=4).model_dump()) == "{'kind': 'sr', 'scale': 4}"
    assert repr(BlindSuperResolution(scale=4).model_dump()) == "{'kind': 'blind_sr', 'scale': 4}"
    assert list(BlindFace().model_dump()) == ["kind", "blur_sigma", "downsample", "noise", "jpeg"]


def test_a_path_may_span_the_kernel() -> None:
    assert MotionBlur(size=21, length=20).length == 20
