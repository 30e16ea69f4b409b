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
def search_result(tiny_recipe: Callable[..., Recipe], folder: Path) -> SearchResult:
    return run(tiny_recipe(passes=PASSES, search=SEARCH, targets=["x86-openvino"]), folder)


def test_an_engine_measures_the_same_at_once(
    search_result: SearchResult,
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
    assert again.tried == search_result.tried and again.problem == search_result.problem
    assert {"layer 1", "combination 1"} <= set(asked)


def test_fewer_bits_are_smaller_and_further_away(search_result: SearchResult) -> None:
    assert len(search_result.tried) == 8
    own = search_result.tried[0]
    assert set(own.bits.values()) == {8}
    assert own.bytes == search_result.costs.bytes["int8"]
    smallest, largest = search_result.pareto[0], search_result.pareto[-1]
    assert smallest.bytes < own.bytes
    assert smallest.fidelity_db < largest.fidelity_db
    for group in search_result.groups:
        four, eight, float_ = search_result.problem.options[group.name]
        assert four.error > eight.error > float_.error == 0
        assert float_.bytes == 4 * eight.bytes == 8 * four.bytes
        assert four.ms == eight.ms == 0 <= float_.ms


def test_costs_are_measured_for_every_network_in_float(search_result: SearchResult) -> None:
    assert set(search_result.costs.ms) == {"fp32", "int8", "flow", "decoder"}
    assert all(ms > 0 for ms in search_result.costs.ms.values())
    assert search_result.costs.bytes["int8"] < search_result.costs.bytes["fp32"]


def test_every_point_is_a_recipe_with_its_bits(search_result: SearchResult) -> None:
    assert len(search_result.recipes) == len(search_result.pareto)
    for tried, path in zip(search_result.pareto, search_result.recipes, strict=True):
        recipe = load_recipe(str(path))
        assert recipe.name == path.stem
        bits = recipe.ptq
        assert bits is not None
        assert {layer: bits.bits_of(layer) for layer in search_result.by_layer(tried)} == search_result.by_layer(tried)


def test_what_was_measured_is_kept(
    search_result: SearchResult, folder: Path, tiny_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any) -> Any:
        raise AssertionError("measured before")

    monkeypatch.setattr(Lab, "error", again)
    monkeypatch.setattr(Judge, "quality", again)
    recipe = tiny_recipe(passes=PASSES, search=SEARCH, targets=["x86-openvino"])
    assert run(recipe, folder).to_json() == search_result.to_json()
    with pytest.raises(AssertionError, match="measured before"):
        run(recipe, folder, "onnx")


def test_json_table_and_plot(search_result: SearchResult, tmp_path: Path) -> None:
    document = json.loads(json.dumps(search_result.to_json()))
    assert document["constraints_met"]
    assert sum(t["pareto"] for t in document["trials"]) == len(search_result.pareto)
    assert all(t["quality_simulated"]["n"] == 2 for t in document["trials"])
    svg = tmp_path / "search.svg"
    search_result.write_plot(svg)
    assert svg.read_text().count("<title>") == len(search_result.tried)


def test_what_cannot_be_searched(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not export executorch in 8 bits: choose another format"):
        run(tiny_recipe(), tmp_path, "executorch")
    with pytest.raises(InputError, match="nncf gives all layers the same bits: use engine elir"):
        run(tiny_recipe(passes=[{"fold_time": {}}, {"ptq": {"engine": "nncf"}}]), tmp_path)
    with pytest.raises(InputError, match=r"^passes.ptq.keep_float: no layer is named decoder"):
        run(tiny_recipe(passes=[{"collapse": {}}, {"ptq": {"keep_float": ["decoder"]}}]), tmp_path)
    with pytest.raises(InputError, match="latency_ms: no local target of the recipe runs openvino in fp32 and int8"):
        run(tiny_recipe(search={"constraints": {"latency_ms": 5}}), tmp_path)
    with pytest.raises(InputError, match=r"minutes were over after 0 of .* single layers: run it again to go on"):
        run(tiny_recipe(passes=PASSES, search={"minutes": 1e-9}), tmp_path)
