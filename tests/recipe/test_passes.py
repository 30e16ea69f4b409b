"""ptq's settings: each engine's own best, and refusals by name."""

from typing import Any

import pytest
from pydantic import ValidationError

from compress.recipe.passes import ENGINE_CHOICES, ENGINE_SETTINGS, PtqSettings, QatSettings


def test_elir_is_the_default_at_its_best() -> None:
    settings = PtqSettings()
    assert (settings.engine, settings.rounding, settings.bias_correction) == ("elir", "gptq", True)
    assert (settings.weight_bits, settings.pair_limit) == (8, True)  # saturates nowhere


def test_described_defaults_are_those_of_the_default_engine() -> None:
    fields = PtqSettings.model_fields
    assert all(fields[name].default == getattr(PtqSettings(), name) for name in fields)


@pytest.mark.parametrize("engine", ENGINE_CHOICES)
def test_left_out_or_null_is_the_engines_own_best(engine: str) -> None:
    nulls = dict.fromkeys(ENGINE_SETTINGS)
    choices = ENGINE_CHOICES[engine]
    for given in ({}, nulls):
        settings = PtqSettings.model_validate({"engine": engine, **given})
        best = {name: getattr(choices, name)[0] for name in ENGINE_SETTINGS}
        best["pair_limit"] = best["pair_limit"] and best["weight_bits"] == 8
        assert {name: getattr(settings, name) for name in ENGINE_SETTINGS} == best


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"engine": "nncf", "rounding": "gptq"},
            "engine nncf cannot do gptq: use nearest, leave it out, or use engine elir",
        ),
        ({"engine": "torchao", "bias_correction": True}, "engine torchao cannot do true: use false, leave it out"),
        ({"engine": "onnxruntime", "range": "mse"}, "engine onnxruntime cannot do mse: use percentile or min_max"),
        (
            {"engine": "neural_compressor", "range": "percentile"},
            "engine neural_compressor cannot do percentile: use mse or min_max",
        ),
        (
            {"weight_bits": 7, "pair_limit": True},
            "pair_limit has no effect with weight_bits 7: set weight_bits: 8, or remove pair_limit",
        ),
        (
            {"engine": "nncf", "weight_bits": 8, "pair_limit": True},
            "engine nncf cannot do true: use false, leave it out",
        ),
        (
            {"engine": "nncf", "layer_bits": {"dec": 4}},
            "engine nncf cannot do layer_bits: remove it, or use engine elir",
        ),
        (
            {"keep_float": ["dec"], "layer_bits": {"dec": 4}},
            "dec is in keep_float and has 4 layer_bits: remove one",
        ),
        (
            {"range": "mse", "percentile": 99.9},
            "percentile has no effect with range mse: set range: percentile, or remove it",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PtqSettings.model_validate(given)
    assert text in str(refused.value)


def test_refusals_stand_at_their_key() -> None:
    with pytest.raises(ValidationError) as refused:
        PtqSettings.model_validate({"engine": "nncf", "rounding": "gptq"})
    assert [error["loc"] for error in refused.value.errors()] == [("rounding",)]


def test_the_longest_prefix_decides_a_layers_bits() -> None:
    settings = PtqSettings(layer_bits={"dec": 4, "dec.layers.1": 8, "mmse": 7}, keep_float=["enc", "dec.layers.1.conv"])
    names = ["enc.layers.0", "mmse.conv", "dec.layers.1.conv.0", "dec.layers.1.up", "dec.layers.18", "decoder"]
    assert [settings.bits_of(name) for name in names] == [16, 7, 16, 8, 4, 8]


@pytest.mark.parametrize("engine", ENGINE_CHOICES)
def test_eight_bits_never_saturate_unless_the_recipe_says_so(engine: str) -> None:
    eight = {"engine": engine, "weight_bits": 8}
    if ENGINE_CHOICES[engine].pair_limit == (False,):
        with pytest.raises(ValidationError) as refused:
            PtqSettings.model_validate(eight)
        assert (
            f"engine {engine} cannot limit pairs of 8-bit weights, which saturate on x86 CPUs without VNNI: use "
            "weight_bits 7, or, for other machines only, set pair_limit: false" in str(refused.value)
        )
    else:
        assert PtqSettings.model_validate(eight).pair_limit is True
    assert PtqSettings.model_validate(eight | {"pair_limit": False}).pair_limit is False


def test_seven_bits_need_no_limit_of_pairs() -> None:
    assert PtqSettings(weight_bits=7).pair_limit is False


def test_eight_bits_among_seven_are_limited() -> None:
    assert PtqSettings(weight_bits=7, layer_bits={"dec": 8}).pair_limit is True
    assert PtqSettings(weight_bits=7, layer_bits={"dec": 8}, pair_limit=False).pair_limit is False
    assert PtqSettings(weight_bits=7, layer_bits={"dec": 4}).pair_limit is False


def test_qat_that_learns_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing would be learnt: raise one, or remove it"):
        QatSettings(bias_rate=0, weight_rate=0)
