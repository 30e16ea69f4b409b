from typing import Any

import pytest

from compress.report.headline import headline, missed_goals
from compress.results.document import Results


def sentence(document: dict[str, Any], **changes: Any) -> str:
    """The first line, with ``changes`` in every performance entry of an int8 artifact."""
    for row in document["performance"]:
        if "int8" in row["artifact"]:
            row.update(changes)
    answer = headline(Results.model_validate(document))
    assert answer is not None
    return answer.sentence


def test_fastest_artifact_that_met_its_goals_is_the_answer(document: dict[str, Any]) -> None:
    answer = headline(Results.model_validate(document))
    assert answer is not None and answer.artifact == "openvino-int8"
    assert answer.sentence == "3.8x smaller, 2.1x faster, 0.03 dB worse: use int8/openvino/model.xml"
    assert answer.basis == (
        "Compared with openvino-fp32; PSNR on photos_validation (20 pictures); speed on cpu_local, measured."
    )


def test_a_missed_goal_stands_in_the_way_of_the_fastest(document: dict[str, Any]) -> None:
    speed = next(g for g in document["goals"] if (g["goal"], g["artifact"]) == ("speedup", "openvino-int8"))
    speed.update(value=1.2, met=False)
    assert sentence(document).endswith(": use int8/onnx/model.onnx")
    document["artifacts"] = [a for a in document["artifacts"] if a["format"] == "openvino"]
    assert sentence(document).endswith("int8/openvino/model.xml misses the goal speedup")


@pytest.mark.parametrize(
    ("speedup", "message"),
    [
        ({"value": 0.8, "low": 0.78, "high": 0.83}, "1.2x slower, 0.03 dB worse: use {} only if size counts more"),
        (
            {"value": 1.08, "low": 0.96, "high": 1.2},
            "no clear difference in speed (0.96x to 1.20x), 0.03 dB worse: use {}",
        ),
        ({"value": 1.04, "low": 0.96, "high": 1.2}, "same speed, 0.03 dB worse: use {}"),
        ({"value": 1.02, "low": 1.01, "high": 1.03}, "same speed, 0.03 dB worse: use {}"),
    ],
)
def test_what_is_not_faster_is_not_called_so(document: dict[str, Any], speedup: dict[str, float], message: str) -> None:
    message = message.format("int8/openvino/model.xml")
    assert sentence(document, speedup_vs={"fp32": speedup}).startswith(f"3.8x smaller, {message}")


def test_what_is_neither_smaller_nor_faster_is_not_recommended(document: dict[str, Any]) -> None:
    for artifact in document["artifacts"]:
        artifact["size_ratio"] = 0.99
    slow = {"fp32": {"value": 0.88, "low": 0.87, "high": 0.9}}
    message = sentence(document, speedup_vs=slow)
    assert message == "same size, 1.1x slower, 0.03 dB worse: int8/openvino/model.xml brings no gain"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evidence": "unavailable"}, "speed not measured (unavailable)"),
        ({"evidence": "compiled"}, "speed not measured (compiled)"),
        (
            {"evidence": "emulated", "instructions_vs_fp32": 3.12},
            "3.1x fewer instructions (emulated), speed not measured",
        ),
        (
            {"evidence": "estimated", "estimate": {"latency_ms": 4.0, "speedup_vs_fp16": 1.7}},
            "1.7x faster than fp16 by the vendor's estimate",
        ),
    ],
)
def test_speed_without_a_clock_is_said_to_be_none(
    document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    empty = dict.fromkeys(("latency_ms", "speedup_vs"))
    assert sentence(document, **empty, **changes).startswith(f"3.8x smaller, {message}, 0.03 dB worse: use ")


def test_a_busy_machine_is_named(document: dict[str, Any]) -> None:
    busy = {"busy": [{"name": "chrome", "cores": 1.4}]}
    assert "2.1x faster (on a busy machine)" in sentence(document, machine=busy)


def test_quality_that_rose_or_was_not_measured(document: dict[str, Any]) -> None:
    for row in document["quality"]:
        row["psnr_drop_db"] = -0.021
    assert "0.02 dB better" in sentence(document)
    for row in document["quality"]:
        row["psnr_drop_db"] = 0.004
    assert "same quality" in sentence(document)
    for row in document["quality"]:
        row["psnr_drop_db"] = None
    assert "fidelity 41.2 dB" in sentence(document)
    document["quality"] = []
    assert "quality not measured" in sentence(document)


def test_fp32_alone_has_no_answer(document: dict[str, Any]) -> None:
    document["artifacts"] = [a for a in document["artifacts"] if a["precision"] == "fp32"]
    assert headline(Results.model_validate(document)) is None


def test_missed_goals_are_named_once_and_at_most_three(document: dict[str, Any]) -> None:
    assert missed_goals(Results.model_validate(document)) == "fidelity_db of executorch-int8 (39.4 dB, goal ≥ 39.5 dB)"
    for goal in document["goals"]:
        goal["met"] = False
    message = missed_goals(Results.model_validate(document))
    assert (
        message.startswith("psnr_drop_db of openvino-int8 (0.031 dB, goal ≤ 0.050 dB); ") and "; and 12 more" in message
    )
