"""Sensitivity: one part alone loses less than all of them; what was measured is not measured again."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.pipeline.context import RunContext
from compress.pipeline.probe import Probe
from compress.pipeline.workers.in_process import InProcess
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.search import sensitivity as module
from compress.search.sensitivity import sensitivity

pytestmark = pytest.mark.slow
# The last layers only: each layer is a model that is run.
PTQ = {"ptq": {"rounding": "nearest", "keep_float": ["enc", "mmse", "fmir.steps.0.down_blocks", "dec.layers.2"]}}


def run(recipe: Recipe, out: Path, format_: str | None = None, said: io.StringIO | None = None) -> module.Sensitivity:
    return sensitivity(RunContext(recipe, out, Progress("lines" if said else "silent", said)), format_, 2)


def test_parts_and_the_whole(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(passes=[{"collapse": {}}, {"fold_time": {}}, PTQ])
    said = io.StringIO()
    result = run(recipe, tmp_path, said=said)
    expected = r"expected time: about \d+ (?:s|minutes) for at most (\d+) parts on 2 pictures \(.* s per part\), beside"
    before, after = said.getvalue().split("\nptq ...\n")
    (parts,) = re.findall(expected, before)
    assert int(parts) >= 3 + len(result.layers) and "expected time" not in after, "once, before the first is quantized"
    assert [stage.name for stage in result.stages] == ["flow, step 1", "decoder", "whole model"]
    assert (result.format, result.dataset, result.pictures) == ("openvino", "validation", 2)
    flow, decoder, whole = result.stages
    assert whole.layers == flow.layers + decoder.layers == len(result.layers) > 20
    assert whole.fidelity_db < min(flow.fidelity_db, decoder.fidelity_db)
    assert all(loss.fidelity_db > whole.fidelity_db for loss in result.layers)
    assert whole.parameters == sum(loss.parameters for loss in result.layers)

    def again(*_: Any) -> dict[str, Any]:
        raise AssertionError("measured before")

    monkeypatch.setattr(Probe, "loss", again)
    assert run(recipe, tmp_path) == result
    with pytest.raises(AssertionError, match="measured before"):
        run(recipe, tmp_path, "onnx")

    # On an engine, from an empty folder: what was calibrated comes from the store, the figures are the same.
    monkeypatch.undo()
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    left = str(tmp_path / "left")
    engine = InProcess()
    assert sensitivity(RunContext(recipe, tmp_path / "other", Progress("silent")), None, 2, engine, left) == result
    assert len(list((tmp_path / "left/prefixes").iterdir())) == 1

    # Stages alone, of which all were measured before.
    monkeypatch.setattr(Probe, "loss", again)
    context = RunContext(recipe, tmp_path, Progress("silent"))
    stages = sensitivity(context, None, 2, quick=True)
    assert (stages.stages, stages.layers) == (result.stages, [])
    stages.write_plot(tmp_path / "stages.svg")
    assert (tmp_path / "stages.svg").read_text().count("<title>") == 2
    assert stages.table().row_count == 3

    svg = tmp_path / "layers.svg"
    result.write_plot(svg)
    assert svg.read_text().count("<title>") == len(result.layers)
    assert "decoder" in svg.read_text()


def test_every_layer_fills_the_table(tiny_recipe: Callable[..., Recipe]) -> None:
    loss = module.Loss("dec.layers.2", "decoder", 1, 100, 40.0, 0.01)
    result = module.Sensitivity("tiny", "onnx", "validation", 2, 128, [loss], [loss] * 30)
    assert result.table().row_count == 1 + module.WORST
    assert result.to_json()["stages"][0]["fidelity_db"] == 40.0


def test_what_cannot_be_asked(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not export executorch in 8 bits: choose another format"):
        run(tiny_recipe(), tmp_path, "executorch")
    with pytest.raises(InputError, match=r"^passes.ptq.keep_float: no layer is named decoder"):
        run(tiny_recipe(passes=[{"collapse": {}}, {"ptq": {"keep_float": ["decoder"]}}]), tmp_path)
    floats = tiny_recipe(export={"onnx": {"precisions": ["fp32"]}})
    with pytest.raises(InputError, match="does not export anything in 8 bits"):
        run(floats, tmp_path)
