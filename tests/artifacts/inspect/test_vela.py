"""What Vela is said to have estimated, in a file that may be a stranger's."""

import json
from pathlib import Path
from typing import Any

import pytest

from compress.artifacts.inspect.vela import vela_estimate

FIGURES = {"inference_time": "0.01", "core_clock": "5e8", "cycles_total": "5000000"}
FIGURES |= {"sram_memory_used": "12.5", "sram_total_bytes": "1000", "dram_memory_used": "0"}
SUMMARY = {"system_config": "Ethos_U55", "memory_mode": "Shared_Sram", **FIGURES}


def beside(path: Path, summary: Any) -> Path:
    """A program, with what Vela said of it beside."""
    text = summary if isinstance(summary, str) else json.dumps(summary)
    path.with_suffix(".json").write_text(json.dumps({"vela": text}))
    return path


def test_an_estimate(tmp_path: Path) -> None:
    estimate = vela_estimate(beside(tmp_path / "m.pte", SUMMARY))
    assert estimate and estimate.to_json() == {
        **{"compiler": "Vela, Ethos_U55, Shared_Sram", "latency_ms": 10.0, "frequency_mhz": 500.0, "cycles": 5000000},
        **{"memory_kib": {"sram": 12.5}, "traffic_bytes": {"sram": 1000.0}},
    }


@pytest.mark.parametrize("key", FIGURES)
def test_no_estimate_of_figures_that_are_none(key: str, tmp_path: Path) -> None:
    for value in ["inf", "-inf", "nan", "1e400", "9" * 5000, 10**30, [1], {"a": 1}, float("nan"), float("inf")]:
        assert vela_estimate(beside(tmp_path / "m.pte", {**SUMMARY, key: value})) is None, value


@pytest.mark.parametrize("text", ["", "null", "[]", "[1]", "5", '"abc"', "{", "{}", "[" * 100_000, '{"a":' * 50_000])
def test_no_estimate_of_a_text_that_is_no_summary(text: str, tmp_path: Path) -> None:
    assert vela_estimate(beside(tmp_path / "m.pte", text)) is None
    (tmp_path / "m.json").write_text(text)
    assert vela_estimate(tmp_path / "m.pte") is None
