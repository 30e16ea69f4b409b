"""Figures and pictures of a validation, against those computed here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data.sets import load_set, pixels_sha256
from compress.elir.model import Elir
from compress.elir.train.validation import SHOWN, Validation
from compress.measure.quality import psnr_db
from compress.recipe.train import TrainRecipe

N = SHOWN + 1  # the last one is measured, not shown


@pytest.fixture()
def recipe(tmp_path: Path, photo: np.ndarray) -> TrainRecipe:
    folder = tmp_path / "held_back"
    folder.mkdir()
    for i in range(N):
        Image.fromarray(photo[16 * i : 16 * i + 64, :70]).save(folder / f"{i}.png")
    (tmp_path / "set.yaml").write_text(
        "version: 1\nname: held_back\nsource: {kind: folder, path: held_back}\ncrop: 64\n"
    )
    data = {"train": ["x"], "validation": str(tmp_path / "set.yaml")}
    stages = [{"space": "latents", "steps": 1}]
    return TrainRecipe.model_validate({"version": 1, "name": "x", "data": data, "stages": stages})


def test_grid_is_input_restored_clean_and_figures_are_of_what_it_shows(tiny_elir: Elir, recipe: TrainRecipe) -> None:
    validation = Validation(recipe)
    scores = validation(tiny_elir)
    grid = validation.grid
    assert validation(tiny_elir) == scores and np.array_equal(validation.grid, grid)
    assert validation.grid.shape == (SHOWN * 64, 3 * 64, 3) and validation.grid.dtype == np.uint8
    items = list(load_set(recipe.data.validation, "sr_x4"))
    degraded, restored, clean = np.split(validation.grid, 3, axis=1)
    assert np.array_equal(degraded, np.concatenate([item.degraded for item in items[:SHOWN]]))
    assert np.array_equal(clean, np.concatenate([item.clean for item in items[:SHOWN]]))
    rows = [psnr_db(a, b) for a, b in zip(np.split(restored, SHOWN), np.split(clean, SHOWN), strict=True)]
    assert scores["psnr_db"] == pytest.approx(np.mean(rows), abs=1.0) and scores["psnr_db"] != np.mean(rows)
    assert scores["input_psnr_db"] == pytest.approx(np.mean([psnr_db(i.degraded, i.clean) for i in items]), abs=1e-3)


def test_hashes_of_pictures_and_crops(recipe: TrainRecipe, photo: np.ndarray) -> None:
    hashes = Validation(recipe).hashes
    assert len(hashes) == 2 * N
    assert hashes[pixels_sha256(photo[:64, :70])] == hashes[pixels_sha256(photo[:64, 3:67])]
