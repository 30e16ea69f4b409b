"""Mistakes in ``search`` and ``fallback``: one line each."""

from pathlib import Path

import pytest

from compress.errors import InputError
from compress.recipe.load import load_recipe


def refused(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: int8_sr\nname: mine\n{text}\n")
    with pytest.raises(InputError) as refusal:
        load_recipe(str(path))
    return [line.removeprefix(f"{path}:") for line in str(refusal.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search: {bits: [4, 5]}", "3: search.bits.1: must be one of 4, 7, 8, 16, got 5"),
        ("search: {bits: [8]}", "3: search.bits: must hold at least 2 item(s), got [8]"),
        ("search: {bits: [8, 8]}", "3: search.bits: must be different numbers, got [8, 8]"),
        ("search: {trials: 0}", "3: search.trials: must be > 0, got 0"),
        (
            "search: {constraints: {latency: 4}}",
            "3: search.constraints.latency: unknown key, did you mean latency_ms? (valid: size_ratio, latency_ms, "
            "speedup, psnr_drop_db, lpips_rise, fidelity_db)",
        ),
        (
            "fallback: {steps: [raise_bit]}",
            "3: fallback.steps.0: must be one of recalibrate, reconstruct, raise_bits, float_stage, got 'raise_bit', "
            "did you mean raise_bits?",
        ),
        ("fallback: {minutes: 3}", "3: fallback.steps: is missing: add it"),
    ],
)
def test_one_line_a_mistake(tmp_path: Path, text: str, line: str) -> None:
    assert refused(tmp_path, text) == [line]


def test_a_fallback_needs_what_its_steps_change(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: int8_sr\nname: mine\npasses: [{weights: {bits: 4}}]\nfallback: [recalibrate]\n")
    with pytest.raises(InputError, match="fallback changes the pass ptq, which the recipe lacks: add ptq, or leave"):
        load_recipe(str(path))


def test_a_limit_goes_with_the_layers_that_it_was_for(tmp_path: Path) -> None:
    """Of a search, and of a fallback that leaves them in float."""
    path = tmp_path / "mine.yaml"
    ptq = "{weight_bits: 7, pair_limit: true, layer_bits: {enc: 8}}"
    path.write_text(f"extends: int8_sr\nname: mine\npasses: [{{fold_time: {{}}}}, {{ptq: {ptq}}}]\n")
    recipe = load_recipe(str(path))
    for bits, limited in (({}, False), ({"enc": 16}, False), ({"dec": 8}, True)):
        settings = recipe.with_ptq(layer_bits=bits).ptq
        assert settings is not None and settings.pair_limit is limited
    assert recipe.with_ptq(range="mse").ptq.pair_limit is True  # type: ignore[union-attr]


def test_a_bare_list_has_the_default_budget(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: int8_sr\nname: mine\nfallback: [recalibrate, raise_bits]\n")
    fallback = load_recipe(str(path)).fallback
    assert fallback is not None
    assert (fallback.steps, fallback.minutes) == (["recalibrate", "raise_bits"], 30)
