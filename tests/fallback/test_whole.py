"""A recipe that misses its goal: mended by a step, or not; within its budget; stopped and resumed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compress import pipeline
from compress.bundle import changed_files, read_manifest
from compress.fallback import errors
from compress.progress import Progress
from compress.recipe import load_recipe
from compress.results import ApplyResult
from compress.schema import Recipe

pytestmark = pytest.mark.slow
# Few layers are quantized, and all of them badly.
KEPT = ["enc", "mmse", "fmir", "dec.layers.0", "dec.layers.2"]
PASSES = [{"collapse": {}}, {"fold_time": {}}]
PTQ = {"rounding": "nearest", "bias_correction": False, "keep_float": KEPT, "layer_bits": {"dec": 4}}
ONE = {"onnx": {"precisions": ["fp32", "int8"], "tensorrt": False}}


@pytest.fixture()
def run(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[..., ApplyResult]:
    def apply(fidelity_db: float, steps: list[str], minutes: float = 30, **goals: Any) -> ApplyResult:
        asked = {"fidelity_db": fidelity_db, **goals}
        fallback = {"steps": steps, "minutes": minutes}
        recipe = tiny_recipe(passes=[*PASSES, {"ptq": PTQ}], export=ONE, goals=asked, fallback=fallback)
        result = pipeline.apply(recipe, tmp_path / "tiny", True, False, Progress("lines"))
        assert isinstance(result, ApplyResult)
        return result

    return apply


def fidelity(result: ApplyResult) -> float:
    return next(q["fidelity_db"] for q in result.results["quality"] if q["artifact"] == "onnx-int8")


def test_a_missed_goal_is_met_by_more_bits(
    run: Callable[..., ApplyResult], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    floats: list[str] = []
    written = pipeline.Run._write

    def count(self: pipeline.Run, artifact: Any) -> None:
        floats.append(artifact.id)
        written(self, artifact)

    monkeypatch.setattr(pipeline.Run, "_write", count)
    result = run(45, ["raise_bits", "raise_bits", "float_stage"])
    log = result.results["fallback"]
    assert result.exit_code == 0 and fidelity(result) >= 45
    assert log[-1]["kept"] and not log[-1]["missed_after"]
    assert "bits of dec.layers." in log[0]["changed"] and "4 -> 8" in log[0]["changed"]
    assert log[0]["missed_before"][0].startswith("fidelity_db of onnx-int8 ")
    assert floats.count("onnx-fp32") == 1
    assert floats.count("onnx-int8") == 1 + len(log)

    told = capsys.readouterr().err
    assert "fallback: raise_bits: bits of dec.layers." in told
    assert "kept: 0 of 1 goals missed, 1 before" in told
    folder = result.folder
    assert not (folder / ".fallback").exists()
    assert not changed_files(folder, read_manifest(folder))
    held = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert held["passes"][-1]["ptq"]["layer_bits"] != {"dec": 4}
    assert held["fallback"] is None
    assert load_recipe(str(folder / "recipe.yaml")).passes == held["passes"]
    assert "raise_bits" in (folder / "report.html").read_text()

    again = run(45, ["raise_bits", "raise_bits", "float_stage"])
    assert again.reused and again.results == result.results


def test_what_never_meets_its_goals_keeps_the_best(run: Callable[..., ApplyResult]) -> None:
    result = run(99, ["recalibrate", "raise_bits"])
    assert result.exit_code == 3
    log = result.results["fallback"]
    assert [entry["step"] for entry in log] == ["recalibrate", "raise_bits"]
    assert log[0]["changed"] == "range min_max -> percentile"
    assert log[1]["kept"] and log[1]["missed_after"]
    assert run(99, ["recalibrate", "raise_bits"]).reused


def test_the_budget_ends_it(run: Callable[..., ApplyResult]) -> None:
    result = run(99, ["raise_bits", "float_stage"], minutes=1e-6)
    first, second = result.results["fallback"]
    assert first["step"] == "raise_bits" and first["seconds"] > 0
    assert second == {"step": "float_stage", "skipped": "the budget of 1e-06 minutes is spent"}


def test_size_cannot_be_helped(run: Callable[..., ApplyResult]) -> None:
    result = run(1, ["raise_bits"], size_ratio=0.01)
    why = "size_ratio missed, and no step makes an artifact faster or smaller"
    assert result.results["fallback"] == [{"step": "raise_bits", "skipped": why}]
    assert result.exit_code == 3


@pytest.fixture()
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The first attempt is stopped before its parity."""
    parity = pipeline.Run._parity

    def stop(self: pipeline.Run) -> Any:
        if ".fallback" in self.out.parts:
            raise KeyboardInterrupt
        return parity(self)

    monkeypatch.setattr(pipeline.Run, "_parity", stop)
    yield monkeypatch


def test_stopped_and_resumed(run: Callable[..., ApplyResult], interrupted: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(45, ["raise_bits"])
    interrupted.undo()
    written: list[str] = []

    def write(self: pipeline.Run, artifact: Any) -> None:
        written.append(artifact.id)

    def probe(*_: Any) -> None:
        raise AssertionError("measured before")

    interrupted.setattr(pipeline.Run, "_write", write)
    interrupted.setattr(errors, "Probe", probe)
    result = run(45, ["raise_bits"])
    assert written == []
    assert [entry["step"] for entry in result.results["fallback"]] == ["raise_bits"]
    assert result.results["fallback"][0]["kept"]
