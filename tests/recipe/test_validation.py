"""Which setting a mistake comes from, where it shows in what a file says beside it."""

from pathlib import Path

import pytest

from compress.errors import InputError
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.recipe.validation import load_model

NPU = "export.executorch={backend: ethos_u, accelerator: ethos-u55-256}"


def lines(recipe: str, *settings: str) -> list[str]:
    with pytest.raises(InputError) as refused:
        load_recipe(recipe, settings)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ["model.seed=1", "export.executorch.backend=ethos_u"],
            "setting export.executorch.backend=ethos_u: export.executorch: accelerator is missing",
        ),
        (["model.image_sizes=[128]"], "setting model.image_sizes=[128]: model: image_size (=256) must be left out"),
        (
            [NPU, "measure=full"],
            f"setting {NPU}: export.executorch.backend: ethos_u does not go with ptq's engine elir",
        ),
        (
            ["export.onnx.htp=true", "export.io=uint8"],
            "settings export.onnx.htp=true, export.io=uint8: export: io: uint8 does not go with onnx.htp: true",
        ),
        (
            ["export.layout=staged", "targets=[x86-openvino, web-wasm]"],
            "setting targets=[x86-openvino, web-wasm]: targets.1: target web-wasm (browser) runs no artifact of",
        ),
    ],
)
def test_a_setting_is_named_and_no_file(settings: list[str], line: str) -> None:
    (told,) = lines("int8_sr", *settings)
    assert told.startswith(line) and "int8_sr.yaml" not in told


def test_targets_that_a_setting_leaves_without_a_runner() -> None:
    told = lines("npu_sr", "export.layout=staged")
    assert len(told) == 3
    assert told[0].startswith(
        "setting export.layout=staged: targets.0: target intel-npu-3720 (vendor-compiler) runs no"
    )


def test_a_files_own_mistake_stays_the_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\nname: mine\nextends: int8_sr\nexport:\n  executorch: {backend: ethos_u}\n")
    told = lines(str(path), "model.seed=1", "measure=fast", "model.image_sizes=[128]")
    assert {line.split(": ")[0] for line in told} == {
        f"{path}:5",
        "setting measure=fast",
        "setting model.image_sizes=[128]",
    }


def test_a_targets_settings_are_named_too() -> None:
    with pytest.raises(InputError) as refused:
        load_model(DeployTarget, find("targets", "x86-openvino"), ["format=onnx"])
    assert str(refused.value) == "setting format=onnx: format must be openvino for runtime openvino, got onnx"
