"""Each goal with its direction, for each int8 artifact that a target runs."""

from typing import Any

import pytest

from compress.pipeline import goals as module
from compress.recipe.schema import Goals
from compress.results.document import Results

QUALITY = {
    "psnr_drop_db": 0.04,
    "ssim_drop": 0.001,
    "lpips_rise": 0.004,
    "fidelity_db": 41.0,
    "color_shift_vs_fp32": 0.2,
}


def check_goals(goals: Goals, result: dict[str, Any]) -> list[dict[str, Any]]:
    """As they stand in results.json."""
    return [goal.to_json() for goal in module.check_goals(goals, Results.model_validate(result))]


def results(**changes: Any) -> dict[str, Any]:
    ids = {"onnx-fp32": "fp32", "onnx-int8": "int8", "onnx-int8-tensorrt": "int8", "onnx-int8-htp": "int8"}
    result: dict[str, Any] = {
        "schema_version": 1,
        "artifacts": [
            {"id": name, "format": "onnx", "precision": precision, "entry": "model.onnx", "size_ratio": 0.26}
            for name, precision in ids.items()
        ],
        "quality": [{"artifact": name, "dataset": set_, **QUALITY} for name in ids for set_ in ("a", "b")],
        "performance": [],
    }
    return result | changes


@pytest.mark.parametrize(
    ("goal", "met", "missed"),
    [
        ("psnr_drop_db", 0.05, 0.03),
        ("ssim_drop", 0.001, 0.0009),
        ("lpips_rise", 0.005, 0.003),
        ("fidelity_db", 39.5, 43.0),
        ("color_shift", 0.5, 0.1),
    ],
)
def test_every_quality_goal_has_its_direction(goal: str, met: float, missed: float) -> None:
    for bound, wanted in ((met, True), (missed, False)):
        result = check_goals(Goals(**{goal: bound}), results())
        assert [(g["goal"], g["artifact"], g["dataset"], g["met"]) for g in result] == [
            (goal, "onnx-int8", set_, wanted) for set_ in ("a", "b")
        ]


def test_weights_alone_are_judged_too() -> None:
    result = results()
    result["artifacts"][1] |= {"precision": "weights"}
    assert [g["artifact"] for g in check_goals(Goals(size_ratio=0.27), result)] == ["onnx-int8"]


def test_size() -> None:
    assert [g["met"] for g in check_goals(Goals(size_ratio=0.27), results())] == [True]
    (missed,) = check_goals(Goals(size_ratio=0.25), results())
    assert missed == {
        "goal": "size_ratio", "artifact": "onnx-int8", "dataset": None, "bound": 0.25, "value": 0.26, "met": False
    }  # fmt: skip


def timed(value: float | None) -> list[dict[str, Any]]:
    ratio = None if value is None else {"value": value, "low": 1.4, "high": 1.7}
    return [{"artifact": "onnx-int8", "target": "x86", "speedup_vs": {"fp32": ratio, "best_float": None}}]


@pytest.mark.parametrize("speedup", [{"vs": "fp32", "min": 1.5}, {"onnx": {"vs": "fp32", "min": 1.5}}])
def test_speed_for_all_or_by_format(speedup: dict) -> None:
    goals = Goals.model_validate({"speedup": speedup})
    assert [(g["goal"], g["met"]) for g in check_goals(goals, results(performance=timed(1.6)))] == [
        ("speedup_vs_fp32", True)
    ]
    assert not check_goals(goals, results(performance=timed(1.49)))[0]["met"]


def test_speed_of_another_format_is_not_asked() -> None:
    goals = Goals.model_validate({"speedup": {"openvino": {"min": 1.5}}})
    assert check_goals(goals, results(performance=timed(1.0))) == []


BY_FEATURE = {"avx2": 1.6, "avx512_vnni": 3.0, "amx_int8": 5.5}


@pytest.mark.parametrize(
    ("features", "bound", "feature"),
    [
        (["sse4_2", "avx2"], 1.6, "avx2"),
        (["avx2", "avx_vnni"], 1.6, "avx2"),
        (["avx2", "avx512f", "avx512_vnni", "avx_vnni"], 3.0, "avx512_vnni"),
        (["avx2", "avx512_vnni", "amx_int8", "amx_bf16"], 5.5, "amx_int8"),
        (["asimd", "asimddp"], 1.6, None),
        ([], 1.6, None),
    ],
)
def test_speed_is_held_against_the_bound_of_the_cpu(features: list[str], bound: float, feature: str | None) -> None:
    goals = Goals.model_validate({"speedup": {"min": BY_FEATURE}})
    for value, met in ((bound, True), (bound - 0.01, False)):
        result = results(machine={"features": features}, performance=timed(value))
        (entry,) = check_goals(goals, result)
        assert (entry["bound"], entry.get("cpu_feature"), entry["met"]) == (bound, feature, met)


def test_a_device_of_its_own_has_its_own_bound() -> None:
    (here,) = timed(2.0)
    there = {**here, "target": "xeon", "machine": {"features": ["avx2", "amx_int8"]}}
    result = results(machine={"features": ["avx2"]}, performance=[here, there])
    goals = Goals.model_validate({"speedup": {"min": BY_FEATURE}})
    held = [(g["dataset"], g["bound"], g["cpu_feature"], g["met"]) for g in check_goals(goals, result)]
    assert held == [("x86", 1.6, "avx2", True), ("xeon", 5.5, "amx_int8", False)]


def test_a_plain_bound_means_every_cpu() -> None:
    result = results(machine={"features": ["avx2", "amx_int8"]}, performance=timed(1.6))
    (entry,) = check_goals(Goals.model_validate({"speedup": {"min": 1.5}}), result)
    assert (entry["bound"], entry["met"]) == (1.5, True) and "cpu_feature" not in entry


@pytest.mark.parametrize("performance", [[], timed(None)])
def test_what_was_not_measured_is_not_met(performance: list) -> None:
    (entry,) = check_goals(Goals.model_validate({"speedup": {"min": 1.5}}), results(performance=performance))
    assert (entry["met"], entry["value"]) == (False, None)
    assert entry["reason"] == "not measured: no target of the recipe ran it"


def test_no_goals() -> None:
    assert check_goals(Goals(), results()) == []


def test_a_value_without_a_reference_is_not_met() -> None:
    quality = [{"artifact": "onnx-int8", "dataset": "a", **dict.fromkeys(QUALITY)}]
    assert [g["met"] for g in check_goals(Goals(fidelity_db=30), results(quality=quality))] == [False]


def test_a_targets_gate_is_judged_whatever_the_recipe_asks() -> None:
    gate = {"share": 0.98, "min": 0.99, "delegated": 61}
    performance = [{**entry, "delegated": gate} for entry in timed(1.6)]
    (entry,) = check_goals(Goals(), results(performance=performance))
    assert (entry["goal"], entry["dataset"], entry["value"], entry["met"]) == ("delegated", "x86", 0.98, False)


def test_a_target_that_gives_no_time_has_no_speed_to_judge() -> None:
    emulated = {"artifact": "onnx-int8", "target": "arm", "evidence": "emulated", "speedup_vs": None}
    (entry,) = check_goals(
        Goals.model_validate({"speedup": {"min": 1.5}}), results(performance=[*timed(1.6), emulated])
    )
    assert (entry["dataset"], entry["met"]) == ("x86", True)


def performance_entries(artifact: str = "onnx-int8", **facts: Any) -> list[dict[str, Any]]:
    return [{"artifact": artifact, "target": "device", "speedup_vs": None, **facts}]


@pytest.mark.parametrize(
    ("goal", "bound", "facts", "value", "met"),
    [
        ("instructions_ratio", 2.8, {"instructions_vs_fp32": 2.99}, 2.99, True),
        ("instructions_ratio", 3.0, {"instructions_vs_fp32": 2.99}, 2.99, False),
        (
            "estimated_speedup",
            1.6,
            {"estimate": {"latency_ms": 1.0, "speedup_vs_fp16": 1.73}, "accepted": True},
            1.73,
            True,
        ),
        (
            "estimated_speedup",
            1.8,
            {"estimate": {"latency_ms": 1.0, "speedup_vs_fp16": 1.73}, "accepted": True},
            1.73,
            False,
        ),
        ("breaches", 0, {"accepted": True, "lint": []}, 0, True),
        ("breaches", 0, {"accepted": True, "lint": ["opset 21"]}, 1, False),
        ("breaches", 1, {"accepted": False, "lint": []}, 1, True),
    ],
)
def test_what_stands_in_for_a_device(goal: str, bound: float, facts: dict, value: float, met: bool) -> None:
    (entry,) = check_goals(Goals(**{goal: bound}), results(performance=performance_entries(**facts)))
    assert (entry["goal"], entry["dataset"], entry["value"], entry["met"]) == (goal, "device", value, met)


@pytest.mark.parametrize("goal", ["instructions_ratio", "estimated_speedup", "breaches"])
def test_what_no_device_told_is_not_met(goal: str) -> None:
    for performance in ([], performance_entries(evidence="unavailable"), timed(2.0)):
        (entry,) = check_goals(Goals(**{goal: 0 if goal == "breaches" else 1.0}), results(performance=performance))
        assert (entry["value"], entry["met"]) == (None, False)


def test_no_stand_in_is_a_measured_speed() -> None:
    facts = {"instructions_vs_fp32": 3.5, "estimate": {"latency_ms": 1.0, "speedup_vs_fp16": 1.7}}
    (entry,) = check_goals(
        Goals.model_validate({"speedup": {"min": 1.5}}), results(performance=performance_entries(**facts))
    )
    assert (entry["value"], entry["met"]) == (None, False)


def test_tensorrts_file_is_judged_where_a_target_reads_it() -> None:
    parsed = performance_entries("onnx-int8-tensorrt", accepted=True, lint=[])
    result = check_goals(Goals(fidelity_db=39.5), results(performance=parsed))
    assert [(g["artifact"], g["met"]) for g in result] == [("onnx-int8-tensorrt", True)] * 2
    assert {g["artifact"] for g in check_goals(Goals(fidelity_db=39.5), results())} == {"onnx-int8"}


@pytest.mark.parametrize(("shift", "missed"), [(0.3, 0), (2.1, 1), (None, 0)])
def test_a_collapsed_picture_is_told_whatever_the_goals_say(shift: float | None, missed: int) -> None:
    pictures = [{"name": "a", "histogram_vs_fp32": 0.1}, {"name": "b", "histogram_vs_fp32": shift}]
    quality = {"artifact": "onnx-int8", "dataset": "a", **QUALITY, "pictures": pictures}
    result = check_goals(Goals(), results(quality=[quality]))
    assert [(e["goal"], e["value"], e["met"]) for e in result] == [("histogram", 2.1, False)] * missed
    for other in (Goals(histogram=3.0), Goals(histogram=None)):
        assert check_goals(other, results(quality=[quality])) == []
