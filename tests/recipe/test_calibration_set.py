"""Where a set's pictures come from: clean ones, or pairs."""

from typing import Any

import pytest

from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.validation import check

CLEAN = {"source": {"kind": "bundled", "folder": "validation"}}
PAIRS = {"pairs": {"low": "a", "high": "b"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "source is missing: add it, or pairs"),
        (CLEAN | PAIRS, "give source or pairs, not both"),
        (PAIRS | {"degradation": [{"kind": "grey"}]}, "degradation must be left out beside pairs"),
        ({"pairs": {"high": "b"}}, "is missing: add it"),
        ({"pairs": {"low": "a", "hihg": "b"}}, "unknown key, did you mean high?"),
        ({"pairs": {"low": "a", "high": "b", "enlarged": True}}, "enlarged must be left out beside high"),
    ],
)
def test_what_does_not_go_together_is_one_line(settings: dict[str, Any], message: str) -> None:
    ((_, text),) = check(CalibrationSet, {"version": 1, "name": "s", **settings})[1]
    assert text.startswith(message)


@pytest.mark.parametrize("settings", [CLEAN, PAIRS, {"pairs": {"low": "a", "enlarged": True}}])
def test_either_is_enough(settings: dict[str, Any]) -> None:
    assert check(CalibrationSet, {"version": 1, "name": "s", **settings})[1] == []
