"""A whole search on the tiny model: resumed, its points are recipes, its figures are those that apply would write."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.folders import MARK
from compress.pipeline.context import RunContext
from compress.pipeline.workers import Outcome, Task, Workers
from compress.pipeline.workers.base import OnOutcome, Tick
from compress.pipeline.workers.in_process import InProcess
from compress.progress import Progress
from compress.recipe.load import load_recipe, to_yaml
from compress.recipe.schema import Recipe
from compress.search import search
from compress.search.lab import Lab
from compress.search.quality import Judge
from compress.search.result import SearchResult

pytestmark = pytest.mark.slow
# Most layers stay float: each layer is a model that is run.
KEPT = ["enc", "mmse", "fmir.steps.0.down_blocks", "fmir.steps.0.up_blocks", "dec.layers.2"]
PASSES = [{"collapse": {}}, {"fold_time": {}}, {"ptq": {"rounding": "nearest", "keep_float": KEPT}}]
SEARCH = {"trials": 8, "pictures": 2}


def run(recipe: Recipe, out: Path, format_: str | None = None, workers: Workers | None = None) -> SearchResult:
    # A person's file in a search's own folder, named as what a search writes.
    if not (out / MARK).exists():
        (out / MARK).write_text('{"kind": "search"}')
    source = out / "tiny_source.yaml"
    source.write_text(to_yaml(recipe))
    return search(RunContext(recipe, out, Progress("silent")), str(source), format_, workers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def found(tiny_recipe: Callable[..., Recipe], folder: Path) -> SearchResult:
    return run(tiny_recipe(passes=PASSES, search=SEARCH, targets=["x86-openvino"]), folder)


def test_an_engine_measures_the_same_at_once(
    found: SearchResult,
    folder: Path,
    tiny_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was calibrated comes from the store. Bytes and times are no engine's to measure, and those of ``found``: all
    figures are equal.
    """
    recipe = tiny_recipe(passes=PASSES, search=SEARCH, targets=["x86-openvino"])
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []

    class Noted(InProcess):
        def run(self, tasks: Sequence[Task], on_outcome: OnOutcome, tick: Tick = lambda: None) -> dict[str, Outcome]:
            asked.extend(task.label for task in tasks)
            return super().run(tasks, on_outcome, tick)

    many = tmp_path / "many"
    (many / ".stages").mkdir(parents=True)
    shutil.copy(folder / ".stages/costs-openvino.json", many / ".stages")
    again = run(recipe, many, workers=Noted())
    assert again.tried == found.tried and again.problem == found.problem
    assert {"layer 1", "combination 1"} <= set(asked)


def test_fewer_bits_are_smaller_and_further_away(found: SearchResult) -> None:
    assert len(found.tried) == 8
    own = found.tried[0]
    assert set(own.bits.values()) == {8}
    assert own.bytes == found.costs.bytes["int8"]
    smallest, largest = found.pareto[0], found.pareto[-1]
    assert smallest.bytes < own.bytes
    assert smallest.fidelity_db < largest.fidelity_db
    for group in found.groups:
        four, eight, float_ = found.problem.options[group.name]
        assert four.error > eight.error > float_.error == 0
        assert float_.bytes == 4 * eight.bytes == 8 * four.bytes
        assert four.ms == eight.ms == 0 <= float_.ms


def test_costs_are_measured_for_every_network_in_float(found: SearchResult) -> None:
    assert set(found.costs.ms) == {"fp32", "int8", "flow", "decoder"}
    assert all(ms > 0 for ms in found.costs.ms.values())
    assert found.costs.bytes["int8"] < found.costs.bytes["fp32"]


def test_every_point_is_a_recipe_with_its_bits(found: SearchResult) -> None:
    assert len(found.recipes) == len(found.pareto)
    for tried, path in zip(found.pareto, found.recipes, strict=True):
        recipe = load_recipe(str(path))
        assert recipe.name == path.stem
        bits = recipe.ptq
        assert bits is not None
        assert {layer: bits.bits_of(layer) for layer in found.by_layer(tried)} == found.by_layer(tried)


def test_what_was_measured_is_kept(
    found: SearchResult, folder: Path, tiny_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any) -> Any:
        raise AssertionError("measured before")

    monkeypatch.setattr(Lab, "error", again)
    monkeypatch.setattr(Judge, "quality", again)
    recipe = tiny_recipe(passes=PASSES, search=SEARCH, targets=["x86-openvino"])
    assert run(recipe, folder).to_json() == found.to_json()
    with pytest.raises(AssertionError, match="measured before"):
        run(recipe, folder, "onnx")


def test_json_table_and_plot(found: SearchResult, tmp_path: Path) -> None:
    document = json.loads(json.dumps(found.to_json()))
    assert document["constraints_met"]
    assert sum(t["pareto"] for t in document["trials"]) == len(found.pareto)
    assert all(t["quality_simulated"]["n"] == 2 for t in document["trials"])
    svg = tmp_path / "search.svg"
    found.write_plot(svg)
    assert svg.read_text().count("<title>") == len(found.tried)


def test_what_cannot_be_searched(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not export executorch in 8 bits: choose another format"):
        run(tiny_recipe(), tmp_path, "executorch")
    with pytest.raises(InputError, match="nncf gives all layers the same bits: use engine elir"):
        run(tiny_recipe(passes=[{"fold_time": {}}, {"ptq": {"engine": "nncf"}}]), tmp_path)
    with pytest.raises(InputError, match=r"latency_ms: no local target of the recipe runs openvino: add one"):
        run(tiny_recipe(search={"constraints": {"latency_ms": 5}}), tmp_path)
    with pytest.raises(InputError, match=r"minutes were over after 0 of .* single layers: run it again to go on"):
        run(tiny_recipe(passes=PASSES, search={"minutes": 1e-9}), tmp_path)
