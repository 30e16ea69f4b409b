"""A sweep's file: its points, and one line for each mistake in it."""

import random
from pathlib import Path

import pytest

from compress.errors import InputError
from compress.sweep.optuna_study import Study
from compress.sweep.points import Points
from compress.sweep.schema import Grid, Optuna, Random

HEAD = "version: 1\nname: s\nrecipes: [int8_sr]\n"
GRID = """search:
  kind: grid
  values:
    passes.3.ptq.engine: [elir, onnxruntime]
    export: [{openvino: {precisions: [fp32, int8]}}, {onnx: {precisions: [int8], tensorrt: false}}]
"""
OPTUNA = "search: {kind: optuna, trials: 2, goals: [bytes], values: "


def tens(count: int) -> str:
    """So many settings with ten values each."""
    return ", ".join(f"a{i}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for i in range(count))


def points(folder: Path, text: str) -> Points:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return Points(path)


def test_a_grid(tmp_path: Path) -> None:
    result = points(tmp_path, HEAD + "set: {model.image_size: 64}\n" + GRID).known
    assert [p.label for p in result] == [
        "int8_sr engine=elir openvino",
        "int8_sr engine=elir onnx",
        "int8_sr engine=onnxruntime openvino",
        "int8_sr engine=onnxruntime onnx",
    ]
    assert {p.recipe.model.image_size for p in result} == {64}
    assert len({p.recipe.name for p in result}) == 4
    assert result[0].recipe.name.startswith("s-int8_sr-")
    assert result[0].targets == ("x86-openvino", "x86-onnxruntime", "x86-executorch")
    assert result[0].recipe.targets == []
    # --set merges a mapping's value as a whole: the other formats are gone.
    assert result[1].recipe.export.openvino is None


UNFIT = "takes onnx (fp32, fp16, int8), but the recipe exports openvino, so that nothing would be measured on it"


def test_a_target_that_no_point_has_anything_for(tmp_path: Path) -> None:
    """One that some points have something for is left out of the others alone."""
    some = HEAD + GRID + "targets: [x86-openvino, x86-onnxruntime]\n"
    assert len(points(tmp_path, some).known) == 4
    for text in (HEAD + "set: {export: {openvino: {}}}\n", HEAD + GRID.replace(", {onnx", ", {openvino")):
        with pytest.raises(InputError) as refused:
            _ = points(
                tmp_path, text.replace(", tensorrt: false", "") + "targets: [x86-openvino, x86-onnxruntime]\n"
            ).known
        assert str(refused.value).startswith(
            f"targets: x86-onnxruntime {UNFIT}: remove it from targets, set export.onnx"
        )
    # A recipe's own targets are a choice for points with other exports, and a mistake without them.
    assert len(points(tmp_path, HEAD + GRID).known) == 4
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("version: 1\nname: mine\nextends: int8_sr\nexport: {onnx: null, executorch: null}\n")
    with pytest.raises(InputError, match=r"^targets: x86-onnxruntime .*\ntargets: x86-executorch takes"):
        _ = points(tmp_path, HEAD.replace("int8_sr", str(recipe)) + "set: {model.seed: 1}\n").known


def test_lists_draws_and_recipes_alone(tmp_path: Path) -> None:
    alone = points(tmp_path, "version: 1\nname: s\nrecipes: [int8_sr, int8_denoise]\ntargets: []\n").known
    assert [(p.label, p.targets) for p in alone] == [("int8_sr", ()), ("int8_denoise", ())]
    listed = "search:\n  kind: list\n  points: [{model.seed: 1}, {model.image_size: 128, model.seed: 2}]\n"
    assert [p.recipe.model.seed for p in points(tmp_path, HEAD + listed).known] == [1, 2]
    draw = "search: {kind: random, count: 5, seed: 3, values: {model.seed: [0, 1, 2, 3], model.image_size: [64, 96]}}\n"
    drawn = [p.label for p in points(tmp_path, HEAD + draw).known]
    assert len(set(drawn)) == 5
    assert drawn == [p.label for p in points(tmp_path, HEAD + draw).known]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search: {kind: grid, values: {}}", "sweep.yaml:4: search.values: must hold at least 1 item(s), got {}"),
        (
            "search: {kind: grid, values: {model.seed: []}}",
            "sweep.yaml:4: search.values.model.seed: must hold at least 1 item(s), got []",
        ),
        (
            "search: {kind: grid, values: {model.imagesize: [64]}}",
            "sweep.yaml: setting model.imagesize=64: model.imagesize: unknown key, did you mean image_size?",
        ),
        (
            "search: {kind: grid, values: {passes.9.ptq: [{}]}}",
            "sweep.yaml: setting passes.9.ptq={}: passes is a list of 4: give a number from 0 to 3",
        ),
        ("targets: [x86-openvin]", "x86-openvin"),
        (f"search: {{kind: grid, values: {{{tens(12)}}}}}", "values give 1000000000000 points, at most 10000"),
        (f"search: {{kind: random, count: 2, values: {{{tens(19)}}}}}", "at most 1000000000000000: leave some out"),
        (f"search: {{kind: random, count: 99999, values: {{{tens(1)}}}}}", "must be <= 10000"),
        ("search: {kind: bayes}", "search"),
        (
            "search: {kind: optuna, trials: 2, goals: [bytes], values: {model.seed: {low: 3, high: 1}}}",
            "low must be below high",
        ),
        (
            f"{OPTUNA}{{model.imagesize: [64]}}}}",
            "sweep.yaml: setting model.imagesize=64: model.imagesize: unknown key, did you mean image_size?",
        ),
        (f"{OPTUNA}{{model.k_steps: {{low: 1, high: 3.5, integer: true}}, model.seed: [1, x]}}}}", 'model.seed="x"'),
        (f"{OPTUNA}{{model.seed: [1, 2, -1]}}}}", "setting model.seed=-1: model.seed: must be >= 0"),
        (f"{OPTUNA}{{model.seed: {{low: -3, high: 3, integer: true}}}}}}", "setting model.seed=-3"),
        (f"targets: [x86-executorch-vulkan]\n{OPTUNA}{{model.seed: [1, 2]}}}}", "so that nothing would be measured"),
    ],
)
def test_mistakes_are_one_line_each(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(InputError) as refused:
        _ = points(tmp_path, f"{HEAD}{text}\n").checked
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 5, 29, 30, 100])
def test_a_draw_is_what_it_was_when_every_combination_was_listed(seed: int, count: int) -> None:
    values = {"a": [1, 2, 3], "b": ["x", "y"], "c": [0.1, 0.2, 0.3, 0.4, 0.5]}
    everything = list(Grid(values=values).points())
    wanted = random.Random(seed).sample(everything, min(count, len(everything)))
    result = list(Random(values=values, count=count, seed=seed).points())
    assert result == wanted and [list(point) for point in result] == [list(point) for point in wanted]


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sweep\.yaml: recipes: 'int9': unknown recipe, did you mean int8_sr\?"):
        points(tmp_path, "version: 1\nname: s\nrecipes: [int9]\n")


def test_optuna_proposes_the_same_again() -> None:
    settings = {
        "trials": 6,
        "goals": ["fidelity_db", "bytes"],
        "seed": 1,
        "values": {"passes.3.ptq.range": ["min_max", "mse"], "model.seed": {"low": 0, "high": 9, "integer": True}},
    }
    runs = []
    for _ in range(2):
        study, seen = Study(Optuna.model_validate(settings)), []
        for _ in range(3):
            proposed = study.propose(2)
            seen += proposed
            study.tell([40.0 + proposed[0]["model.seed"], 1000.0])
            study.tell(None)
        runs.append(seen)
    assert runs[0] == runs[1]
    assert len(runs[0]) == 6
    assert all(p["passes.3.ptq.range"] in ("min_max", "mse") and 0 <= p["model.seed"] <= 9 for p in runs[0])
