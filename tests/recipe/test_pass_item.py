"""An item of a recipe's passes: validated once, dumped as it was written."""

from typing import Any

import pytest
from pydantic import ValidationError

import compress.passes
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import CollapseSettings, PtqSettings
from compress.recipe.schema import Recipe


def recipe(*passes: Any) -> Recipe:
    return Recipe.model_validate({"version": 1, "name": "mine", "passes": list(passes)})


@pytest.mark.parametrize("given", [{"ptq": {"weight_bits": 7, "rounding": None}}, {"ptq": {}}, {"collapse": {}}])
def test_an_item_is_dumped_as_it_was_written(given: dict[str, Any]) -> None:
    item = PassItem.model_validate(given)
    assert item.model_dump() == item.model_dump(mode="json") == given
    again = PassItem.model_validate_json(item.model_dump_json())
    assert again == item and again.settings == item.settings


def test_what_is_done_to_a_dump_does_not_reach_the_item() -> None:
    made = recipe({"ptq": {"layer_bits": {"dec": 4}}})
    made.model_dump(mode="json")["passes"][0]["ptq"]["layer_bits"]["dec"] = 8
    assert made.model_dump(mode="json")["passes"] == [{"ptq": {"layer_bits": {"dec": 4}}}]


def test_an_item_knows_its_pass_and_settings() -> None:
    bare, ptq = recipe({"collapse": None}, {"ptq": {"weight_bits": 7}}).passes
    assert (bare.name, bare.settings) == ("collapse", CollapseSettings())
    assert (ptq.name, ptq.settings) == ("ptq", PtqSettings(weight_bits=7))


@pytest.mark.parametrize("given", [{}, {"collapse": {}, "ptq": {}}, {"ptq": {"engine": "elri"}}, {"ptqq": {}}])
def test_wrong_items_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        recipe(given)


def test_other_settings_of_ptq() -> None:
    before = recipe({"collapse": {}}, {"ptq": {"range": "percentile", "percentile": 99.9}})
    after = before.with_ptq(range="mse", percentile=None)
    assert after.model_dump()["passes"] == [{"collapse": {}}, {"ptq": {"range": "mse"}}]
    assert after.ptq is not None and after.ptq.range == "mse"
    assert before.ptq is not None and before.ptq.percentile == 99.9


@pytest.mark.parametrize(
    ("names", "floats"), [(("collapse", "fold_time"), 2), (("collapse", "ptq", "qat"), 1), (("weights",), 0)]
)
def test_float_passes_end_before_the_first_quantizing_one(names: tuple[str, ...], floats: int) -> None:
    made = recipe(*({name: {}} for name in names))
    assert [item.name for item in made.float_passes] == list(names[:floats])


def test_every_item_has_a_pass() -> None:
    assert list(PassItem.model_fields) == list(compress.passes._CLASSES)
