"""ExecuTorch's backends in recipes and targets: what does not go together is refused before anything is loaded."""

from pathlib import Path

import pytest

from compress.artifacts.artifact import artifact_of, plan_artifacts
from compress.errors import InputError
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.load import load_recipe, recipe_hash
from compress.recipe.validation import load_model

RECIPE = """\
version: 1
name: mine
passes: [collapse: {}, fold_time: {}, ptq: {engine: ENGINE}]
export: {executorch: {OPTIONS}EXPORT}
"""


def recipe_file(folder: Path, options: str, export: str = "", engine: str = "elir") -> Path:
    path = folder / "mine.yaml"
    path.write_text(RECIPE.replace("OPTIONS", options).replace("EXPORT", export).replace("ENGINE", engine))
    return path


@pytest.mark.parametrize(
    ("options", "export", "engine", "message"),
    [
        (
            "backend: vulcan",
            "",
            "elir",
            "export.executorch.backend: must be one of xnnpack, vulkan, coreml, openvino, ",
        ),
        (
            "backend: ethos_u, precisions: [fp32]",
            "",
            "elir",
            "export.executorch: precision fp32 does not go with backend ethos_u: give int8; fp32 is taken by xnnpack, "
            "vulkan, coreml, openvino",
        ),
        (
            "backend: openvino, precisions: [fp32, int8]",
            "",
            "elir",
            "export.executorch: precision int8 does not go with backend openvino: give fp32 and fp16; int8 is taken by "
            "xnnpack, vulkan, coreml, ethos_u",
        ),
        (
            "backend: ethos_u",
            "",
            "torchao",
            "export.executorch: accelerator is missing: give it, for example ethos-u55-256, since backend is ethos_u",
        ),
        (
            "accelerator: ethos-u55-256",
            "",
            "elir",
            "export.executorch: accelerator must be left out, since backend is xnnpack",
        ),
        (
            "backend: ethos_u, accelerator: ethos-u85-1000",
            "",
            "torchao",
            "got 'ethos-u85-1000', did you mean ethos-u85-1024?",
        ),
        (
            "backend: ethos_u, accelerator: ethos-u85-1024",
            "",
            "elir",
            "export.executorch.backend: ethos_u does not go with ptq's engine elir, which leaves operators in float: "
            "use engine torchao",
        ),
        (
            "backend: ethos_u, accelerator: ethos-u85-1024",
            ", noise: baked",
            "torchao",
            "export: executorch.backend: ethos_u does not go with noise: baked: leave one of the two out",
        ),
        (
            "backend: vulkan",
            ", noise: seed",
            "elir",
            "export: executorch.backend: vulkan does not go with noise: seed: leave one of the two out, or use xnnpack",
        ),
        (
            "backend: vulkan",
            ", io: uint8",
            "elir",
            "export: executorch.backend: vulkan does not go with io: uint8: leave one of the two out, or use xnnpack",
        ),
        (
            "backend: coreml",
            ", layout: staged",
            "elir",
            "export: executorch.backend: coreml does not go with layout: staged: leave one of the two out",
        ),
        (
            "backend: vulkan",
            "",
            "torchao",
            "export.executorch.backend: vulkan does not go with ptq's engine torchao, which quantizes for XNNPACK: use "
            "engine elir, or backend xnnpack",
        ),
    ],
)
def test_what_does_not_go_together(options: str, export: str, engine: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        load_recipe(str(recipe_file(tmp_path, options, export, engine)))
    assert message in str(told.value) and "\n" not in str(told.value) and told.value.exit_code == 2


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ("xnnpack", ["executorch-fp32", "executorch-fp16", "executorch-int8"]),
        ("vulkan", ["executorch-fp32-vulkan", "executorch-fp16-vulkan", "executorch-int8-vulkan"]),
        ("openvino", ["executorch-fp32-openvino", "executorch-fp16-openvino"]),
        ("ethos_u, accelerator: ethos-u55-256", ["executorch-int8-ethos_u55_256"]),
    ],
)
def test_a_backend_gets_the_precisions_that_it_takes(options: str, ids: list[str], tmp_path: Path) -> None:
    backend, engine = options.partition(",")[0], "torchao" if "ethos_u" in options else "elir"
    planned = plan_artifacts(load_recipe(str(recipe_file(tmp_path, f"backend: {options}", engine=engine))))
    assert [artifact.id for artifact in planned] == ids
    assert {artifact.backend for artifact in planned} == {backend}
    name = "_".join(["model", *ids[0].split("-")[2:]])
    assert planned[0].entry.endswith(f"/{name}.pte") and artifact_of(ids[0], "executorch", planned[0].precision)


def test_the_default_written_out_is_the_same_recipe(tmp_path: Path) -> None:
    """Files of before the key have the hash that they had."""
    given = recipe_hash(load_recipe(str(recipe_file(tmp_path, "backend: xnnpack"))))
    assert given == recipe_hash(load_recipe(str(recipe_file(tmp_path, ""))))
    assert "backend" not in load_recipe("int8_sr").model_dump_json()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("reach=parser", "reach must be lowering, or local for vulkan, since backend is vulkan"),
        ("backend=xnnpack", "reach lowering is for ExecuTorch's backends that do not run here"),
        ("runtime=openvino", "backend must be left out for runtime openvino"),
    ],
)
def test_targets_of_a_backend(setting: str, message: str) -> None:
    from compress.recipe.library import find

    with pytest.raises(InputError, match=message):
        load_model(DeployTarget, find("targets", "android-vulkan"), [setting, "min_delegated=null", *FORMAT[setting]])


FORMAT = {"reach=parser": [], "backend=xnnpack": [], "runtime=openvino": ["format=openvino"]}
