import io

import pytest
from rich.console import Console

from compress.report import results_table
from compress.report.gaps import gaps, unjudged
from compress.results.document import Results


def _told(results: Results) -> list[tuple[str, str, str]]:
    return [(gap.subject, gap.what, gap.why) for gap in gaps(results)]


def test_fp32_is_no_gap_for_what_is_held_against_it(results: Results) -> None:
    assert not any("fidelity" in what or "drop" in what for _, what, _ in _told(results))


def test_what_did_not_run_is_told_with_its_reason(results: Results) -> None:
    results.performance[-1].why = "no TensorRT here"
    message = _told(results)
    assert ("onnx-int8-tensorrt", "quality", "it was not run here") in message
    assert ("onnx-int8-tensorrt", "speed on cpu_local", "no TensorRT here") in message
    assert ("executorch-fp16", "speed on cpu_local", "the target was not available on this machine") in message


def test_equal_gaps_share_a_line(results: Results) -> None:
    p90 = [line for line in _told(results) if line[1].startswith("p90")]
    assert len(p90) == 1 and p90[0][0].count(",") == 7


@pytest.mark.parametrize("evidence", ["compiled", "parsed", "emulated", "estimated"])
def test_evidence_short_of_measured_is_told(results: Results, evidence: str) -> None:
    results.performance[0].evidence = evidence  # type: ignore[assignment]
    why = next(why for subject, what, why in _told(results) if subject == "openvino-fp32" and what.startswith("speed"))
    assert evidence.removesuffix("d").removesuffix("e")[:5] in why


def test_null_goal_and_null_field_are_told(results: Results) -> None:
    results.goals[0].value = None
    results.performance[0].peak_rss_mb = None
    message = _told(results)
    assert any(
        what == "goal psnr_drop_db on photos_validation" and "counts as missed" in why for _, what, why in message
    )
    assert ("openvino-fp32", "peak memory on cpu_local", "no figure recorded") in message


def test_empty_sections_are_told() -> None:
    assert len(_told(Results(schema_version=1))) == 8


def test_a_quantized_artifact_without_goals_says_why(results: Results) -> None:
    """The report and the terminal's table show a dash, which is no goal that was met."""
    results.performance = [row for row in results.performance if row.artifact != "onnx-int8-tensorrt"]
    why = "no target of the recipe runs it"
    assert ("onnx-int8-tensorrt", "goals", why) in _told(results)
    console = Console(file=io.StringIO(), width=200)
    console.print(results_table(results))
    assert f"no goals for onnx-int8-tensorrt: {why}" in console.file.getvalue()  # type: ignore[attr-defined]
    next(artifact for artifact in results.artifacts if artifact.id == "openvino-int8").shape = [64, 96]
    results.goals = [goal for goal in results.goals if goal.artifact != "openvino-int8"]
    assert ("openvino-int8", "goals", "goals apply only to the first of the recipe's sizes") in _told(results)
    results.goals = []
    assert unjudged(results) == []
