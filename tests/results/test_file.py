"""results.json is read whole or refused, and apply's result tells how it ended."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from compress.errors import InputError, VerificationError
from compress.pipeline.result import ApplyResult
from compress.results.document import Results
from compress.results.file import dump_json, read_results


def test_no_nan_in_json() -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        dump_json({"psnr_db": float("nan")})
    assert dump_json({"a": [1]}).endswith("}\n")


def test_sections_are_written_as_they_were_given() -> None:
    goal = {"goal": "breaches", "artifact": "a", "met": True, "value": 0, "bound": 0, "note": "kept"}
    quality = {"artifact": "a", "dataset": "d", "psnr_db": 30.0, "n": 2, "pictures": [{"psnr_db": 30.0, "name": "p"}]}
    given = {"name": "tiny", "schema_version": 1, "goals": [goal], "quality": [quality]}
    assert dump_json(Results.model_validate(given).to_json()) == dump_json(given)


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"not a bundle, it has no results\.json: give the folder that `compress apply`"
    ):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "damaged"), ("[]", "not results of schema_version 1"), ('{"schema_version": 2}', "not")]
)
def test_damaged_results(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(VerificationError, match=message) as caught:
        read_results(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


ARTIFACT = {"id": "onnx-int8", "format": "onnx", "precision": "int8", "entry": "int8/onnx/model.onnx"}


def test_an_artifact_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(dump_json({"schema_version": 1, "artifacts": [ARTIFACT, ARTIFACT]}))
    with pytest.raises(VerificationError, match=r"damaged \(artifacts: .*an artifact is listed twice\)"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("section", "entry", "place"),
    [
        ("quality", {"artifact": "onnx-int8", "dataset": "a", "psnr_db": "24"}, "quality.0.psnr_db"),
        ("quality", {"artifact": "onnx-int8", "dataset": "a", "psnr_db": 1e300}, "quality.0.psnr_db"),
        (
            "artifacts",
            {"id": "x", "format": "onnx", "precision": "int8", "entry": "x", "bytes": -1},
            "artifacts.0.bytes",
        ),
        (
            "artifacts",
            {"id": "x", "format": "onnx", "precision": "int8", "entry": "x", "bytes": 2**70},
            "11805916207174113034... does not fit in 64 bits",
        ),
        ("performance", {"artifact": "x", "evidence": "guessed"}, "performance.0.evidence"),
        ("performance", {"artifact": "x", "speedup_vs": {"fp32": 2.0}}, "performance.0.speedup_vs.fp32"),
        ("goals", [1], "goals.0"),
        ("samples", {"name": "a"}, "samples.0.degraded"),
        ("seconds_by_stage", {"stage": "ptq", "seconds": None}, "seconds_by_stage.0.seconds"),
    ],
)
def test_figures_of_another_type_or_out_of_range_are_refused(
    tmp_path: Path, section: str, entry: Any, place: str
) -> None:
    (tmp_path / "results.json").write_text(dump_json({"schema_version": 1, section: [entry]}))
    with pytest.raises(VerificationError, match=re.escape(f"damaged ({place}")) as caught:
        read_results(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(f'{{"schema_version": 1, "seconds": {text}}}')
    with pytest.raises(VerificationError, match=rf"damaged \({text} is not a number\)"):
        read_results(tmp_path)


WHOLE = {
    "schema_version": 1,
    "artifacts": [ARTIFACT | {"bytes": 7, "a_newer_field": {"x": [1, None]}}],
    "quality": [{"artifact": "onnx-int8", "dataset": "a", "psnr_db": 24.5, "ssim": None}],
    "performance": [{"artifact": "onnx-int8", "evidence": "unavailable", "why": "no board"}],
    "fallback": [{"step": "raise_bits", "skipped": "no time"}],
    "a_newer_section": [1],
}


def test_what_was_read_is_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(dump_json(WHOLE))
    results = read_results(tmp_path)
    assert results.to_json() == WHOLE
    assert (results.artifacts[0].bytes, results.quality[0].ssim, results.goals) == (7, None, [])
    assert results.unavailable == ["no board"]


def test_a_section_that_is_null_is_empty(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(dump_json({"schema_version": 1, "quality": None, "notes": None}))
    assert (read_results(tmp_path).quality, read_results(tmp_path).notes) == ([], [])


GOAL = {"goal": "fidelity_db", "artifact": "onnx-int8", "dataset": "a", "bound": 99.0}
MEASURED = {"evidence": "measured"}
ABSENT = {"evidence": "unavailable", "why": "target t: x is not set up here: set it up"}


@pytest.mark.parametrize(
    ("value", "met", "parity", "performance", "code"),
    [
        (100.0, True, True, [], 0),
        (60.0, False, True, [], 3),
        (None, False, True, [MEASURED], 3),
        (100.0, True, False, [], 3),
        (100.0, True, True, [MEASURED, ABSENT, ABSENT], 4),
        (None, False, True, [ABSENT], 4),
        (60.0, False, True, [ABSENT], 3),
        (100.0, True, False, [ABSENT], 3),
    ],
)
def test_the_exit_code_tells_of_goals_and_of_targets(
    value: float | None, met: bool, parity: bool, performance: list, code: int, tmp_path: Path
) -> None:
    goals = [GOAL | {"value": value, "met": met}]
    entries = [{"artifact": "onnx-int8", **entry} for entry in performance]
    document = {"goals": goals, "parity": [{"artifact": "onnx-int8", "met": parity}], "performance": entries}
    result = ApplyResult(tmp_path, Results.model_validate({"schema_version": 1, **document}), False)
    assert result.exit_code == code
    assert result.unavailable == ([ABSENT["why"]] if ABSENT in performance else [])


def shown(result: ApplyResult) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(result.table())
    return console.export_text()


def test_the_terminal_shows_results_and_missed_goals(finished: Any) -> None:
    text = shown(finished.result)
    assert "onnx-int8-tensorrt" in text and "goals: none set" in text and str(finished.folder) in text
    parity = [p.model_copy(update={"met": False}) for p in finished.result.document.parity]
    text = shown(ApplyResult(finished.folder, finished.result.document.model_copy(update={"parity": parity}), True))
    assert "goals: none set" in text and text.count("parity MISSED: ") == len(parity)
    assert "onnx-fp32 against torch-fp32" in text and "dB, bound 60.00" in text
    assert "onnx-int8: " in text and "dB: the gap may be 1 dB" in text
    missed = {
        "goal": "fidelity_db",
        "artifact": "onnx-int8",
        "dataset": "a",
        "bound": 99.0,
        "value": 60.0,
        "met": False,
    }
    results = Results.model_validate(finished.result.results | {"goals": [missed], "goals_met": False})
    text = shown(ApplyResult(finished.folder, results, True))
    assert "goals: 0 of 1 met" in text and "unchanged, reused" in text and "99" in text


def test_json_is_the_results_and_where_they_are(finished: Any) -> None:
    document = finished.result.to_json()
    assert (document["bundle"], document["reused"]) == (str(finished.folder), False)
    assert document["artifacts"] == finished.result.results["artifacts"]
