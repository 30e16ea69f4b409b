"""`compress train` from a recipe to a checkpoint that loads, with small networks and few steps."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from compress.data.pictures import to_float
from compress.elir import load_checkpoint
from compress.elir.checkpoint import save_checkpoint
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.elir.train.log import TrainingLog
from compress.elir.train.run import build_model, build_teacher, run_training, with_weights_settings
from compress.errors import InputError
from compress.progress import Progress
from compress.recipe.library import find
from compress.recipe.load import load_model
from compress.recipe.train import TrainRecipe

SILENT = Progress("silent")
LATENTS = {"space": "latents", "steps": 3, "batch": 2, "crop": 64, "cached_crops": 2, "warmup": 1}
PIXELS = {"space": "pixels", "steps": 2, "batch": 1, "crop": 64, "warmup": 1, "weights": {"l1": 1.0}}
SET = """
version: 1
name: held_back
source: {kind: folder, path: held_back}
crop: 64
"""


@pytest.fixture()
def data(tmp_path: Path, photo: np.ndarray) -> dict[str, Any]:
    """A recipe's ``data``: training pictures and a validation set, disjoint."""
    for name, corner in (("train/x/a.png", 0), ("train/y/b.png", 64), ("held_back/c.png", 150)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[corner : corner + 80, :90]).save(path)
    (tmp_path / "held_back.yaml").write_text(SET)
    return {"train": [str(tmp_path / "train")], "validation": str(tmp_path / "held_back.yaml")}


def recipe(data: dict[str, Any], *stages: dict[str, Any], **model: Any) -> TrainRecipe:
    widths = {} if "weights" in model else {"hid_channels": 32, "c_hid": 8, "n_rrdb": 1}
    settings = {"version": 1, "name": "tiny", "model": {**widths, **model}, "data": data, "stages": stages}
    return TrainRecipe.model_validate({**settings, "validate_every": 2})


def test_recipe_to_checkpoint(data: dict[str, Any], tmp_path: Path) -> None:
    path = run_training(recipe(data, LATENTS, PIXELS, sigma_s=0.05), tmp_path / "run", fresh=False, progress=SILENT)
    assert path == tmp_path / "run" / "tiny.safetensors"
    model = load_checkpoint(path)
    assert (model.k_steps, model.sigma_s, model.config.hid_channels) == (3, 0.05, 32)
    facts = model.metadata
    assert facts["data"] == "2 pictures of 64 px or more a side: x 1, y 1"
    assert (facts["task"], facts["recipe"], facts["steps"]) == ("sr_x4", "tiny", "5")
    assert facts["autoencoder"] == "tae16"
    assert facts["licence"] == "autoencoder part fine-tuned from TAEF2, MIT, Copyright (c) 2023 Ollin Boer Bohan"
    assert facts["training"] == (
        "3 steps of 2 on 2 cached latent crops of 64 px, mmse, fmir learning, 1 mmse + 1 consistency, lr 0.0002; "
        "2 steps of 1 on pixel crops of 64 px, mmse, fmir learning, 1 mmse + 1 consistency + 1 l1, lr 0.0002"
    )
    assert re.fullmatch("[0-9a-f]{64}", facts["recipe_hash"])


def test_metrics_hold_terms_and_validations_beside_the_input(data: dict[str, Any], tmp_path: Path) -> None:
    run_training(recipe(data, LATENTS), tmp_path / "run", fresh=False, progress=SILENT)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validation = next(line["validation"] for line in lines if "validation" in line)
    names = {"psnr_db", "lpips", "color_shift"}
    assert validation.keys() == names | {f"input_{name}" for name in names}
    last = lines[-1]
    assert (last["stage"], last["step"]) == (0, 3)
    assert last["mmse"] > 0 and last["seconds_a_step"] > 0


def test_second_run_goes_on_and_fresh_starts_again(
    data: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = recipe(data, LATENTS), tmp_path / "run"
    first = run_training(given, out, fresh=False, progress=SILENT).read_bytes()
    assert run_training(given, out, fresh=False, progress=Progress("lines")).read_bytes() == first
    assert "resumed at stage 2, step 0" in capsys.readouterr().err
    assert run_training(given, out, fresh=True, progress=Progress("lines")).read_bytes() == first
    message = capsys.readouterr().err
    assert "resumed" not in message
    assert "step 2: PSNR" in message and "(input" in message


def test_what_a_killed_run_left_is_removed(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".part-killed.pt").write_bytes(b"half a checkpoint")
    run_training(recipe(data, PIXELS), tmp_path / "out", fresh=False, progress=SILENT)
    assert not list((tmp_path / "out").glob(".part-*"))


def test_over_parametrised_training_ends_collapsed(data: dict[str, Any], tmp_path: Path) -> None:
    path = run_training(
        recipe(data, {**LATENTS, "steps": 1}, over_param=True), tmp_path / "run", fresh=False, progress=SILENT
    )
    assert load_checkpoint(path).config.over_param is False


# --- where it starts ------------------------------------------------------------------------------------------


def test_fresh_model_has_a_halved_encoder_and_the_teacher_the_bundled_one(data: dict[str, Any]) -> None:
    given = recipe(data, LATENTS).model
    model, teacher = build_model(given), build_teacher(given)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(2 * model.enc(x), teacher.enc(x), atol=1e-4, rtol=0)
        # The bundled autoencoder is a trained one: it gives a smooth picture back.
        ramp = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64)
        assert (teacher.dec(teacher.enc(ramp)) - ramp).abs().mean() < 0.03


@pytest.fixture()
def weights(tiny_elir: Elir, tmp_path: Path) -> Path:
    path = tmp_path / "start.safetensors"
    tiny_elir.sigma_s = 0.07
    save_checkpoint(tiny_elir, path, {"training": "long ago"})
    return path


def test_start_from_weights_keeps_their_settings(data: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    given = recipe(data, {**LATENTS, "steps": 1}, weights=str(weights))
    model = load_checkpoint(run_training(given, tmp_path / "run", fresh=False, progress=SILENT))
    assert (model.sigma_s, model.config.c_hid) == (0.07, 8)
    assert model.metadata["training"].startswith("long ago; then 1 steps of 2 on")


def test_recipe_s_sigma_stands_over_that_of_the_weights(data: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    given = recipe(data, {**LATENTS, "steps": 1}, weights=str(weights), sigma_s=0.02)
    assert load_checkpoint(run_training(given, tmp_path / "run", fresh=False, progress=SILENT)).sigma_s == 0.02


def test_width_that_the_weights_do_not_have(data: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    text = f"model.c_hid is 48, but {weights} has 8: remove one of the two"
    with pytest.raises(InputError, match=re.escape(text)):
        run_training(
            recipe(data, LATENTS, weights=str(weights), c_hid=48), tmp_path / "run", fresh=False, progress=SILENT
        )


def test_a_residual_decoder_starts_from_what_its_input_lacks(
    data: dict[str, Any], weights: Path, tmp_path: Path, photo: np.ndarray
) -> None:
    given = recipe(data, {**PIXELS, "lr": 1e-9}, weights=str(weights), residual=True)
    path = run_training(given, tmp_path / "run", fresh=False, progress=SILENT)
    assert path is not None
    picture = torch.from_numpy(to_float([photo[:64, :64]]))
    noise = torch.randn(noise_shape(64, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = (load_checkpoint(p)(picture, noise).sub(picture).square().mean() for p in (weights, path))
    assert load_checkpoint(path).config.residual and after < 0.1 * before
    assert with_weights_settings(recipe(data, PIXELS, weights=str(path))).model.residual


def test_a_residual_decoder_needs_weights_and_stays_one(data: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"residual \(=true\) needs weights"):
        recipe(data, PIXELS, residual=True)
    model, path = load_checkpoint(weights), tmp_path / "residual.safetensors"
    model.config = replace(model.config, residual=True)
    save_checkpoint(model, path, {})
    text = f"model.residual is false, but {path} is residual: remove one of the two"
    with pytest.raises(InputError, match=re.escape(text)):
        with_weights_settings(recipe(data, PIXELS, weights=str(path), residual=False))


# --- what is refused ------------------------------------------------------------------------------------------


def test_missing_pictures_say_where_to_read_on(data: dict[str, Any], tmp_path: Path) -> None:
    data["train"] = [str(tmp_path / "none")]
    text = "none: no such folder of training pictures: fill it as docs/training.md says, or give another with --set"
    with pytest.raises(InputError, match=text):
        run_training(recipe(data, LATENTS), tmp_path / "run", fresh=False, progress=SILENT)


def test_pictures_that_are_converted_or_skipped_are_told_once_and_in_the_checkpoint(
    data: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train" / "broken.jpg").write_bytes(b"no picture")
    Image.open(tmp_path / "train" / "x" / "a.png").convert("CMYK").save(tmp_path / "train" / "x" / "c.tif")
    path = run_training(recipe(data, LATENTS), tmp_path / "run", fresh=False, progress=Progress("lines"))
    message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training pictures")]
    assert message == ["training pictures: 3 read; 1 converted (1 CMYK), 1 skipped (1 unreadable: broken.jpg)"]
    assert load_checkpoint(path).metadata["data"] == (
        "3 pictures of 64 px or more a side: x 2, y 1; 1 converted, 1 skipped"
    )


def test_no_usable_picture(data: dict[str, Any], tmp_path: Path) -> None:
    for path in (tmp_path / "train").rglob("*.png"):
        path.write_bytes(b"no picture")
    text = r"train: no picture of 64 px or more a side \(2 unreadable, first: a\.png\): add some"
    with pytest.raises(InputError, match=text) as caught:
        run_training(recipe(data, LATENTS), tmp_path / "run", fresh=False, progress=SILENT)
    assert caught.value.exit_code == 2


def test_training_on_a_stream_ends_the_same_when_it_was_stopped(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(6):
        (tmp_path / "set").mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (80, 80, 3), np.uint8)).save(
            tmp_path / "set" / f"{i}.png"
        )
    data["train"] = [{"kind": "hub", "name": str(tmp_path / "set"), "pool": 2}, *data["train"]]
    given = recipe(data, LATENTS, {**PIXELS, "steps": 4}).model_copy(update={"checkpoint_minutes": 1e-9})
    undisturbed = run_training(given, tmp_path / "whole", fresh=False, progress=SILENT)

    def stop(self: TrainingLog, step: int, scores: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingLog, "_validated", stop)
        run_training(given, tmp_path / "stopped", fresh=False, progress=SILENT)
    resumed = run_training(given, tmp_path / "stopped", fresh=False, progress=SILENT)
    assert resumed.read_bytes() == undisturbed.read_bytes()
    kept = [json.loads(line) for line in (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in kept if "resumed" in line] == [1]


@pytest.mark.parametrize("crop", [False, True])
def test_training_on_a_validation_picture(data: dict[str, Any], tmp_path: Path, photo: np.ndarray, crop: bool) -> None:
    held_back = photo[150:230, :90]
    Image.fromarray(held_back[8:72, 13:77] if crop else held_back).save(tmp_path / "train" / "twin.png")
    with pytest.raises(InputError, match=r"training and validation share a picture: .*twin\.png and .*c\.png hold"):
        run_training(recipe(data, LATENTS), tmp_path / "run", fresh=False, progress=SILENT)


def test_impossible_stage_is_refused_before_pictures_are_read(data: dict[str, Any], tmp_path: Path) -> None:
    data["train"] = [str(tmp_path / "none")]
    with pytest.raises(InputError, match=r"stages\[1\]: weights\.l1 needs pixels"):
        run_training(
            recipe(data, LATENTS, {**LATENTS, "weights": {"l1": 1.0}}), tmp_path / "run", fresh=False, progress=SILENT
        )


# --- the bundled recipe ---------------------------------------------------------------------------------------


def test_bundled_recipe_builds_the_bundled_model() -> None:
    given = load_model(TrainRecipe, find("recipes", "train_sr_x4"))
    model = build_model(given.model)
    bundled = load_checkpoint(find("weights", "elir_sr_x4"))
    assert (model.config, bundled.metadata["task"]) == (bundled.config, given.model.task)
    assert model.config == ElirConfig(64, 1, 48, 2)
