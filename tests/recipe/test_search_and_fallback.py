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


def test_a_bare_list_has_the_default_budget(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: int8_sr\nname: mine\nfallback: [recalibrate, raise_bits]\n")
    fallback = load_recipe(str(path)).fallback
    assert fallback is not None
    assert (fallback.steps, fallback.minutes) == (["recalibrate", "raise_bits"], 30)
