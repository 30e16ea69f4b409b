"""A recipe that misses its goal: mended by a step, or not; within its budget; stopped and resumed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import compress
from compress.bundle.open import check_files, open_bundle
from compress.pipeline import apply as pipeline
from compress.pipeline.fallback import layer_errors
from compress.pipeline.result import ApplyResult
from compress.progress import Progress
from compress.recipe.load import load_recipe
from compress.recipe.schema import Recipe

pytestmark = pytest.mark.slow
# The encoder alone is quantized, and badly.
PTQ = {"rounding": "nearest", "bias_correction": False, "keep_float": ["mmse", "fmir", "dec"], "layer_bits": {"enc": 4}}
SETTINGS: dict[str, Any] = {
    "passes": [{"collapse": {}}, {"fold_time": {}}, {"ptq": PTQ}],
    "export": {"openvino": {"precisions": ["fp32", "int8"]}},
}


@pytest.fixture(scope="module")
def base(tiny_recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe makes before any fallback."""
    out = tmp_path_factory.mktemp("base") / "tiny"
    compress.apply(tiny_recipe(**SETTINGS), out, progress=Progress("silent"))
    return out


@pytest.fixture()
def run(base: Path, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[..., ApplyResult]:
    folder = Path(shutil.copytree(base, tmp_path / "tiny"))

    def apply(goals: dict[str, float], steps: list[str], minutes: float = 30) -> ApplyResult:
        recipe = tiny_recipe(**SETTINGS, goals=goals, fallback={"steps": steps, "minutes": minutes})
        result = compress.apply(recipe, folder, progress=Progress("lines"))
        assert isinstance(result, ApplyResult)
        return result

    return apply


@pytest.fixture()
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Artifacts as they are written."""
    actual: list[str] = []
    write = pipeline.Run._write

    def count(self: pipeline.Run, artifact: Any) -> None:
        actual.append(artifact.id)
        write(self, artifact)

    monkeypatch.setattr(pipeline.Run, "_write", count)
    return actual


@pytest.fixture()
def probes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Schemes for which layers are measured, as it is done."""
    actual: list[str] = []

    class Noted(layer_errors.Probe):
        def __init__(self, models: Any, scheme: str, *rest: Any) -> None:
            actual.append(scheme)
            super().__init__(models, scheme, *rest)

    monkeypatch.setattr(layer_errors, "Probe", Noted)
    return actual


def test_a_missed_goal_is_met_in_the_end_though_it_was_stopped(
    run: Callable[..., ApplyResult],
    written: list[str],
    probes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {"fidelity_db": 80}, ["raise_bits", "float_stage", "recalibrate"]

    def stop(self: pipeline.Run) -> Any:
        raise KeyboardInterrupt

    # The bundle has its parity: it is the first attempt that is stopped.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pipeline.Run, "_parity", stop)
        run(*asked)
    assert (written, probes) == (["openvino-int8"], ["openvino"])

    result = run(*asked)
    # What the first attempt had measured and written was not done again.
    assert (written, probes) == (["openvino-int8"] * 2, ["openvino"] * 2)
    assert result.exit_code == 0
    raised, floated = result.results["fallback"]
    assert raised["changed"].startswith("bits of enc.layers.") and " 4 -> 8" in raised["changed"]
    assert raised["kept"] and raised["missed_after"]
    assert raised["missed_before"][0].startswith("fidelity_db of openvino-int8 7")
    assert floated["changed"] == "encoder left in float"
    assert floated["kept"] and not floated["missed_after"]

    message = capsys.readouterr().err
    assert f"fallback: raise_bits: {raised['changed']} (fidelity_db of openvino-int8 7" in message
    assert "fallback: float_stage: kept: 0 of 1 goals missed, 1 before" in message

    folder = result.folder
    assert not (folder / ".fallback").exists()
    check_files(open_bundle(folder))
    held = load_recipe(str(folder / "recipe.yaml"))
    assert held.ptq is not None and held.ptq.layer_bits == {"enc": 16}
    assert held.fallback is None
    assert "encoder left in float" in (folder / "report.html").read_text()

    again = run(*asked)
    assert again.reused and again.results == result.results


def test_what_never_meets_its_goals_ends_with_the_budget(run: Callable[..., ApplyResult]) -> None:
    asked = {"fidelity_db": 101}, ["recalibrate", "float_stage"], 1e-6
    result = run(*asked)
    assert result.exit_code == 3
    first, second = result.results["fallback"]
    assert first["changed"] == "range min_max -> percentile" and first["missed_after"] and first["seconds"] > 0
    assert second == {"step": "float_stage", "skipped": "the budget of 1e-06 minutes is spent"}
    assert run(*asked).reused


def test_size_cannot_be_helped(run: Callable[..., ApplyResult], written: list[str]) -> None:
    result = run({"size_ratio": 0.01}, ["raise_bits"])
    why = "size_ratio missed, and no step makes an artifact faster or smaller"
    assert result.results["fallback"] == [{"step": "raise_bits", "skipped": why}]
    assert result.exit_code == 3 and written == []
