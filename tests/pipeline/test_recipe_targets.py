"""A target that none of a recipe's artifacts is for would be left out without a word: it is refused, with what fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import compress
from compress.cli.yaml_kinds import check_file
from compress.errors import InputError
from compress.pipeline.context import RunContext
from compress.pipeline.recipe_targets import load_targets
from compress.progress import Progress
from compress.recipe.library import names
from compress.recipe.load import load_any
from compress.recipe.schema import Recipe
from compress.refusals import Refusals
from compress.search import search

Make = Callable[..., Recipe]
FLOATS = {"precisions": ["fp32"]}
BOTH = {"precisions": ["fp32", "int8"]}
TORCHAO = [{"fold_time": {}}, {"ptq": {"engine": "torchao"}}]

UNFIT: list[tuple[dict[str, Any], str, str]] = [
    (
        {"export": {"openvino": {}, "executorch": {"backend": "vulkan"}}},
        "x86-executorch",
        "targets: x86-executorch takes executorch for xnnpack (fp32, fp16, int8), but the recipe exports executorch "
        "for vulkan (fp32, fp16, int8), so that nothing would be measured on it: remove it from targets, set "
        "export.executorch to {}, or name one that fits (x86-executorch-vulkan, android-vulkan)",
    ),
    (
        {"export": {"openvino": {}}},
        "x86-onnxruntime",
        "targets: x86-onnxruntime takes onnx (fp32, fp16, int8), but the recipe exports openvino, so that nothing "
        "would be measured on it: remove it from targets, set export.onnx to {}, or name one that fits (x86-openvino, "
        "intel-npu-3720, intel-npu-4000, intel-npu-5010)",
    ),
    (
        {"export": {"executorch": {"backend": "ethos_u", "accelerator": "ethos-u55-128"}}, "passes": TORCHAO},
        "arm-ethos-u55-256",
        "targets: arm-ethos-u55-256 takes executorch for ethos-u55-256 (int8), but the recipe exports executorch for "
        "ethos-u55-128 (int8), so that nothing would be measured on it: remove it from targets, or set "
        "export.executorch.accelerator to ethos-u55-256",
    ),
    (
        {"export": {"executorch": BOTH}},
        "arm-ethos-u55-256",
        "targets: arm-ethos-u55-256 takes executorch for ethos-u55-256 (int8), but the recipe exports executorch for "
        "xnnpack (fp32, int8), so that nothing would be measured on it: remove it from targets, set export.executorch "
        "to {backend: ethos_u, accelerator: ethos-u55-256}, or name one that fits (x86-executorch, "
        "arm-cortex-a72-executorch, arm-cortex-a76-executorch, arm-neoverse-n1-executorch)",
    ),
    (
        {"export": {"openvino": FLOATS, "onnx": BOTH}},
        "intel-npu-3720",
        "targets: intel-npu-3720 takes openvino (fp16, int8), but the recipe exports openvino (fp32), so that nothing "
        "would be measured on it: remove it from targets, add fp16 or int8 to export.openvino.precisions, or name one "
        "that fits (x86-openvino)",
    ),
    (
        {"export": {"onnx": {"precisions": ["int8"], "tensorrt": False}}},
        "jetson-thor",
        "targets: jetson-thor takes onnx (fp32, fp16), onnx for tensorrt (int8), but the recipe exports onnx (int8), "
        "so that nothing would be measured on it: remove it from targets, add fp32 or fp16 or int8 to "
        "export.onnx.precisions, or name one that fits (x86-onnxruntime, arm-cortex-a72-onnxruntime, "
        "arm-cortex-a76-onnxruntime, arm-neoverse-n1-onnxruntime, qualcomm-qcs6490, rpi5, ...)",
    ),
]


@pytest.mark.parametrize(("changes", "target", "line"), UNFIT, ids=[target for _, target, _ in UNFIT])
def test_a_target_that_nothing_is_for(tiny_recipe: Make, changes: Any, target: str, line: str) -> None:
    refusals = Refusals()
    load_targets(tiny_recipe(targets=[target], **changes), refusals)
    with pytest.raises(InputError) as refused:
        refusals.refuse()
    assert str(refused.value) == line


@pytest.mark.parametrize(("changes", "target", "line"), UNFIT[:3], ids=[target for _, target, _ in UNFIT[:3]])
def test_it_is_refused_by_what_would_run_it(
    tiny_recipe: Make, tmp_path: Path, changes: Any, target: str, line: str
) -> None:
    recipe = tiny_recipe(targets=[target], **changes)
    for dry_run in (True, False):
        with pytest.raises(InputError) as refused:
            compress.apply(recipe, tmp_path / "out", progress=Progress("silent"), dry_run=dry_run)
        assert str(refused.value) == line
    assert not (tmp_path / "out").exists()


def test_a_search_refuses_it(tiny_recipe: Make, tmp_path: Path) -> None:
    changes, target, line = UNFIT[1]
    context = RunContext(tiny_recipe(targets=["x86-openvino", target], **changes), tmp_path / "out", Progress("silent"))
    with pytest.raises(InputError) as refused:
        search(context, "tiny")
    assert str(refused.value) == line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("changed", ["export.executorch.backend=vulkan", "targets=[x86-executorch-vulkan]"])
def test_validate_refuses_it(changed: str) -> None:
    with pytest.raises(
        InputError, match=r"^targets: x86-executorch(-vulkan)? takes executorch for .* or name one that"
    ):
        check_file("int8_sr", [changed])


def test_a_target_that_takes_a_part_of_the_artifacts_stays(tiny_recipe: Make) -> None:
    refusals = Refusals()
    recipe = tiny_recipe(targets=["x86-openvino", "intel-npu-4000", "jetson-thor", "x86-onnxruntime"])
    assert [target.name for target in load_targets(recipe, refusals)] == recipe.targets
    refusals.refuse()


@pytest.mark.parametrize("name", [name for name in names("recipes") if not name.startswith("train_")])
def test_every_built_in_recipe_has_something_for_its_targets(name: str) -> None:
    recipe, refusals = load_any(name), Refusals()
    assert isinstance(recipe, Recipe)
    assert len(load_targets(recipe, refusals)) == len(recipe.targets)
    refusals.refuse()
