"""Artifacts of sizes that the networks do not take: the graph pads, as `restore` pads pictures for a checkpoint."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import compress
from compress.artifacts.runtime.open import open_runner
from compress.cli.commands import app
from compress.elir.checkpoint import load_checkpoint
from compress.elir.latent import noise_shape
from compress.elir.noise import picture_inputs
from compress.elir.noise_torus import noise_torus, noise_window
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.restore.open import Settings, open_restorer

SHAPE = (68, 100)
FORMATS = ("openvino", "onnx", "executorch")


def entries(folder: Path) -> dict[str, Any]:
    """The manifest's artifacts by id."""
    return {facts["id"]: facts for facts in json.loads((folder / "manifest.json").read_text())["artifacts"]}


def applied(recipe: Recipe, folder: Path, **export: Any) -> dict[str, Any]:
    """A bundle of float graphs without ptq; its artifacts."""
    changed = recipe.model_dump() | {"passes": [{"collapse": {}}], "export": export}
    compress.apply(Recipe.model_validate(changed), folder, progress=Progress("silent"))
    return entries(folder)


def test_a_picture_of_its_size_is_restored_as_by_the_checkpoint(
    padded_bundle: Path, tiny_inputs: Path, photo: np.ndarray
) -> None:
    """In every runtime, from bytes to bytes; int8 as near as int8 is."""
    found = entries(padded_bundle)
    assert set(found) == {
        "onnx-int8-tensorrt",
        *(f"{format}-{kind}" for format in FORMATS for kind in ("fp32", "int8")),
    }
    picture = photo[: SHAPE[0] // 4, : SHAPE[1] // 4]
    settings = Settings(task="sr_x4", k_steps=1, sigma_s=0.1, tile=0)
    wanted = open_restorer(str(tiny_inputs / "tiny.safetensors"), settings).restore(picture, lambda: None)
    for id, facts in found.items():
        ports = {port["name"]: tuple(port["shape"]) for port in facts["inputs"]}
        assert ports == {"image": (1, SHAPE[0] // 4, SHAPE[1] // 4, 3), "noise": noise_shape(96, 128)}
        if id != "onnx-int8-tensorrt":
            ours = open_restorer(str(padded_bundle / facts["entry"]), Settings()).restore(picture, lambda: None)
            assert ours.shape == wanted.shape == (*SHAPE, 3)
            difference = np.abs(ours.astype(int) - wanted)
            assert difference.max() <= 1 if id.endswith("fp32") else difference.mean() <= 3, id


@pytest.mark.parametrize("noise", ["input", "seed", "baked"])
def test_a_float_graph_pads_as_the_model_does(
    noise: str, padded_recipe: Recipe, tiny_inputs: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    """The model's own padding is that of numpy, by reflection: tests/elir/test_model.py."""
    formats: dict[str, Any] = {
        format: {"precisions": ["fp32"]} for format in FORMATS if noise != "baked" or format == "onnx"
    }
    found = applied(padded_recipe, tmp_path / "tiny", **formats, noise=noise)
    model = load_checkpoint(tiny_inputs / "tiny.safetensors", k_steps=1, sigma_s=0.1)
    lq, drawn = picture_inputs(photo[: SHAPE[0], : SHAPE[1]], 0, 0)
    for facts in found.values():
        runner = open_runner(tmp_path / "tiny" / facts["entry"], facts["format"], threads=1)
        given = runner.noise_of(0, 0) if noise == "seed" else drawn
        own = noise_window(noise_torus(0), int(given[0]), SHAPE) if noise == "seed" else drawn
        if noise == "baked":
            own = torch.randn(noise_shape(96, 128), generator=torch.Generator().manual_seed(0)).numpy()
        with torch.no_grad():
            wanted = model(torch.from_numpy(lq), torch.from_numpy(own)).clamp(0, 1).numpy()
        made = runner.run(lq, None if noise == "baked" else given)
        assert made.shape == (1, 3, *SHAPE)
        np.testing.assert_allclose(made, wanted, atol=2e-4)


@pytest.mark.parametrize("size", [(17, 20), (41, 60)])
def test_other_pictures_take_tiles_of_it(
    padded_bundle: Path, tiny_inputs: Path, photo: np.ndarray, size: tuple[int, int]
) -> None:
    """tests/package/test_templates.py holds other programs' tiles against these."""
    picture = photo[: size[0], : size[1]]
    ours = open_restorer(str(padded_bundle / "fp32/onnx/model.onnx"), Settings(seed=1))
    assert ours.tiling.tile == SHAPE and ours.tiling.overlap == 32
    settings = Settings(task="sr_x4", k_steps=1, sigma_s=0.1, tile=0, seed=1)
    wanted = open_restorer(str(tiny_inputs / "tiny.safetensors"), settings).restore(picture, lambda: None)
    restored = ours.restore(picture, lambda: None)
    assert restored.shape == wanted.shape
    difference = np.abs(restored.astype(int) - wanted)
    assert difference.mean() <= 0.5


def test_verify_and_bench(padded_bundle: Path, tmp_path: Path) -> None:
    invoke = CliRunner().invoke
    assert (done := invoke(app, ["verify", str(padded_bundle)])).exit_code == 0, done.output
    command = ["bench", str(padded_bundle), "--target", "x86-onnxruntime", "--json"]
    assert (done := invoke(app, command)).exit_code == 0, done.output
